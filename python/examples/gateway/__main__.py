"""The command: `python -m gateway CONFIG`."""

import argparse
import asyncio
import logging
import resource
import socket
import sys
from pathlib import Path

try:
    import uvloop
except ImportError:  # it is faster, and all there is to it
    uvloop = None  # type: ignore[assignment]

from gateway.config import ConfigFault, load
from gateway.server import run


def main() -> int:
    """Exit status: 0 ended as told, 2 the config or the address is not in order."""
    parser = argparse.ArgumentParser("gateway", description="Schedules requests for completions onto engine servers.")
    parser.add_argument("config", type=Path, help="a TOML file; SIGHUP reads it again")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="0 for any that is free (default: %(default)s)")
    parser.add_argument(
        "--watch",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="how often to look at CONFIG (0: never)",
    )
    parser.add_argument("--check", action="store_true", help="only say whether the config is in order")
    told = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = load(told.config)
    except ConfigFault as error:
        for path, message in error.faults:
            print(f"{told.config}: {path}: {message}" if path else f"{told.config}: {message}", file=sys.stderr)
        return 2
    if told.check:
        return 0
    try:
        listener = socket.create_server((told.host, told.port), backlog=4096)
    except OSError as error:
        print(f"{told.host}:{told.port}: {error}", file=sys.stderr)
        return 2
    # Each request has two connections, and most shells allow a program few files.
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    print(f"listening on http://{told.host}:{listener.getsockname()[1]}", flush=True)
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None)
    with runner:
        runner.run(run(told.config, settings, listener, told.watch))
    return 0


if __name__ == "__main__":
    sys.exit(main())
