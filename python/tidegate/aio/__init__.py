"""An asyncio front for servers: requests wait at a gate for their turn, hold a place, and give it back when asked.

    async with gate.admit(tenant="acme", tier="realtime", demand={"slots": 1}) as grant:
        for step in engine(grant.worker):
            if grant.preempted:
                await grant.yield_()
            grant.progress(output_tokens=step)

The page is `docs/ASYNCIO.md`.
"""

from tidegate.aio._errors import (
    Aborted,
    ClockError,
    Closed,
    Dropped,
    GateFull,
    NotHeld,
    OverQuota,
    PlaceLost,
    QueueTimeout,
    WrongLoop,
)
from tidegate.aio._gate import Admission, Gate
from tidegate.aio._grant import Grant, Preempted

__all__ = [
    "Aborted",
    "Admission",
    "ClockError",
    "Closed",
    "Dropped",
    "Gate",
    "GateFull",
    "Grant",
    "NotHeld",
    "OverQuota",
    "PlaceLost",
    "Preempted",
    "QueueTimeout",
    "WrongLoop",
]
