"""Real vLLM on the CPU, with a model and tokens: each scene under vLLM's own scheduler and under tidegate's.

    python tests/engines/vllm/engine_run.py MODEL

prints what came of each as JSON. After every step tidegate's books are compared with vLLM's.
"""

import os

os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "OMP_NUM_THREADS": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}

import json
import random
import sys
from typing import Any

from checked import Checked
from vllm import LLM, SamplingParams

STEPS = 2_000
"""More than any scene takes."""


class Engine:
    """One engine, and the steps that it takes."""

    def __init__(self, model: str, *, ours: bool, slots: int, blocks: int) -> None:
        self._llm = LLM(
            model,
            scheduler_cls=Checked if ours else None,
            enforce_eager=True,
            dtype="float32",
            max_model_len=512,
            max_num_seqs=slots,
            block_size=32,
            num_gpu_blocks_override=blocks + 1,
            scheduling_policy="priority",
            enable_prefix_caching=False,
            disable_log_stats=True,
        )
        self._engine = self._llm.llm_engine
        self.core = self._engine.engine_core.engine_core
        self.scheduler = self.core.scheduler
        self.steps = 0
        self.first: dict[str, int] = {}
        self.tokens: dict[str, list[int]] = {}
        self.preempted = 0
        scheduled = self.scheduler.schedule

        def schedule(*args: Any) -> Any:
            output = scheduled(*args)
            self.steps += 1
            self.preempted += len(output.preempted_req_ids or ())
            for name in output.num_scheduled_tokens:
                self.first.setdefault(name.rsplit("-", 1)[0], self.steps)  # vLLM adds letters of its own to the name
            return output

        self.scheduler.schedule = schedule

    def add(self, name: str, prompt: list[int], output: int, priority: int, tier: str) -> None:
        """One more request."""
        params = SamplingParams(temperature=0.0, max_tokens=output, ignore_eos=True, extra_args={"tier": tier})
        self._engine.add_request(name, {"prompt_token_ids": prompt}, params, priority=priority)

    def step(self) -> None:
        """One step of the engine."""
        for answer in self._engine.step():
            if answer.finished:
                self.tokens[answer.request_id] = list(answer.outputs[0].token_ids)

    def drain(self) -> None:
        """Steps until nothing is left."""
        for _ in range(STEPS):
            if not self._engine.has_unfinished_requests():
                return
            self.step()
        raise AssertionError("the engine does not come to an end")

    def abort_all(self) -> None:
        """As when all clients leave."""
        self._engine.abort_request(list(self.scheduler.requests), internal=True)


def scene(model: str, *, ours: bool, slots: int, blocks: int) -> dict[str, Any]:
    """Batch work that fills the engine, and two urgent requests in the middle of it."""
    chance = random.Random(3)
    engine = Engine(model, ours=ours, slots=slots, blocks=blocks)

    def prompt(tokens: int) -> list[int]:
        return [chance.randrange(3, 512) for _ in range(tokens)]

    for number in range(12):
        engine.add(f"batch{number}", prompt(chance.randint(40, 120)), chance.randint(100, 180), 10, "batch")
    for _ in range(30):
        engine.step()
    came, preempted = engine.steps, engine.preempted
    for number in range(2):
        engine.add(f"urgent{number}", prompt(150), 8, 0, "realtime")  # both within the reserve
    while not {"urgent0", "urgent1"} <= engine.first.keys() and engine.steps < STEPS:
        engine.step()
    started = engine.preempted
    engine.drain()
    return {
        "waited": [engine.first[f"urgent{number}"] - came for number in range(2)],
        "preempted_until_then": started - preempted,
        "preempted": engine.preempted,
        "steps": engine.steps,
        "tokens": engine.tokens,
    }


def model_raises(model: str) -> dict[str, Any]:
    """The model fails in a step: the engine says so, and what is aborted then leaves nothing behind."""
    engine = Engine(model, ours=True, slots=4, blocks=100)
    for number in range(8):
        engine.add(f"{number}", [5] * 40, 50, 0, "batch")
    for _ in range(5):
        engine.step()
    runs = engine.core.model_executor.execute_model

    def fails(*_args: Any, **_settings: Any) -> Any:
        raise RuntimeError("the model fails")

    engine.core.model_executor.execute_model = fails
    said = ""
    try:
        for _ in range(5):
            engine.step()
    except Exception as error:  # whatever vLLM makes of it
        said = f"{type(error).__name__}: {error}"
    engine.core.model_executor.execute_model = runs
    engine.abort_all()
    gate = engine.scheduler._gate
    engine.scheduler.check_books()
    return {"said": said, "entries": len(gate.entries), "live": gate.core.stats().live}


def main(model: str) -> None:
    """Runs all, and prints what came of them."""
    sizes = {"slots_full": {"slots": 6, "blocks": 400}, "memory_full": {"slots": 16, "blocks": 40}}
    runs: dict[str, Any] = {"unconstrained": scene(model, ours=False, slots=16, blocks=400)}
    for name, size in sizes.items():
        runs[name] = {"vllm": scene(model, ours=False, **size), "tidegate": scene(model, ours=True, **size)}
    runs["model_raises"] = model_raises(model)
    json.dump(runs, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
