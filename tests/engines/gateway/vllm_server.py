"""A real engine server: vLLM on the CPU with the tiny model, as a process."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from gateway_world import Program

SECONDS = 900
"""Until it answers: vLLM reads some hundred MB of Python first, on a machine that may be busy."""
SLOTS = 8
"""Requests in one of its batches; those beyond wait in its own queue, in the order in which they came."""
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "DO_NOT_TRACK": "1",
}


class VllmServer(Program):
    """vLLM's own server, not patched, behind no scheduler but its own."""

    def __init__(self, model: Path, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model]
        where = ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", "tiny"]
        # Outputs are compared token by token: float32, and nothing that depends on what else was asked.
        how = ["--dtype", "float32", "--enforce-eager", "--no-enable-prefix-caching", "--max-model-len", "2048"]
        super().__init__([*command, *where, *how, "--max-num-seqs", str(SLOTS), "--block-size", "32"], log)
        self.url = f"http://127.0.0.1:{port}"

    def start(self, *_more: str) -> None:
        """Begins to start it; `wait_until_healthy` waits."""
        assert self._log is not None, "it has one"
        with self._log.open("ab") as log:
            # A group of its own: the server has the engine as a child, which must not outlive it.
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=os.environ | ENVIRONMENT, start_new_session=True
            )

    def wait_until_healthy(self) -> None:
        """Waits until it answers."""
        deadline = time.monotonic() + SECONDS
        while not self.is_healthy:
            assert self._process is not None, "it was started"
            assert self._process.poll() is None, f"it ended: {self.log()[-3_000:]}"
            assert time.monotonic() < deadline, f"it does not answer: {self.log()[-3_000:]}"
            time.sleep(0.5)

    @property
    def is_healthy(self) -> bool:
        try:
            self.get("/health")
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """Ends it and its engine as a crash would."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(60)
