"""`python python/examples/server`: serves until SIGTERM, then lets those inside finish.

    curl -N localhost:8000/generate -H 'Authorization: Bearer key-acme' -H 'X-Tier: realtime' -d '{"prompt": "a b c"}'

Needs `starlette` and `uvicorn`.
"""

import argparse
import asyncio
import socket
from types import FrameType
from typing import Any

import uvicorn
from app import Settings, drain, make_app


class Server(uvicorn.Server):
    """A server that goes on answering while it drains: the first signal begins that, the second ends it."""

    def __init__(self, config: uvicorn.Config, drain_s: float) -> None:
        super().__init__(config)
        self.drain_s = drain_s
        self.draining: asyncio.Task[None] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serves, in this loop."""
        self.loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Runs in the signal's handler, between any two lines of the program: it only leaves word."""
        if self.loop is None or self.draining is not None:
            super().handle_exit(sig, frame)
        else:
            self.loop.call_soon_threadsafe(self.begin_to_drain)

    def begin_to_drain(self) -> None:
        """Lets those inside finish."""
        if self.draining is None:
            self.draining = asyncio.ensure_future(self.drain())

    async def drain(self) -> None:
        """Ends the server when nobody is inside, or it takes too long."""
        if self.started:
            await drain(self.config.app, self.drain_s)  # type: ignore[arg-type]
        self.should_exit = True


def arguments() -> Any:
    """What the command line says."""
    parser = argparse.ArgumentParser(description="an example of a server behind a gate")
    parser.add_argument("--port", type=int, default=8000, help="0: a free one, which is printed")
    parser.add_argument("--slots", type=int, default=64, help="requests that run at once")
    parser.add_argument("--token-ms", type=float, default=10, help="what the stand-in for an engine takes for a token")
    parser.add_argument("--body-s", type=float, default=5, help="how long a body may take to come")
    parser.add_argument("--drain-s", type=float, default=30, help="how long those inside have after SIGTERM")
    return parser.parse_args()


def main() -> None:
    """Binds, says where, and serves."""
    said = arguments()
    app = make_app(Settings(slots=said.slots, token_s=said.token_ms / 1e3, body_s=said.body_s))
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)
    with socket.create_server(("127.0.0.1", said.port), backlog=2048) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        asyncio.run(Server(config, said.drain_s).serve([listener]))


if __name__ == "__main__":
    main()
