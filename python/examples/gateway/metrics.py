"""What is counted, as Prometheus reads it: times by tier and tenant, engines, and all of the scheduler.

Names of tenants and engines are of the config, so that there are only so many.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from gateway.fleet import Fleet
from gateway.request import Used
from tidegate.aio import Gate
from tidegate.prometheus import SchedulerCollector

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


T = TypeVar("T")


class Children(dict[tuple[str, ...], T]):
    """A metric by its labels: looking one up in the metric itself costs more than counting."""

    def __init__(self, make: Callable[..., T]) -> None:
        self._make = make

    def __missing__(self, labels: tuple[str, ...]) -> T:
        child = self[labels] = self._make(*labels)
        return child


class Metrics:
    """The counters of one gateway."""

    def __init__(self, gate: Gate, fleet: Fleet) -> None:
        self._gate = gate
        self._fleet = fleet
        self._tiers = gate.scheduler.config.tiers
        self._registry = CollectorRegistry()
        whose = ("tier", "tenant")
        self._waits = self._histogram("wait_seconds", "Until a request was first started", whose)
        self._firsts = self._histogram("ttft_seconds", "Until its first token", whose)
        self._tokens = self._counter("tokens", "Tokens of completed requests", (*whose, "kind"))
        self._refused = self._counter("refused", "Requests that got no completion", ("code",))
        self._cuts = self._counter("cut", "Times that a request was stopped to go on later", ("tier",))
        self._faults = self._counter("engine_faults", "Requests that failed at an engine", ("engine",))
        self._registry.register(self)
        self._registry.register(SchedulerCollector(gate.scheduler))

    def _histogram(self, name: str, what: str, labels: tuple[str, ...]) -> "Children[Histogram]":
        metric = Histogram(f"tidegate_gateway_{name}", what, labels, registry=self._registry, buckets=SECONDS)
        return Children(metric.labels)

    def _counter(self, name: str, what: str, labels: tuple[str, ...]) -> "Children[Counter]":
        return Children(Counter(f"tidegate_gateway_{name}", what, labels, registry=self._registry).labels)

    def waited(self, tier: int, tenant: str, seconds: float) -> None:
        """A request was started for the first time."""
        self._waits[self._tiers[tier], tenant].observe(seconds)

    def first_token(self, tier: int, tenant: str, seconds: float) -> None:
        """A request has its first token."""
        self._firsts[self._tiers[tier], tenant].observe(seconds)

    def ended(self, tier: int, tenant: str, used: Used) -> None:
        """A request is complete."""
        for kind, tokens in zip(("prompt", "cached", "output"), used, strict=True):
            self._tokens[self._tiers[tier], tenant, kind].inc(tokens)

    def refused(self, code: str) -> None:
        """A request got no completion."""
        self._refused[code,].inc()

    def cut(self, tier: int) -> None:
        """A request was stopped at its engine."""
        self._cuts[self._tiers[tier],].inc()

    def failed(self, engine: str) -> None:
        """A request failed at its engine."""
        self._faults[engine,].inc()

    def text(self) -> bytes:
        """All of it."""
        self._gate.poll()  # while nobody comes, time passes by this: the next page tells what is wanted then
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """What is asked of the engines when somebody looks."""
        up = GaugeMetricFamily(
            "tidegate_engine_up", "Whether an engine is up: one that is kept out is not", labels=["engine"]
        )
        for url, is_up in self._fleet.states().items():
            up.add_metric([url], is_up)
        yield up
        out = GaugeMetricFamily(
            "tidegate_engine_out_seconds", "For how long yet it is kept out, lost again and again", labels=["engine"]
        )
        for url, seconds in self._fleet.out_for().items():
            out.add_metric([url], seconds)
        yield out
        slots = GaugeMetricFamily("tidegate_engine_slots", "What it has for this gateway", labels=["engine"])
        for url, number in self._fleet.slots().items():
            slots.add_metric([url], number)
        yield slots
