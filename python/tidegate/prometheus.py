"""All metrics of a scheduler for `prometheus_client`, beside those that a host has of its own.

    REGISTRY.register(SchedulerCollector(scheduler))

A host that serves nothing else needs neither this nor that library: `Scheduler.metrics` is the page. What stands on it
is in `docs/METRICS.md`. Needs prometheus_client: `pip install tidegate[prometheus]`.
"""

from collections.abc import Callable, Iterable
from typing import cast

from prometheus_client import Metric
from prometheus_client.openmetrics import parser
from prometheus_client.registry import Collector

from tidegate._tidegate import Scheduler

__all__ = ["SchedulerCollector"]


class SchedulerCollector(Collector):
    """Asks a scheduler for its metrics whenever somebody collects them; of its tenants, `tenants` are named."""

    def __init__(self, scheduler: Scheduler, *, tenants: int = 100) -> None:
        self._scheduler = scheduler
        self._tenants = tenants

    def collect(self) -> Iterable[Metric]:
        """All families, as they are now."""
        read = cast(Callable[[str], Iterable[Metric]], parser.text_string_to_metric_families)
        return read(self._scheduler.metrics(tenants=self._tenants))
