"""What the file named in TIDEGATE_CONFIG says: the scheduler's config, its tenants, and what this adapter adds.

The file is TOML: the settings of `tidegate.Config`, beside them a table `tenants` with the arguments of
`tenant_configure` for each name, and a table `vllm` with the fields of `Settings`. It knows nothing of requests.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tidegate

VARIABLE = "TIDEGATE_CONFIG"
SLOTS, BLOCKS = DIMENSIONS = ("slots", "kv_blocks")
"""What is counted: requests in the batch, and blocks of the KV cache."""

TIERS = (
    {"name": "realtime", "reserve_ppm": 300_000},
    {"name": "near-realtime"},
    {"name": "batch", "reserve_ppm": 50_000},
)
"""The tiers where no file says otherwise."""


class SettingsError(ValueError):
    """The file cannot be used; says why."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All that is set before vLLM starts."""

    config: tidegate.Config
    tenants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    default_tier: str | int = -1
    """The tier of a request that names none: the least urgent, unless said otherwise."""
    default_tenant: str = "default"
    """Whose a request is that names no tenant."""

    @staticmethod
    def load(path: str | os.PathLike[str] | None = None) -> "Settings":
        """What the file says, or the one that TIDEGATE_CONFIG names; the defaults where there is none."""
        path = path if path is not None else os.environ.get(VARIABLE)
        if not path:
            return Settings.parse("")
        try:
            return Settings.parse(Path(path).read_text())
        except (OSError, UnicodeDecodeError, SettingsError) as error:
            raise SettingsError(f"{VARIABLE}: {path}: {error}") from error

    @staticmethod
    def parse(text: str) -> "Settings":
        """What such a text says."""
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(str(error)) from error
        tenants, ours = table.pop("tenants", {}), table.pop("vllm", {})
        unknown = sorted(set(ours) - {"default_tier", "default_tenant"})
        if unknown:
            raise SettingsError(f"vllm.{unknown[0]}: there is no such setting")
        table.setdefault("dimensions", list(DIMENSIONS))
        table.setdefault("tiers", list(TIERS))
        try:
            config = tidegate.Config(**table)
        except (TypeError, ValueError) as error:
            raise SettingsError(str(error)) from error
        if config.dimensions != DIMENSIONS:
            raise SettingsError(f"dimensions: {list(DIMENSIONS)} are those of vLLM")
        settings = Settings(config, tenants, **ours)
        settings.tier_number(settings.default_tier)
        settings.build(slots=1, blocks=1, now_ns=0)
        return settings

    def tier_number(self, tier: str | float) -> int:
        """The number of a tier that a client names, or gives as a number."""
        tiers = self.config.tiers
        if isinstance(tier, str):
            if tier in tiers:
                return tiers.index(tier)
            raise SettingsError(f"there is no tier {tier!r}; there are {', '.join(tiers)}")
        number = len(tiers) - 1 if tier == -1 else int(tier)
        if not 0 <= number < len(tiers):
            raise SettingsError(f"there is no tier {tier}; there are {len(tiers)}")
        return number

    def build(self, *, slots: int, blocks: int, now_ns: int) -> tuple[tidegate.Scheduler, int]:
        """A scheduler that knows the tenants, and its one worker: this engine."""
        scheduler = tidegate.Scheduler(self.config, now_ns=now_ns)
        numbers: dict[str, int] = {}
        for name in self.tenants:
            numbers[name] = scheduler.tenant_set(name, now_ns=now_ns)
        for name, given in self.tenants.items():
            try:
                arguments = dict(given)
                if "parent" in arguments:
                    arguments["parent"] = numbers[arguments["parent"]]
                scheduler.tenant_configure(numbers[name], **arguments, now_ns=now_ns)
            except (TypeError, ValueError, KeyError, tidegate.Error) as error:
                raise SettingsError(f"tenants.{name}: {error}") from error
        return scheduler, scheduler.worker_add((slots, blocks), now_ns=now_ns)


def check() -> None:
    """Reads the file, so that what is wrong with it is told by every process of vLLM when it starts."""
    Settings.load()
