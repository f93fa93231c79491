"""One file for all hosts: the scheduler's config at its top, and tenants, devices and workers beside it.

`tidegate config check` reads the same file by the same reader. Tables of programs (`PROGRAM_TABLES`) are passed over by
name; anything else that is not known is a fault. Nothing here knows a running scheduler but to tell it.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tidegate import Config, ConfigError, DevicePart, Scheduler, WorkerKind
from tidegate._tidegate import read_deployment

__all__ = ["PROGRAM_TABLES", "Deployment", "DeviceSettings", "TenantSettings", "WorkerSettings"]

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

    @staticmethod
    def parse(text: str, *, dimensions: Sequence[str] = (), tiers: str = "") -> "Deployment":
        """What `text` says.

        `dimensions`, and `tiers` as TOML, hold where the text has none. Raises `ConfigError` with all faults.
        """
        config, tenants, devices, workers, programs = read_deployment(text, dimensions=list(dimensions), tiers=tiers)
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
        )

    @staticmethod
    def load(path: str | os.PathLike[str]) -> "Deployment":
        """What the file at `path` says. Raises `ConfigError`, also if it cannot be read."""
        try:
            return Deployment.parse(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            message = f"{path}: {error}"
            raise ConfigError(message, faults=(("", str(error)),)) from None

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
