"""The words that cross the border as string enums.

The extension makes its members from these classes by value: a word that is missing here fails on first use,
and a test compares the lists. A member equals its string, so callers may pass either.
"""

from enum import StrEnum


class Decline(StrEnum):
    """Why an engine did not take a request that it was told to start."""

    OTHER = "other"
    NO_ROOM = "no-room"
    NOT_READY = "not-ready"


class YieldMode(StrEnum):
    """How a victim yields: throw away what was computed, or keep it as far as the engine can."""

    RESTART = "restart"
    CHECKPOINT = "checkpoint"


class Yielding(StrEnum):
    """What the engine can do with a request that has to yield; `NEVER` runs to its end once started."""

    RESTART = "restart"
    CHECKPOINT = "checkpoint"
    NEVER = "never"


class RequestState(StrEnum):
    """Where a live request stands."""

    QUEUED = "queued"
    PARKED = "parked"
    STARTING = "starting"
    RUNNING = "running"
    PREEMPTING = "preempting"
    RELEASING = "releasing"
    ABORTING = "aborting"


class Reason(StrEnum):
    """Why the scheduler wants what it wants. Members stand in the order of their numbers, from 1."""

    GUARANTEED = "guaranteed"
    """Start: within the tier's reserve."""
    BORROWED = "borrowed"
    """Start: beyond the tier's reserve, on what nobody holds."""
    RECLAIMED = "reclaimed"
    """Start: on units that were reclaimed for it."""
    RECLAIM = "reclaim"
    """Preempt: the beneficiary is within its tier's reserve."""
    URGENT = "urgent"
    """Preempt: the beneficiary's tier may preempt while it borrows."""
    OUT_OF_MEMORY = "out-of-memory"
    """Preempt or abort: the worker has less memory than its requests use."""
    NOT_NEEDED = "not-needed"
    """Spare: the units are no longer needed."""
    QUEUE_TIMEOUT = "queue-timeout"
    """Drop: it waited longer than its queue timeout."""
    DISPLACED = "displaced"
    """Drop: a more urgent request needed its place in the queue."""
    DECLINED = "declined"
    """Drop: engines declined it three times in a row."""
    NEVER_FITS = "never-fits"
    """Drop or abort: no configured worker can hold it."""
    WORKER_LOST = "worker-lost"
    """Drop: its worker was lost, and it cannot run twice."""
    UNCONFIRMED = "unconfirmed"
    """Stuck: the victim was not reported stopped in time."""
