"""How tests wait for what others do: for a state, and at most for as long as a slow and busy machine may take."""

import socket
import time
from collections.abc import Callable

SECONDS = 60
"""The bound of whatever is waited for: a machine that is slow and busy needs a part of it."""


def until(condition: Callable[[], bool], within: float = SECONDS) -> None:
    """Waits for what another process or thread brings about, which has no event for this one."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.02)


def held_port() -> socket.socket:
    """A socket whose port a server may listen on that allows it to be used again, and that nobody else is given.

    It is held as long as this one is open, also while the server is down. Nothing ever listens on this one.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held


def port_of(held: socket.socket) -> int:
    """Its number."""
    number: int = held.getsockname()[1]
    return number
