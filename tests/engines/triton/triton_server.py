"""A Triton server on loopback with the example model, by tidegate and first come first served, and its clients."""

import contextlib
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as client
from toolchain import ROOT

import tidegate

EXAMPLE = ROOT / "python/examples/triton/tidegate_mixed"
TIERED, FIRST_COME = "tidegate_mixed", "first_come"
# What takes a second on an idle machine gets this.
PATIENCE_S = 60

# Seen once, before any request: the backend's shared memory fails as a model is loaded, and the server with it.
CRASH = "boost::interprocess::lock_exception"
STARTS = 3


def engine_folder() -> Path:
    """Where `make test-engines` has put the server."""
    return Path(os.environ["TIDEGATE_ENGINE"])


class Server:
    """A server process; leaving the block ends it."""

    def __init__(self, folder: Path) -> None:
        self.models = folder / "models"
        shutil.copytree(EXAMPLE, self.models / TIERED, ignore=shutil.ignore_patterns("__pycache__"))
        other = shutil.copytree(self.models / TIERED, self.models / FIRST_COME)
        for model in (TIERED, FIRST_COME):
            # The backend's Python knows no PYTHONPATH: what a model needs lies beside it, or where that Python has it.
            (self.models / model / "1/tidegate").symlink_to(Path(tidegate.__file__).parent)
        settings = (other / "config.pbtxt").read_text()
        settings = settings.replace(f'name: "{TIERED}"', f'name: "{FIRST_COME}"')
        (other / "config.pbtxt").write_text(settings.replace('string_value: "tiers"', 'string_value: "first-come"'))
        self.log = folder / "log"

    def __enter__(self) -> "Server":
        for _ in range(STARTS):
            self._start()
            try:
                self._wait_until_ready()
                return self
            except BaseException:
                self._kill()
                if CRASH not in self.log.read_text():
                    raise
        raise AssertionError(f"the server crashed {STARTS} times:\n{self.log.read_text()[-4000:]}")

    def _start(self) -> None:
        engine = engine_folder()
        self.http, self.grpc = (f"127.0.0.1:{port}" for port in _free_ports(2))
        environment = {**os.environ, "LD_LIBRARY_PATH": str(engine / "lib"), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [
            engine / "tritonserver",
            f"--model-repository={self.models}",
            f"--backend-directory={engine / 'backends'}",
            "--http-address=127.0.0.1",
            f"--http-port={self.http.split(':')[1]}",
            "--grpc-address=127.0.0.1",
            f"--grpc-port={self.grpc.split(':')[1]}",
            "--allow-metrics=false",
            "--model-load-thread-count=1",
            "--exit-timeout-secs=5",
        ]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=PATIENCE_S)
        finally:
            self._kill()

    def _kill(self) -> None:
        # The stub of each model is a process of the server's group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=PATIENCE_S)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://{self.http}/v2/health/ready", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise AssertionError(f"the server is not ready:\n{self.log.read_text()[-4000:]}")

    def stats(self, model: str, **wishes: bool) -> dict[str, Any]:
        """What the model's scheduler has counted, and what it holds."""
        with Stream(self, model) as stream:
            stream.ask("stats", [1], stats=True, **wishes)
            answer = stream.wait()["stats"]
        assert answer.error is None, answer.error
        return json.loads(answer.stats)

    @contextlib.contextmanager
    def held(self, model: str) -> Iterator[None]:
        """The model generates nothing meanwhile."""
        self.stats(model, hold=True)
        try:
            yield
        finally:
            self.stats(model, hold=False)

    def wait_for_jobs(self, model: str, jobs: int) -> dict[str, Any]:
        """As `stats`, once the model has so many requests."""
        deadline = time.monotonic() + PATIENCE_S
        while (stats := self.stats(model))["jobs"] != jobs:
            assert time.monotonic() < deadline, f"not {jobs} jobs: {stats}"
            time.sleep(0.05)
        return stats


@dataclass
class Answer:
    """What came for a request."""

    tokens: list[int] = field(default_factory=list)
    stats: str = ""
    error: str | None = None
    asked_at: float = 0.0
    first_at: float | None = None
    ended_at: float | None = None


class Stream:
    """A gRPC stream to a model: many requests, whose answers come in pieces and between each other."""

    def __init__(self, server: Server, model: str) -> None:
        self.model = model
        self.answers: dict[str, Answer] = {}
        self.order: list[str] = []
        """The requests as their first pieces came."""
        self._client = client.InferenceServerClient(server.grpc)
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._left = False

    def __enter__(self) -> "Stream":
        self._client.start_stream(self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        self._left = True
        self._client.stop_stream(cancel_requests=True)
        self._client.close()

    def ask(self, name: str, prompt: list[int], **parameters: str | int | bool) -> None:
        """Sends a request of this name."""
        tensor = client.InferInput("PROMPT", [len(prompt)], "INT32")
        tensor.set_data_from_numpy(np.array(prompt, dtype=np.int32))
        self.answers[name] = Answer(asked_at=time.monotonic())
        self._client.async_stream_infer(
            self.model, [tensor], request_id=name, parameters=parameters, enable_empty_final_response=True
        )

    def wait(self, count: int | None = None) -> dict[str, Answer]:
        """Waits for the end of all requests, or of so many."""
        deadline = time.monotonic() + PATIENCE_S
        for _ in range(len(self.answers) if count is None else count):
            self._ended.get(timeout=max(0.0, deadline - time.monotonic()))
        return self.answers

    def wait_for_first(self, names: set[str]) -> None:
        """Waits until something came for each of these."""
        deadline = time.monotonic() + PATIENCE_S
        while not names <= set(self.order):
            assert time.monotonic() < deadline, f"nothing came for {names - set(self.order)}"
            time.sleep(0.005)

    def _hear(self, result: Any, error: Any) -> None:
        if self._left:
            return
        if error is not None:
            # The stream says of no error whose it is: streams of requests that fail have one request.
            (name,) = self.answers
            self.answers[name].error = str(error)
            self._ended.put(name)
            return
        response = result.get_response()
        with self._lock:
            answer = self.answers[response.id]
            tokens, stats = result.as_numpy("TOKENS"), result.as_numpy("STATS")
            if tokens is not None:
                if answer.first_at is None:
                    answer.first_at = time.monotonic()
                    self.order.append(response.id)
                answer.tokens += tokens.tolist()
            if stats is not None:
                answer.stats = stats[0].decode()
            if response.parameters["triton_final_response"].bool_param:
                answer.ended_at = time.monotonic()
                self._ended.put(response.id)


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
