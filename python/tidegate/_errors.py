"""What can be wrong with a call. Nothing changed in the scheduler when one of these is raised.

"Never" and "not now" are different: `NeverFits`, `NeverAllowed` and `LimitExceeded` are permanent, `QueueFull`,
`OverQuota` and `Busy` pass.
"""

from tidegate._enums import QuotaLimit, RequestState


class Error(Exception):
    """The root of all that tidegate raises. Its numbers are attributes."""

    def __init__(self, message: str, /, **fields: object) -> None:
        super().__init__(message)
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        fields = "".join(f", {name}={value!r}" for name, value in vars(self).items() if name != "__notes__")
        return f"{type(self).__name__}({str(self)!r}{fields})"


class BadArgument(Error, ValueError):
    """A number that the core has no room for, or a word that it does not know."""


class ConfigError(Error, ValueError):
    """A config that cannot be used, with every fault in it."""

    faults: tuple[tuple[str, str], ...]
    """Pairs of path and message, as `("tiers[0].reserve_ppm", "...")`."""


class ManifestError(Error, ValueError):
    """Kubernetes manifests that cannot be used, with every fault in them."""

    faults: tuple[tuple[str, int | None, str, str], ...]
    """File, line, object and field, and message of each."""


class InternalError(Error):
    """A bug in tidegate. The scheduler that raised it refuses every later call."""


class Forked(Error):
    """The process was forked while another thread was in a call of the scheduler: here it can be used no more.

    A shared scheduler is of the process that made it, wherever its threads were.
    """


class SharedError(Error):
    """A call that a shared scheduler does not take: only `SharedScheduler.poll` polls it."""


class Busy(SharedError):
    """Not now: the intake is full, or what came of it was not polled. Nothing happened."""


class InvariantViolation(Error):
    """A named invariant does not hold: a bug in the scheduler."""

    name: str
    detail: str


class SnapshotError(Error, ValueError):
    """Bytes of which no scheduler could be made."""

    kind: str
    """`not-a-snapshot`, `damaged`, `other-format` (of another build of tidegate) or `other-shape` (its config has other
    dimensions, pools or tiers)."""


class SubmitError(Error):
    """A request was not accepted."""


class ReportError(Error):
    """A report of a request, its cancellation, or a question about it was refused."""


class WorkerError(Error):
    """A worker or a device was not added or changed, or a step of a worker was refused."""


class TenantError(Error):
    """A tenant was not set, configured or removed, or not granted what its leased limits want."""


class LimitExceeded(SubmitError, ReportError, WorkerError, TenantError):
    """A number is beyond what the scheduler takes."""

    limit: str
    """Of what: `units`, `tokens`, `requests`, `devices`, `devices-per-worker`, `workers`, `tenants`, `name-bytes` or
    `attempts`."""
    max: int
    """The largest number allowed."""


class UnknownDimension(SubmitError, ReportError, WorkerError):
    """The config has no dimension of this name."""

    dimension: str


class UnknownPool(SubmitError, WorkerError):
    """The config has no such pool."""

    pool: str | int


class UnknownTier(SubmitError):
    """The config has no such tier."""

    tier: str | int


class UnknownTenant(SubmitError, TenantError):
    """No tenant has this number; a name would have made one."""

    tenant: int


class ZeroDemand(SubmitError):
    """The request asks for nothing, and would never be waited for."""


class NeverFits(SubmitError):
    """No configured worker, or no share that its tier may use, can ever hold it."""

    dimension: str
    need: int
    max: int


class QueueFull(SubmitError):
    """Not now: a queue is full."""

    scope: str
    """Whose: `tier`, `tenant` or `total`."""
    tier: int | None
    tenant: int | None
    unit: str
    """What there is too much of: `requests` or `tokens`."""
    limit: int


class TierTooUrgent(SubmitError):
    """The tenant may use less urgent tiers only."""

    tenant: int
    tier: int
    allowed: int
    """The most urgent tier that it may use."""


class NeverAllowed(SubmitError):
    """Never, as the limits are: it needs more than a limit of its tenant, or of one above."""

    tenant: int
    """Whose limit."""
    limit: QuotaLimit
    need: int
    max: int


class OverQuota(SubmitError):
    """Not now: its tenant does not wait for quota, and there is none."""

    tenant: int
    """Whose limit."""
    limit: QuotaLimit
    retry_at_ns: int | None
    """When there is enough, if nothing else starts or changes; `None` if time alone does not help."""


class UnknownRequest(ReportError):
    """No request ever had this id."""

    request: int


class AlreadyTerminal(ReportError):
    """The request has ended already."""

    request: int


class StaleAttempt(ReportError):
    """The report is of an earlier start, or of one that was not made."""

    request: int
    attempt: int
    """The attempt reported."""
    current: int
    """The attempt it is at."""


class WrongState(ReportError):
    """The report does not follow from where the request stands."""

    request: int
    state: RequestState


class UnknownWorker(WorkerError):
    """No worker has this number."""

    worker: int


class WorkerLost(WorkerError):
    """The worker was reported lost already."""

    worker: int


class NotLost(WorkerError):
    """Who is to be replaced is no lost worker of the pool."""

    worker: int


class UnknownDevice(WorkerError):
    """No device has this number."""

    device: int


class DeviceLost(WorkerError):
    """The device was reported lost already."""

    device: int


class BadPart(WorkerError):
    """The part of a device is 0, more than 1,000,000, or of a device that is named before."""

    device: int


class SharedAcrossPools(WorkerError):
    """A device with less than its workers can be shared by workers of one pool only."""

    device: int
    pool: int
    """The pool of another worker on it."""


class NotHere(WorkerError):
    """The request is on another worker, or on none."""

    request: int
    worker: int


class ZeroCapacity(WorkerError):
    """The worker has no units at all."""


class BadName(TenantError):
    """The name is empty, or has a control character."""


class TenantCycle(TenantError):
    """The tenant would stand below itself."""

    tenant: int


class TenantTooDeep(TenantError):
    """The tree of tenants would be too deep."""

    tenant: int


class TenantTooMuch(TenantError):
    """What the tenant has open is more than the books of those above can hold."""

    tenant: int


class TenantBusy(TenantError):
    """The tenant has live requests, or tenants below it."""

    tenant: int


class GrantTooLarge(TenantError):
    """A grant is more than was wanted."""

    tenant: int
    wanted: int
    tokens: int
    """What was granted."""


class PolicyError(TenantError, ConfigError):
    """A tenant's policy that cannot be used, with every fault in it, as `("tokens.burst", "...")`."""
