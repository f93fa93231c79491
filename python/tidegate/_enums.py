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


class Gate(StrEnum):
    """What holds a waiting request back: the first that applies."""

    NO_WORKER = "no-worker"
    """It is parked: no worker that is up, or no share of what is up, can hold it."""
    CLAIM = "claim"
    """Its claim waits for victims to give back their units."""
    ROUND = "round"
    """It stopped or was declined in this round, and is offered again in the next."""
    BORROW_LIMIT = "borrow-limit"
    """Its tier would be beyond its reserve and its borrow limit."""
    NEVER_YIELDS = "never-yields"
    """It never yields, and would put reserves out of reach."""
    HELD = "held"
    """What is free is held for other tiers, or is not there."""
    ROOM = "room"
    """No worker has room for it."""
    EXCLUDED = "excluded"
    """The workers that have room are kept clear of it: declined by them, or drained for others."""
    QUOTA = "quota"
    """Its tenant, or one above, has no quota for it now, or others wait for it before."""
    WARMTH = "warmth"
    """It waits a while for a worker that has its prompt in the cache and no room now."""
    KEPT_OUT = "kept-out"
    """It is parked, and the workers that could hold it are kept out for a while: they were lost again and again."""


class RequestState(StrEnum):
    """Where a live request stands."""

    QUEUED = "queued"
    PARKED = "parked"
    STARTING = "starting"
    RUNNING = "running"
    PREEMPTING = "preempting"
    RELEASING = "releasing"
    ABORTING = "aborting"


class Order(StrEnum):
    """In which order the waiting requests of a tier are offered a start: a tier's setting `order`."""

    FAIR = "fair"
    DEFICIT_LONGEST_PREFIX = "deficit-longest-prefix"
    FIFO = "fifo"
    DEADLINE = "deadline"
    SHORTEST_FIRST = "shortest-first"
    HYBRID_DEADLINE = "hybrid-deadline"


class OverQuotaAction(StrEnum):
    """What becomes of a request whose tenant is over its quota when it is submitted."""

    WAIT = "wait"
    """It waits until there is quota."""
    REJECT = "reject"
    """It is refused, and told when to come again."""
    DEMOTE = "demote"
    """It goes to the next less urgent tier, and waits there for quota, which is the tenant's and not the tier's."""


class QuotaLimit(StrEnum):
    """One of the limits of a tenant."""

    REQUESTS = "requests"
    """Requests started per period."""
    TOKENS = "tokens"
    """Tokens per period."""
    RUNNING = "running"
    """Requests that run at once."""
    UNITS = "units"
    """Units that are in use at once."""


class Placement(StrEnum):
    """Which worker that fits gets a request, the fullest, emptiest, or who has its prompt: the setting `placement`."""

    PACK = "pack"
    SPREAD = "spread"
    PREFIX_AFFINITY = "prefix-affinity"


class Preemption(StrEnum):
    """Whom a tier may stop: its settings `preemption` and, but for `ANY_BORROWER`, `preempt_while_borrowing`."""

    LOWER_TIER = "lower-tier"
    NEVER = "never"
    ANY_BORROWER = "any-borrower"


class Rounding(StrEnum):
    """What becomes of a fraction of a unit of a reserve: a tier's setting `rounding`."""

    CEIL = "ceil"
    NEAREST = "nearest"
    FLOOR = "floor"


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
    """Drop or abort: it has outgrown every worker there is, or the one that it has to itself."""
    WORKER_LOST = "worker-lost"
    """Drop: its worker was lost, and it cannot run twice."""
    UNCONFIRMED = "unconfirmed"
    """Stuck: the victim was not reported stopped in time."""
    LEASE_NEEDED = "lease-needed"
    """LeaseWanted: somebody waits for it, or was refused it a while ago."""
    LEASE_AHEAD = "lease-ahead"
    """LeaseWanted: what is used in a while is half gone."""
    LEASE_OWED = "lease-owed"
    """LeaseWanted: more was used than was granted."""
    LEASE_IDLE = "lease-idle"
    """LeaseWanted: what nobody uses goes back."""
    REBALANCE = "rebalance"
    """Preempt: its worker is saturated and another idle, where it goes on."""


class WorkerKind(StrEnum):
    """How a worker shares its devices with others: what is its own, and what the others feel of it."""

    DEDICATED = "dedicated"
    """It has its devices to itself, or nothing is said of how it shares them."""
    TIME_SLICE = "time-slice"
    """A replica of a device whose processes take turns: compute and memory are shared."""
    MPS = "mps"
    """A client of a Multi-Process Service: all is shared, faults too. One that is lost takes the others along."""
    MIG = "mig"
    """An instance that the hardware cut off: nothing is shared."""
