"""A Redis server of the tests' own, on a free port of the loopback interface, without anything on disk."""

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from waiting import SECONDS, held_port, port_of, until


def _program() -> str:
    # One program by several names, of which Debian's redis-tools has the second: it goes by the name it is called by.
    found = shutil.which("redis-server") or shutil.which("redis-check-rdb")
    assert found, "there is no redis-server: run `make test-python`, or `.ci/need redis`"
    return found


class RedisServer:
    """The server runs from `with` to its end; what it knew is gone when it restarts."""

    def __init__(self) -> None:
        self._held: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        assert self._held is not None, "its block runs"
        return port_of(self._held)

    def client(self, socket_timeout: float = SECONDS) -> redis.Redis:
        """A client that tries once."""
        return redis.Redis(port=self.port, socket_timeout=socket_timeout, retry=Retry(NoBackoff(), 0))

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        where = ["--bind", "127.0.0.1", "--port", str(self.port)]
        nothing_on_disk = ["--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            ["redis-server", *where, *nothing_on_disk], executable=_program(), stdout=subprocess.DEVNULL
        )
        with self.client() as client:
            until(lambda: self._answers(client))

    def _answers(self, client: redis.Redis) -> bool:
        assert self._process is not None, "it was started"
        assert self._process.poll() is None, "the server ended"
        try:
            client.ping()
        except redis.ConnectionError:
            return False
        return True

    def kill(self) -> None:
        """Ends it as a crash would."""
        assert self._process is not None, "it was started"
        self._process.kill()
        self._process.wait(SECONDS)

    def restart(self) -> None:
        """Ends it as a crash would, and starts another on the same port."""
        self.kill()
        self.start()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It does nothing for a while, and then goes on where it was."""
        assert self._process is not None, "it was started"
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self._held = held_port()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if self._held is not None:
            self._held.close()
