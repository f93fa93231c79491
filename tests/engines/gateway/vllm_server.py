"""A real engine server: vLLM on the CPU with the tiny model, as a process of the environment that the engine has."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from gateway_world import Program
from waiting import held_port, port_of

HERE = Path(__file__).parent
SECONDS = 300
"""Until it answers: vLLM reads some hundred MB of Python first, on a machine that may be busy."""
SLOTS = 8
"""Requests in one of its batches; those beyond wait in its own queue, in the order in which they came."""
PACE = (8.0, 40.0)
"""Milliseconds of a step and microseconds of a token in it, as a GPU with a model of some billions might take."""
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    # Without a process of its own the worker hears of a step by a call; else both sides spin for it, on cores that
    # engines, gateway and clients share here: whoever was to run then waited for hundreds of milliseconds.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "DO_NOT_TRACK": "1",
}


def python() -> Path:
    """Of the engine's environment."""
    folder = os.environ.get("TIDEGATE_ENGINE")
    assert folder, "TIDEGATE_ENGINE names the folder that tests/engines/vllm/install filled: see `make test-engines`"
    return Path(folder, "venv/bin/python")


def write_model(folder: Path) -> None:
    """Its weights are spread so wide that servers which add in different orders have the same likeliest token."""
    subprocess.run([python(), HERE.parent / "vllm/tiny_model.py", folder, "0.3"], check=True, timeout=SECONDS)


class VllmServer(Program):
    """vLLM's own server, behind no scheduler but its own; its worker may be told to take its time."""

    def __init__(self, model: Path, log: Path) -> None:
        self._held = held_port()
        port = port_of(self._held)
        command = [python(), "-m", "vllm.entrypoints.openai.api_server", "--model", model]
        where = ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", "tiny"]
        # Outputs are compared token by token: float32, and nothing that depends on what else was asked.
        how = ["--dtype", "float32", "--enforce-eager", "--no-enable-prefix-caching", "--max-model-len", "2048"]
        how += ["--max-num-seqs", str(SLOTS), "--block-size", "32", "--distributed-executor-backend", "uni"]
        how += ["--worker-cls", "paced_worker.PacedWorker"]
        super().__init__([*command, *where, *how], log)
        self.url = f"http://127.0.0.1:{port}"
        self._pace = log.with_suffix(".pace")
        self._environment = os.environ | ENVIRONMENT | {"PACE": str(self._pace), "PYTHONPATH": str(HERE)}
        self.pace(0, 0)

    def pace(self, step_ms: float, token_us: float) -> None:
        """From now on a step lasts no less, for itself and for each token in it."""
        fresh = self._pace.with_suffix(".fresh")
        fresh.write_text(f"{step_ms} {token_us}")
        fresh.rename(self._pace)

    def start(self, *_more: str) -> None:
        """Begins to start it; `wait_until_healthy` waits."""
        assert self._log is not None, "it has one"
        with self._log.open("ab") as log:
            # A group of its own: the server has the engine as a child, which must not outlive it.
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._environment, start_new_session=True
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

    def signal(self, number: signal.Signals) -> None:
        """Tells the server and its engine."""
        os.killpg(self.pid, number)

    def kill(self) -> None:
        """Ends it and its engine as a crash would."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self.signal(signal.SIGKILL)
            self._process.wait(60)

    def __exit__(self, *why: Any) -> None:
        super().__exit__(*why)
        self._held.close()


@contextmanager
def paced(servers: Sequence[VllmServer]) -> Iterator[None]:
    """As long as the block runs their steps last as those of a GPU might."""
    for server in servers:
        server.pace(*PACE)
    try:
        yield
    finally:
        for server in servers:
            server.pace(0, 0)


@contextmanager
def vllm_servers(folder: Path, number: int) -> Iterator[Sequence[VllmServer]]:
    """So many servers of one model, all of them up."""
    write_model(folder / "model")
    with ExitStack() as stack:
        logs = [folder / f"vllm-{index}.log" for index in range(number)]
        started = [stack.enter_context(VllmServer(folder / "model", log)) for log in logs]
        for server in started:
            server.wait_until_healthy()
        yield started
