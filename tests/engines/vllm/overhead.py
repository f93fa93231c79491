"""What the adapter adds to a step of vLLM's scheduler, as JSON: for each key, the repeats.

Microseconds of thread CPU time:

    python tests/engines/vllm/overhead.py --turns 60 --repeats 5

256 requests run; in each step one ends and one comes: `add_request`, `schedule`, `update_from_output`, the end
included. Both schedulers take turns in one process, after one turn that does not count.
"""

import argparse
import gc
import json
import sys
from time import thread_time_ns

import stage
from stage import Stage, request
from vllm.v1.core.sched.async_scheduler import AsyncScheduler

import tidegate.vllm

RUNNING = 256
PROMPT = 16


class Steady:
    """A machine that is full, and stays so."""

    def __init__(self, scheduler: type[AsyncScheduler], waiting: int) -> None:
        self.stage = Stage(stage.build(scheduler, slots=RUNNING, tokens=8_192, blocks=1_000_000))
        self.number = 0
        for ahead in range(RUNNING):
            self._add(output=1 + ahead)  # one ends in each step
        for _ in range(waiting):
            self._add(output=RUNNING)
        for _ in range(2 * RUNNING):
            self._turn()

    def _add(self, output: int) -> None:
        self.number += 1
        self.stage.add(request(f"{self.number}", priority=0, arrival=self.number, prompt=PROMPT, output=output))

    def _turn(self) -> None:
        self._add(output=RUNNING)
        output = self.stage.scheduler.schedule()
        ran = stage.ran(output, self.stage.scheduler, {})
        self.stage.scheduler.update_from_output(output, ran)

    def measure(self, turns: int) -> float:
        """Microseconds of a step."""
        took = 0
        scheduler = self.stage.scheduler
        gc.collect()
        gc.disable()
        for _ in range(turns):
            self.number += 1
            new = request(f"{self.number}", priority=0, arrival=self.number, prompt=PROMPT, output=RUNNING)
            begin = thread_time_ns()
            scheduler.add_request(new)
            output = scheduler.schedule()
            took += thread_time_ns() - begin
            ran = stage.ran(output, scheduler, {})
            begin = thread_time_ns()
            scheduler.update_from_output(output, ran)
            took += thread_time_ns() - begin
        gc.enable()
        if len(scheduler.running) < RUNNING - 1:
            raise RuntimeError(f"{len(scheduler.running)} run")
        return took / turns / 1_000


def main() -> None:
    """Measures both, and prints what each turn gave."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=60, metavar="N")
    parser.add_argument("--repeats", type=int, default=5, metavar="N")
    parser.add_argument("--waiting", type=int, default=32, metavar="N")
    args = parser.parse_args()
    rows = {
        "vllm_step_us_256": Steady(AsyncScheduler, args.waiting),
        "vllm_step_with_tidegate_us_256": Steady(tidegate.vllm.Scheduler, args.waiting),
    }
    turns = [{key: row.measure(args.turns) for key, row in rows.items()} for _ in range(args.repeats + 1)]
    json.dump({key: [turn[key] for turn in turns[1:]] for key in rows}, sys.stdout)


if __name__ == "__main__":
    main()
