"""A Prometheus of the tests' own, and a host that it scrapes, both on free ports of the loopback interface."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from metrics_world import World
from waiting import held_port, port_of

ANSWERS_WITHIN_S = 5
READY_WITHIN_S = 120


def program(name: str) -> str:
    """Where a program of Debian's package is."""
    found = shutil.which(name)
    assert found, f"there is no {name}: run `make test-engines`, or `.ci/need prometheus`"
    return found


class Handler(BaseHTTPRequestHandler):
    """Answers with a page in the format that is asked for. The world goes on by a second with each."""

    server: "Host"
    timeout = ANSWERS_WITHIN_S

    def do_GET(self) -> None:
        is_open = "application/openmetrics-text" in self.headers.get("Accept", "")
        form = "openmetrics" if is_open else "prometheus"
        self.server.formats.append(form)
        page = self.server.world.second().metrics(format=form).encode()
        self.send_response(200)
        kind = "application/openmetrics-text; version=1.0.0" if is_open else "text/plain; version=0.0.4"
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is to be read on standard error but failures."""


class Host(ThreadingHTTPServer):
    """Serves the metrics of a world."""

    daemon_threads = True

    def __init__(self, world: World) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.world = world
        self.formats: list[str] = []

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Its address, as long as it serves."""
        thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{self.server_port}"
        finally:
            self.shutdown()
            thread.join(ANSWERS_WITHIN_S)
            self.server_close()


class Prometheus:
    """A server that scrapes one target, from `with` to its end."""

    def __init__(self, folder: Path, target: str, rules: Path) -> None:
        self._held = held_port()
        self._url = f"http://127.0.0.1:{port_of(self._held)}"
        self._folder = folder
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "tidegate", "static_configs": [{"targets": [target]}]}],
        }
        # JSON is YAML.
        (folder / "prometheus.yml").write_text(json.dumps(config))

    @contextmanager
    def running(self) -> Iterator["Prometheus"]:
        """Starts it, and waits until it answers."""
        arguments = [
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address={self._url.removeprefix('http://')}",
            "--log.level=error",
        ]
        with self._held, (self._folder / "log").open("wb") as log:
            process = subprocess.Popen([program("prometheus"), *arguments], stdout=log, stderr=log)
            try:
                self._wait(process)
                yield self
            finally:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(10)

    def _wait(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            assert process.poll() is None, (self._folder / "log").read_text()
            try:
                with urlopen(f"{self._url}/-/ready", timeout=ANSWERS_WITHIN_S) as answer:
                    if answer.status == 200:
                        return
            except (OSError, HTTPException):
                pass
            time.sleep(0.05)
        raise AssertionError("it is not ready: " + (self._folder / "log").read_text())

    def ask(self, path: str, **parameters: str) -> Any:
        """What its API answers."""
        with urlopen(f"{self._url}/api/v1/{path}?{urlencode(parameters)}", timeout=60) as answer:
            told = json.load(answer)
        assert told["status"] == "success", told
        return told["data"]

    def query(self, query: str) -> list[dict[str, Any]]:
        """The series that a query finds now."""
        found: list[dict[str, Any]] = self.ask("query", query=query)["result"]
        return found

    def wait_for(self, query: str) -> list[dict[str, Any]]:
        """The same, as soon as it finds something."""
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            if found := self.query(query):
                return found
            time.sleep(0.1)
        raise AssertionError(f"nothing is found for {query}")
