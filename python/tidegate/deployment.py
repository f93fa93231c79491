"""One file for all hosts: the scheduler's config at its top, and tenants, devices and workers beside it.

`tidegate config check` reads the same file by the same reader. Tables of programs (`PROGRAM_TABLES`) are passed over by
name; anything else that is not known is a fault. Nothing here knows a running scheduler but to tell it.

A host that runs takes another file whole, or stays as it is:

    with watch("/etc/tidegate/tidegate.toml", scheduler, on_refused=log.error):
        serve()
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tidegate import Config, ConfigError, DevicePart, Error, Scheduler, TenantError, WorkerKind
from tidegate._tidegate import read_deployment
from tidegate.watching import FileWatch, Refusals

__all__ = [
    "PROGRAM_TABLES",
    "Deployment",
    "DeviceSettings",
    "FileWatch",
    "InForce",
    "TenantSettings",
    "TenantTree",
    "WorkerSettings",
    "watch",
]

_log = logging.getLogger(__name__)

PROGRAM_TABLES: Final = ("engines", "gateway", "keys", "redis", "vllm")
"""Tables that only the program reads whose they are."""


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """One of `tenants`; those that are not named have the config's default policy."""

    name: str
    parent: str | None
    """The name of the tenant above it."""
    policy: Mapping[str, Any]
    """Keywords of `tenant_configure`, those that are not at their defaults."""
    pools: tuple[int, ...] = ()
    """The pools that a host names for its requests, in order of preference; none leaves it to their tiers."""


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """One of `devices`."""

    name: str
    limit: tuple[int, ...]
    """Units by dimension, 0 where there is no limit."""
    checkpoint_mib: int | None


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """One of `workers`: so many that are alike."""

    count: int
    pool: int
    capacity: tuple[int, ...]
    devices: tuple[DevicePart, ...]
    """Parts of devices, which are numbered by their place in the file."""
    kind: WorkerKind = WorkerKind.DEDICATED
    spare: bool = False
    """Whether they stand by until others of their pool are lost."""
    most_urgent: int = 0
    """The most urgent tier whose requests a host sends to them."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """All of a file but the tables of programs."""

    config: Config
    tenants: tuple[TenantSettings, ...] = ()
    devices: tuple[DeviceSettings, ...] = ()
    workers: tuple[WorkerSettings, ...] = ()
    programs: tuple[str, ...] = ()
    """The tables of programs that are there."""
    tier_pools: tuple[tuple[int, ...], ...] = ()
    """By tier, the pools that a host names for its requests whose tenants list none; none leaves it to the host.
    `parse` gives a list for each tier."""
    warnings: tuple[str, ...] = ()
    """What is allowed, and seldom meant: more engines on a device than are sensible. They are logged as well."""

    @staticmethod
    def parse(text: str, *, dimensions: Sequence[str] = (), tiers: str = "") -> "Deployment":
        """What `text` says.

        `dimensions`, and `tiers` as TOML, hold where the text has none. Raises `ConfigError` with all faults.
        """
        config, tenants, tier_pools, devices, workers, programs, warnings = read_deployment(
            text, dimensions=list(dimensions), tiers=tiers
        )
        for warning in warnings:
            _log.warning("%s", warning)
        return Deployment(
            config,
            tuple(TenantSettings(*tenant) for tenant in tenants),
            tuple(DeviceSettings(*device) for device in devices),
            tuple(
                WorkerSettings(
                    count, pool, capacity, tuple(DevicePart(*part) for part in parts), kind, spare, most_urgent
                )
                for count, pool, capacity, parts, kind, spare, most_urgent in workers
            ),
            tuple(programs),
            tuple(tier_pools),
            tuple(warnings),
        )

    @staticmethod
    def load(path: str | os.PathLike[str]) -> "Deployment":
        """What the file at `path` says. Raises `ConfigError`, also if it cannot be read."""
        try:
            return Deployment.parse(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            message = f"{path}: {error}"
            raise ConfigError(message, faults=(("", str(error)),)) from error

    def introduce_tenants(self, scheduler: Scheduler, *, now_ns: int) -> dict[str, int]:
        """Tells `scheduler` of the tenants, at `now_ns`. Returns their numbers by name."""
        numbers = {tenant.name: scheduler.tenant_set(tenant.name, now_ns=now_ns) for tenant in self.tenants}
        for tenant in self.tenants:
            parent = None if tenant.parent is None else numbers[tenant.parent]
            scheduler.tenant_configure(numbers[tenant.name], parent=parent, **tenant.policy, now_ns=now_ns)
        return numbers

    def introduce_workers(self, scheduler: Scheduler, *, now_ns: int) -> list[int]:
        """Tells `scheduler` of the devices and workers, at `now_ns`. Returns the numbers of the workers."""
        devices = [
            scheduler.device_add(device.limit, checkpoint_mib=device.checkpoint_mib, now_ns=now_ns)
            for device in self.devices
        ]
        numbers: list[int] = []
        for group in self.workers:
            parts = [DevicePart(devices[part.device], part.part_ppm) for part in group.devices]
            numbers += [
                scheduler.worker_add(
                    group.capacity,
                    pool=group.pool,
                    devices=parts or None,
                    kind=group.kind,
                    spare=group.spare,
                    now_ns=now_ns,
                )
                for _ in range(group.count)
            ]
        return numbers


class _Now:
    """The verbs of a scheduler, said at the time of a clock: as a `tidegate.aio.Gate` has them."""

    def __init__(self, scheduler: Scheduler, clock_ns: Callable[[], int]) -> None:
        self._scheduler = scheduler
        self._clock_ns = clock_ns

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        """Any of them."""
        said = getattr(self._scheduler, verb)
        return lambda *what, **more: said(*what, now_ns=self._clock_ns(), **more)


class TenantTree:
    """The tenants of a file as a host was told of them, so that those of another file can take their places.

    `host` is a `tidegate.aio.Gate`, or says verbs at a time of its own.
    """

    def __init__(self, host: Any) -> None:
        self._host = host
        self.parents: dict[str, str | None] = {}
        """By name, as the host was told."""
        self.numbers: dict[str, int] = {}
        """By name."""

    def configure(self, tenants: Iterable[TenantSettings]) -> None:
        """Tells of these; those that are not among them stay as they are. What fails in the middle is half done."""
        tenants = list(tenants)
        for tenant in tenants:
            self.numbers[tenant.name] = self._host.tenant_set(tenant.name)
        # Who moves is first out of the tree: on the way to another one it could be none. Nobody else is: a budget
        # takes back no more than its burst of what is held, and is charged for all of it.
        for tenant in tenants:
            if self.parents.get(tenant.name) not in (None, tenant.parent):
                self._place(tenant, None)
        for tenant in tenants:
            self._place(tenant, tenant.parent)

    def forget_all_but(self, tenants: Iterable[TenantSettings]) -> dict[str, TenantError]:
        """Forgets who is not among these, children before their parents. Returns who cannot be now, and why."""
        kept: dict[str, TenantError] = {}
        for name in sorted(self.numbers.keys() - {tenant.name for tenant in tenants}, key=self._height):
            try:
                self._host.tenant_remove(self.numbers[name])
            except TenantError as error:
                kept[name] = error
            else:
                del self.numbers[name]
                self.parents.pop(name, None)
        return kept

    def _place(self, tenant: TenantSettings, parent: str | None) -> None:
        above = None if parent is None else self.numbers[parent]
        self._host.tenant_configure(self.numbers[tenant.name], parent=above, **tenant.policy)
        self.parents[tenant.name] = parent

    def _height(self, name: str) -> int:
        """Of the top 0, and one less for each step down."""
        above = self.parents.get(name)
        return 0 if above is None else self._height(above) - 1


class InForce:
    """The file that a running scheduler goes by, in whose place another can be put: whole, or not at all.

    `scheduler` was made with the config of `deployment`, and is told of its tenants once more. `clock_ns` gives
    monotonic nanoseconds.
    """

    def __init__(
        self, scheduler: Scheduler, deployment: Deployment, *, clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._verbs: Any = _Now(scheduler, clock_ns)
        self._tree = TenantTree(self._verbs)
        self._tree.configure(deployment.tenants)
        self.deployment = deployment

    def change(self, deployment: Deployment) -> dict[str, TenantError]:
        """Puts `deployment` in force, and says who of the tenants that it leaves out could not be forgotten yet.

        Raises `tidegate.Error` if it cannot be in force, and the former is. `ConfigError` says so of devices and
        workers, which a scheduler has once they are there, and of other dimensions, pools or tiers. The host polls
        then: there may be something to do.
        """
        if (deployment.devices, deployment.workers) != (self.deployment.devices, self.deployment.workers):
            message = "devices and workers are read at the start alone"
            raise ConfigError(message, faults=(("workers", message),))
        # One that knows nothing else yet tells what is wrong with the tenants before anything is changed.
        deployment.introduce_tenants(Scheduler(deployment.config, now_ns=0), now_ns=0)
        self._verbs.reconfigure(deployment.config)
        try:
            self._tree.configure(deployment.tenants)
        except Error:
            self._verbs.reconfigure(self.deployment.config)
            self._tree.configure(self.deployment.tenants)
            self._tree.forget_all_but(self.deployment.tenants)
            raise
        self.deployment = deployment
        return self._tree.forget_all_but(deployment.tenants)


def watch(
    path: str | os.PathLike[str],
    scheduler: Scheduler,
    deployment: Deployment | None = None,
    *,
    clock_ns: Callable[[], int] = time.monotonic_ns,
    every_s: float = 2.0,
    on_changed: Callable[[Deployment], object] | None = None,
    on_refused: Callable[[Error], object] | None = None,
) -> FileWatch:
    """Looks at the file at `path` every `every_s` seconds, and puts it in force when it has changed.

    `deployment` is what it said when `scheduler` was made; without it the file is read now. A file that is not in
    order, or cannot be in force, changes nothing: `on_refused` hears why, else it is logged; one that cannot be read
    is tried again with each look, and told of once. `on_changed` lets the host poll. Both are called by whoever looks:
    the thread of a `with` block, or the task that awaits its `run`. `clock_ns` gives monotonic nanoseconds, as for
    all that `scheduler` is told. Raises `ConfigError` if the file has a fault now.
    """
    in_force = InForce(scheduler, Deployment.load(path) if deployment is None else deployment, clock_ns=clock_ns)

    refusals = Refusals()

    def changed() -> bool:
        try:
            loaded = Deployment.load(path)
            refusals.forget()
            if loaded == in_force.deployment:
                return True
            kept = in_force.change(loaded)
        except Error as error:
            if refusals.is_news(error):
                if on_refused is None:
                    _log.error("%s is not in force, what was before is: %s", path, error)
                else:
                    on_refused(error)
            return not refusals.is_unread(error)
        for name, why in kept.items():
            _log.warning("tenant %s is not forgotten before the file changes again: %s", name, why)
        if on_changed is not None:
            on_changed(loaded)
        return True

    return FileWatch(path, changed, every_s=every_s)
