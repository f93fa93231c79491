"""A worker of vLLM whose steps take as long as those of a GPU, and leave the CPU alone meanwhile.

The tiny model takes no time, and a large one would take it from gateway, clients and other engines on the same cores:
then first tokens say who had the CPU, and nothing of who waited for whom. So each step is the tiny model's own, and
lasts as long as `PACE_STEP_MS` and `PACE_TOKEN_US` say, for the step and for each token in it.
"""

import os
import time
from typing import Any

from vllm.v1.worker.cpu_worker import CPUWorker

STEP_S = float(os.environ.get("PACE_STEP_MS", "0")) / 1e3
TOKEN_S = float(os.environ.get("PACE_TOKEN_US", "0")) / 1e6


class PacedWorker(CPUWorker):
    """What vLLM has by `--worker-cls paced_worker.PacedWorker`."""

    def execute_model(self, scheduler_output: Any) -> Any:
        """One step, no shorter than it is told to be."""
        tokens = scheduler_output.total_num_scheduled_tokens
        ends_at = time.monotonic() + (STEP_S + TOKEN_S * tokens if tokens else 0)
        done = super().execute_model(scheduler_output)
        time.sleep(max(0.0, ends_at - time.monotonic()))
        return done
