"""What a gate refuses, and what it tells a block that holds no place any more.

What the scheduler refuses goes through as it is: `NeverFits`, `QueueFull`, `TierTooUrgent` and the others of
`tidegate`. Here are those that a gate knows alone.
"""

from tidegate._enums import Reason
from tidegate._errors import Error
from tidegate._errors import OverQuota as _OverQuota
from tidegate._errors import QueueFull as _QueueFull


class WrongLoop(Error, RuntimeError):
    """A gate belongs to the event loop that it was made in, and was called from elsewhere."""


class ClockError(Error):
    """The clock failed, or what it answers is no instant."""


class Closed(Error):
    """The gate is draining or closed: it takes nothing new. For a server: 503."""


class GateFull(_QueueFull):
    """As many wait at the gate as it lets wait; its `scope` is `gate`. For a server: 503."""


class OverQuota(_OverQuota):
    """Not now: its tenant does not wait for quota, and there is none. For a server: 429."""

    retry_after: float | None
    """Seconds until there is enough, if nothing else starts or changes; `None` if time alone does not help."""


class Dropped(Error):
    """The scheduler gave the request up while it waited."""

    reason: Reason


class QueueTimeout(Dropped, TimeoutError):
    """It waited longer than its queue timeout. For a server: 503."""


class NotHeld(Error, RuntimeError):
    """The grant holds no place: its block has not begun or has ended, or another task waits in its `yield_`."""


class PlaceLost(Error):
    """The block ran on, and its place is gone: its worker was lost, or its request ended."""


class Aborted(PlaceLost):
    """The request has to stop for good: there is no memory for it, and it cannot begin anew."""

    reason: Reason


def dropped(reason: Reason) -> Dropped:
    """The exception for a `Drop` with this reason."""
    kind = QueueTimeout if reason is Reason.QUEUE_TIMEOUT else Dropped
    return kind(f"dropped while it waited: {reason}", reason=reason)


def over_quota(refused: _OverQuota, now_ns: int) -> OverQuota:
    """The exception for what the scheduler refused, with the time from now on."""
    at_ns = refused.retry_at_ns
    retry_after = None if at_ns is None else max(0, at_ns - now_ns) / 1e9
    return OverQuota(str(refused), **vars(refused), retry_after=retry_after)
