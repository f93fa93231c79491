"""A worker of vLLM whose steps take as long as those of a GPU, and leave the CPU alone meanwhile.

The tiny model takes no time, and a large one would take it from gateway, clients and other engines on the same cores:
then first tokens say who had the CPU, and nothing of who waited for whom. So each step is the tiny model's own, and
lasts as long as the file `PACE` says: milliseconds of a step, and microseconds of each token in it.
"""

import os
import time
from pathlib import Path
from typing import Any

from vllm.v1.worker.cpu_worker import CPUWorker


class PacedWorker(CPUWorker):
    """What vLLM has by `--worker-cls paced_worker.PacedWorker`."""

    def execute_model(self, scheduler_output: Any) -> Any:
        """One step, no shorter than it is told to be."""
        began = time.monotonic()
        done = super().execute_model(scheduler_output)
        step_ms, token_us = map(float, Path(os.environ["PACE"]).read_text().split())
        if tokens := scheduler_output.total_num_scheduled_tokens:
            time.sleep(max(0.0, began + step_ms / 1e3 + tokens * token_us / 1e6 - time.monotonic()))
        return done
