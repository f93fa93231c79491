"""What the file named in TIDEGATE_CONFIG says: the scheduler's config, its tenants, and what this adapter adds.

The file is the one that all hosts read (`tidegate.deployment`), with a table `vllm` for what this adapter adds. Its
devices and workers are not used: this engine is one worker by itself. It knows nothing of requests.
"""

import os
import threading
import tomllib
from dataclasses import dataclass
from pathlib import Path

import tidegate
from tidegate.deployment import Deployment

VARIABLE = "TIDEGATE_CONFIG"
SLOTS, BLOCKS = DIMENSIONS = ("slots", "kv_blocks")
"""What is counted: requests in the batch, and blocks of the KV cache."""

TIERS = """
[[tiers]]
name = "realtime"
reserve_ppm = 300_000

[[tiers]]
name = "near-realtime"

[[tiers]]
name = "batch"
reserve_ppm = 50_000
"""
"""The tiers where no file says otherwise."""

OURS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "default_tier": ((str, int), "the name of a tier, or its number"),
    "default_tenant": (str, "a name"),
    "watch_every_s": ((int, float), "seconds"),
}
"""The table `vllm`: what each setting of it may be."""


class SettingsError(ValueError):
    """The file cannot be used; says why."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All that is set before vLLM starts."""

    deployment: Deployment
    default_tier: str | int = -1
    """The tier of a request that names none: the least urgent, unless said otherwise."""
    default_tenant: str = "default"
    """Whose a request is that names no tenant."""
    watch_every_s: float = 0.0
    """How often a step looks whether the file has changed; 0 for never."""

    @staticmethod
    def path() -> str | None:
        """The file, if one is named."""
        return os.environ.get(VARIABLE) or None

    @staticmethod
    def load(path: str | os.PathLike[str] | None = None) -> "Settings":
        """What the file says, or the one that TIDEGATE_CONFIG names; the defaults where there is none."""
        path = path if path is not None else Settings.path()
        if path is None:
            return Settings.parse("")
        try:
            return Settings.parse(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, SettingsError) as error:
            raise SettingsError(f"{VARIABLE}: {path}: {error}") from error

    @staticmethod
    def parse(text: str) -> "Settings":
        """What such a text says."""
        try:
            deployment = Deployment.parse(text, dimensions=DIMENSIONS, tiers=TIERS)
            ours = tomllib.loads(text).get("vllm", {})
        except (tomllib.TOMLDecodeError, tidegate.ConfigError) as error:
            raise SettingsError(str(error)) from error
        if not isinstance(ours, dict):
            raise SettingsError("vllm: it is no table")
        for name, value in ours.items():
            if name not in OURS:
                raise SettingsError(f"vllm.{name}: there is no such setting")
            kinds, is_what = OURS[name]
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise SettingsError(f"vllm.{name}: {value!r} is not {is_what}")
        if not 0 <= ours.get("watch_every_s", 0) <= threading.TIMEOUT_MAX:
            raise SettingsError("vllm.watch_every_s: it is less than 0, or longer than anybody waits")
        if deployment.config.dimensions != DIMENSIONS:
            raise SettingsError(f"dimensions: {list(DIMENSIONS)} are those of vLLM")
        settings = Settings(deployment, **ours)
        settings.tier_number(settings.default_tier)
        return settings

    @property
    def config(self) -> tidegate.Config:
        """The scheduler's settings."""
        return self.deployment.config

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
        self.deployment.introduce_tenants(scheduler, now_ns=now_ns)
        return scheduler, scheduler.worker_add((slots, blocks), now_ns=now_ns)


def check() -> None:
    """Reads the file, so that what is wrong with it is told by every process of vLLM when it starts."""
    Settings.load()
