"""What an operator says: one TOML file, read whole or refused whole.

It is the file that all hosts of tidegate read (`tidegate.deployment`): the scheduler's settings at its top, and its
tenants. The tables `gateway`, `redis`, `engines` and `keys` are this program's; its workers are its engines, and not
those of `workers`. Nothing here knows a running scheduler.
"""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import tidegate
from tidegate.deployment import Deployment, TenantSettings

MAX_SLOTS = 1 << 40
"""Of one engine: what a scheduler takes as a number of units."""
MAX_POOLS = 4
"""That a request may name, as the scheduler has it."""
UNITS_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


class ConfigFault(Exception):
    """A file that cannot be used, with every fault found in it as a pair of path and message."""

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{path}: {message}" if path else message for path, message in faults))
        self.faults = faults


def duration_ns(text: object) -> int:
    """Nanoseconds of a duration as the scheduler's config writes it: a whole number and `s`, `ms`, `us` or `ns`."""
    if isinstance(text, str):
        number = text.rstrip("munsi")
        unit = text[len(number) :]
        if unit in UNITS_NS and number.isascii() and number.isdigit() and len(number) <= 18:
            return int(number) * UNITS_NS[unit]
    raise ValueError(f"{text!r} is not a whole number with a unit of s, ms, us or ns")


def seconds(text: object) -> float:
    """Of a duration of this program, which is longer than nothing."""
    found = duration_ns(text) / 1e9
    if not found:
        raise ValueError("is longer than 0")
    return found


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """The table `gateway`: bounds of this program, durations in seconds.

    The defaults are chosen arbitrarily, for a small machine.
    """

    max_body_bytes: int = 1 << 20
    body_timeout: float = 10
    """How long the head of a request may take, and then its body."""
    max_header_bytes: int = 16 << 10
    max_connections: int = 10_000
    write_timeout: float = 30
    """How long a client may take no byte of its answer."""
    max_waiting: int = 10_000
    max_tokens: int = 256
    """Output tokens of a request that does not say."""
    bytes_per_token: int = 4
    """To guess how many tokens a text has, until an engine tells."""
    above_right: str = "refuse"
    """What becomes of a tier above a key's right: `refuse` or `demote`."""
    connect_timeout: float = 2
    silence: float = 60
    """How long an engine may say nothing of a request that it has."""
    retries: int = 2
    """How often a request is asked again whose engine failed in the middle."""
    health_every: float = 1
    health_timeout: float = 2
    health_failures: int = 3
    """So many checks in a row that fail, and an engine is lost."""
    drain: float = 30
    """How long those inside may take to finish when the gateway is told to end."""
    models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The pools that serve a model, in order of preference; of others the tenant's, the tier's, or the first."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """One of `engines`: a server of the protocol, a worker of the scheduler."""

    url: str
    slots: int
    """Requests of this gateway that it runs at once."""
    pool: str = "default"
    max_slots: int = 0
    """As many if others leave room there; 0: it is `slots`."""
    load: str = ""
    """The path of its answer that says how many requests it has in all."""


@dataclass(frozen=True, slots=True)
class KeySettings:
    """One of `keys`: who asks with it, and what they may do."""

    sha256: str
    tenant: str
    most_urgent: int = 0
    """The most urgent tier that it may name, by number."""
    tier: int = 0
    """The tier of its requests that name none."""
    operator: bool = False
    """Whether it may ask for explanations of any request."""


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """The table `redis`: the store of the budgets that replicas share, those of tenants that are `leased`."""

    url: str
    replica: str
    """The name of this replica, the same in each of its lives."""
    prefix: str = "tidegate"
    timeout: float = 1
    """How long the store may take; no request waits for it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All of a file."""

    scheduler: tidegate.Config
    gateway: GatewaySettings
    engines: tuple[EngineSettings, ...]
    tenants: tuple[TenantSettings, ...]
    tier_pools: tuple[tuple[int, ...], ...]
    keys: tuple[KeySettings, ...]
    redis: RedisSettings | None


class _Reader:
    """Goes through tables, and keeps every fault instead of stopping at the first."""

    def __init__(self) -> None:
        self.faults: list[tuple[str, str]] = []

    def fault(self, path: str, message: str) -> None:
        self.faults.append((path, message))

    def take(self, table: dict[str, Any], path: str, name: str, kind: type, default: Any = None) -> Any:
        """A field of its kind, taken out of the table; a fault and the default if it is another."""
        value = table.pop(name, default)
        if value is default:
            return default
        if kind is float:
            try:
                return seconds(value)
            except ValueError as error:
                self.fault(f"{path}.{name}", str(error))
                return default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.fault(f"{path}.{name}", f"{value!r} is no {kind.__name__}")
            return default
        return value

    def need(self, table: dict[str, Any], path: str, name: str) -> str:
        """A word that has to be there."""
        value = self.take(table, path, name, str)
        if not value:
            self.fault(f"{path}.{name}", "is needed")
        return value or ""

    def rest(self, table: dict[str, Any], path: str) -> None:
        """Whatever was not taken is not known."""
        for name in table:
            self.fault(f"{path}.{name}" if path else name, "is not a setting")

    def tables(self, document: dict[str, Any], name: str) -> list[tuple[str, dict[str, Any]]]:
        """The tables of an array, each with its path."""
        found = document.pop(name, [])
        if not isinstance(found, list) or not all(isinstance(table, dict) for table in found):
            self.fault(name, f"is written as [[{name}]]")
            return []
        return [(f"{name}[{index}]", dict(table)) for index, table in enumerate(found)]

    def gateway(self, document: dict[str, Any], pools: tuple[str, ...]) -> GatewaySettings:
        table = document.pop("gateway", {})
        if not isinstance(table, dict):
            self.fault("gateway", "is written as [gateway]")
            return GatewaySettings()
        table = dict(table)
        models = self.models(self.take(table, "gateway", "models", dict, {}), pools)
        values = {
            known.name: self.take(table, "gateway", known.name, known.type, known.default)  # type: ignore[arg-type]
            for known in dataclasses.fields(GatewaySettings)
            if known.name != "models"
        }
        self.rest(table, "gateway")
        for name, value in values.items():
            if isinstance(value, int) and value < (0 if name == "retries" else 1):
                self.fault(f"gateway.{name}", f"{value} is too small")
        if values["above_right"] not in ("refuse", "demote"):
            self.fault("gateway.above_right", "is `refuse` or `demote`")
        return GatewaySettings(**values, models=models)

    def models(self, table: dict[str, Any], pools: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        """The pools of each model, by its name."""
        lists: dict[str, tuple[str, ...]] = {}
        for model, named in table.items():
            path = f"gateway.models.{model}"
            if not isinstance(named, list) or not all(isinstance(pool, str) for pool in named):
                self.fault(path, "is a list of names of pools")
                continue
            lists[model] = tuple(dict.fromkeys(named))  # one that is named again counts once
            if not 1 <= len(lists[model]) <= MAX_POOLS:
                self.fault(path, f"is a list of 1 to {MAX_POOLS} pools")
            elif unknown := [pool for pool in lists[model] if pools and pool not in pools]:
                self.fault(path, f"there is no pool {unknown[0]!r}")
        return lists

    def redis(self, document: dict[str, Any]) -> RedisSettings | None:
        if "redis" not in document:
            return None
        table = self.take(document, "", "redis", dict, {})
        table = dict(table)
        url, replica = self.need(table, "redis", "url"), self.need(table, "redis", "replica")
        prefix = self.take(table, "redis", "prefix", str, "tidegate")
        timeout = self.take(table, "redis", "timeout", float, 1)
        self.rest(table, "redis")
        if url and urlsplit(url).scheme not in ("redis", "rediss", "unix"):
            self.fault("redis.url", "is redis://, rediss:// or unix://")
        return RedisSettings(url, replica, prefix, timeout)

    def engine(self, path: str, table: dict[str, Any], pools: tuple[str, ...]) -> EngineSettings:
        url = self.need(table, path, "url").rstrip("/")
        slots = self.take(table, path, "slots", int, 0)
        pool = self.take(table, path, "pool", str, pools[0] if pools else "default")
        max_slots, load = self.take(table, path, "max_slots", int, slots), self.take(table, path, "load", str, "")
        self.rest(table, path)
        parts = urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username):
            self.fault(f"{path}.url", "is http:// or https://, a host, maybe a port and a path")
        if slots < 1:
            self.fault(f"{path}.slots", "is at least 1")
        for name, number in (("slots", slots), ("max_slots", max_slots)):
            if number > MAX_SLOTS:
                self.fault(f"{path}.{name}", f"is at most {MAX_SLOTS}")
        if max_slots < slots:
            self.fault(f"{path}.max_slots", "is less than `slots`")
        if max_slots > slots and not load:
            self.fault(f"{path}.load", "is needed, to know what others leave between `slots` and `max_slots`")
        if load and not load.startswith("/"):
            self.fault(f"{path}.load", "is a path: it begins with /")
        if pools and pool not in pools:
            self.fault(f"{path}.pool", f"there is no pool {pool!r}")
        return EngineSettings(url, slots, pool, max_slots, load)

    def key(self, path: str, table: dict[str, Any], tiers: tuple[str, ...]) -> KeySettings:
        sha256, tenant = self.need(table, path, "sha256").lower(), self.need(table, path, "tenant")
        if sha256 and (len(sha256) != 64 or set(sha256) - set("0123456789abcdef")):
            self.fault(f"{path}.sha256", "is 64 hexadecimal digits")
        names = {word: self.take(table, path, word, str) for word in ("most_urgent", "tier")}
        operator = self.take(table, path, "operator", bool, False)
        self.rest(table, path)
        for word, name in names.items():
            if name is not None and tiers and name not in tiers:
                self.fault(f"{path}.{word}", f"there is no tier {name!r}")
        most_urgent = tiers.index(names["most_urgent"]) if names["most_urgent"] in tiers else 0
        tier = tiers.index(names["tier"]) if names["tier"] in tiers else most_urgent
        if tier < most_urgent:
            self.fault(f"{path}.tier", "is above `most_urgent`")
        return KeySettings(sha256, tenant, most_urgent, tier, operator)


def parse(text: str) -> Settings:
    """The settings of a file's text. Raises `ConfigFault` with all that is wrong."""
    reader = _Reader()
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigFault([("", str(error))]) from None
    scheduler: tidegate.Config | None = None
    tenants: tuple[TenantSettings, ...] = ()
    tier_pools: tuple[tuple[int, ...], ...] = ()
    try:
        deployment = Deployment.parse(text)
    except tidegate.ConfigError as error:
        reader.faults.extend(error.faults)
    else:
        scheduler, tenants, tier_pools = deployment.config, deployment.tenants, deployment.tier_pools
        if "slots" not in scheduler.dimensions:
            reader.fault("dimensions", "has no `slots`, of which a request takes one")
    pools, tiers = (scheduler.pools, scheduler.tiers) if scheduler else ((), ())
    gateway, redis = reader.gateway(document, pools), reader.redis(document)
    lists = {name: reader.tables(document, name) for name in ("engines", "keys")}
    engines = tuple(reader.engine(path, table, pools) for path, table in lists["engines"])
    keys = tuple(reader.key(path, table, tiers) for path, table in lists["keys"])
    for name, words in [("engines.url", [engine.url for engine in engines]),
                        ("keys.sha256", [key.sha256 for key in keys])]:  # fmt: skip
        if len(set(words)) < len(words):
            reader.fault(name, "is there twice")
    if not engines:
        reader.fault("engines", "has none")
    if redis is None and any(tenant.policy.get("leased") for tenant in tenants):
        reader.fault("redis", "is needed: a tenant is `leased`")
    if reader.faults or scheduler is None:
        raise ConfigFault(reader.faults)
    settings = Settings(scheduler, gateway, engines, tenants, tier_pools, keys, redis)
    _try_budgets(settings)
    return settings


def _try_budgets(settings: Settings) -> None:
    """Raises `ConfigFault` if the store would refuse a budget."""
    if settings.redis is None:
        return
    from gateway.leases import budgets  # noqa: PLC0415 - only who shares budgets needs redis-py

    faults = []
    for tenant in settings.tenants:
        try:
            list(budgets([tenant]))
        except ValueError as error:
            faults.append((f"tenants {tenant.name!r}", str(error)))
    if faults:
        raise ConfigFault(faults)


def load(path: Path) -> Settings:
    """The settings of a file. Raises `ConfigFault`, also if it cannot be read."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigFault([("", str(error))]) from error
