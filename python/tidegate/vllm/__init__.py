"""vLLM 0.32 scheduled by tidegate: which request starts, which waits, and which yields.

    TIDEGATE_CONFIG=tidegate.toml vllm serve MODEL --scheduler-cls tidegate.vllm.Scheduler

A request says in `vllm_xargs` (of the Python API: `SamplingParams.extra_args`) who it is: `tier`, `tenant`,
`deadline_ms`, `queue_timeout_ms`. `docs/ENGINES.md` has the config file, what is decided, and what vLLM's interface
makes impossible. Needs vLLM: `pip install tidegate[vllm]`.

Rooms: `settings` (the file), `gate` (tidegate's side: requests by name, no vLLM), `waiting` (the queue that vLLM asks),
`memory` (who yields when KV blocks run out), `scheduler` (the class that vLLM calls).
"""

from tidegate.vllm.scheduler import Scheduler
from tidegate.vllm.settings import Settings, SettingsError, check

__all__ = ["Scheduler", "Settings", "SettingsError", "check"]
