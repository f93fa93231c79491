"""Workers, devices, tenants and config through a gate: the scheduler's verbs, at the gate's time.

Each takes what the scheduler's verb of the same name takes, less `now_ns`, and has a turn follow. All raise
`WrongLoop`, `Closed` and `ClockError`, and what the verb raises. Nothing here knows of grants, but that some are on a
worker.
"""

from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypedDict, TypeVar, Unpack

from tidegate._enums import OverQuotaAction, QuotaLimit, WorkerKind
from tidegate._records import DevicePart, Rate, StepException
from tidegate._tidegate import Config
from tidegate.aio._errors import Closed
from tidegate.aio._grant import Amounts
from tidegate.aio._room import Room

P = ParamSpec("P")
T = TypeVar("T")


class TenantPolicy(TypedDict, total=False):
    """What `Scheduler.tenant_configure` takes."""

    parent: int | None
    weight: int
    most_urgent: str | int
    requests: Rate | tuple[int, int, int] | None
    tokens: Rate | tuple[int, int, int] | None
    leased: bool
    max_running: int | None
    max_in_use: Amounts | None
    queue_limit: int | None
    queue_token_limit: int | None
    over_quota: OverQuotaAction | str
    allow_when_full: bool


class Fleet:
    """What a gate says of machines and tenants."""

    _room: Room

    def _say(self, verb: Callable[..., T], *args: Any, **fields: Any) -> T:
        room = self._room
        room.here()
        if room.closed is not None:
            raise Closed(str(room.closed))
        answer = verb(*args, **fields, now_ns=room.now())
        room.soon()
        return answer

    def worker_add(
        self,
        capacity: Amounts,
        *,
        pool: str | int = 0,
        devices: Iterable[DevicePart | tuple[int, int]] | None = None,
        kind: WorkerKind | str = "dedicated",
        spare: bool = False,
        replaces: int | None = None,
    ) -> int:
        """Adds a worker and returns its number; `kind`, `spare` and `replaces` as for `Scheduler`."""
        verb = self._room.scheduler.worker_add
        return self._say(verb, capacity, pool=pool, devices=devices, kind=kind, spare=spare, replaces=replaces)

    def worker_resize(self, worker: int, capacity: Amounts, *, preempt_after_ns: int | None = None) -> None:
        """Gives a worker another capacity."""
        self._say(self._room.scheduler.worker_resize, worker, capacity, preempt_after_ns=preempt_after_ns)

    def worker_usage(self, worker: int, *, in_use: Amounts) -> None:
        """Says what an engine uses in all, whatever its requests add up to."""
        self._say(self._room.scheduler.worker_usage, worker, in_use=in_use)

    def step(
        self,
        worker: int,
        *,
        tokens_each: int = 1,
        exceptions: Iterable[StepException | tuple[int, int, int, Amounts]] | None = None,
    ) -> None:
        """Says that a whole engine step is done."""
        self._say(self._room.scheduler.step, worker, tokens_each=tokens_each, exceptions=exceptions)

    def worker_drain(self, worker: int) -> None:
        """Pauses a worker for good: those on it run to their end, nobody else starts there."""
        self._say(self._room.scheduler.worker_drain, worker)

    async def worker_remove(self, worker: int, *, within: float | None) -> bool:
        """Drains a worker, and takes it away once nobody is on it. False after `within` seconds: it drains still."""
        self.worker_drain(worker)
        is_empty = await self._room.watch(lambda: not self._room.is_used(worker), within)
        if is_empty and self._room.closed is None:
            self._say(self._room.scheduler.worker_lost, worker)
        return is_empty

    def worker_lost(self, worker: int) -> None:
        """The worker is gone: blocks on it are told by `preempted` and `lost`, and `yield_` finds them another."""
        self._say(self._room.scheduler.worker_lost, worker)
        self._room.look_at_all()

    def device_add(self, limit: Amounts | None = None, *, checkpoint_mib: int | None = None) -> int:
        """Adds a device that workers can stand on and returns its number."""
        return self._say(self._room.scheduler.device_add, limit, checkpoint_mib=checkpoint_mib)

    def device_resize(self, device: int, limit: Amounts, *, preempt_after_ns: int | None = None) -> None:
        """Gives a device another limit."""
        self._say(self._room.scheduler.device_resize, device, limit, preempt_after_ns=preempt_after_ns)

    def device_lost(self, device: int) -> None:
        """The device is gone, and all workers on it: as `worker_lost` for each."""
        self._say(self._room.scheduler.device_lost, device)
        self._room.look_at_all()

    def tenant_set(self, name: str) -> int:
        """Makes a tenant known and returns its number."""
        return self._say(self._room.scheduler.tenant_set, name)

    def tenant_configure(self, tenant: int, **policy: Unpack[TenantPolicy]) -> None:
        """Says what a tenant may use, instead of what was said before."""
        self._say(self._room.scheduler.tenant_configure, tenant, **policy)

    def tenant_remove(self, tenant: int) -> None:
        """Forgets a tenant that has no live requests."""
        self._say(self._room.scheduler.tenant_remove, tenant)

    def lease_granted(self, tenant: int, limit: QuotaLimit | str, seq: int, tokens: int, valid_for_ns: int) -> None:
        """Takes the store's answer to a `LeaseWanted`."""
        self._say(self._room.scheduler.lease_granted, tenant, limit, seq, tokens, valid_for_ns)

    def reconfigure(self, config: Config) -> None:
        """Takes another config with the same dimensions, pools and tiers."""
        self._say(self._room.scheduler.reconfigure, config)
