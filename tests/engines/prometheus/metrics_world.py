"""A scheduler with workers, tenants and a load in which everything happens that there are metrics of."""

from contextlib import suppress
from itertools import count

import tidegate
from tidegate import Preempt, Start

SECOND = 1_000_000_000
SLOTS = 8


class World:
    """Goes on second by second: batch fills the workers, others come and take back what is theirs."""

    def __init__(self) -> None:
        tiers = [
            {"name": "realtime", "reserve_ppm": 300_000},
            {"name": "near-realtime"},
            {"name": "batch", "reserve_ppm": 50_000, "queue_limit": 20},
        ]
        config = tidegate.Config(dimensions=["slots", "kv_blocks"], tiers=tiers, min_run="0s")
        self.scheduler = tidegate.Scheduler(config, now_ns=0)
        self._now = 0
        self._names = count()
        self._running: dict[int, tuple[int, int]] = {}
        for _ in range(2):
            self.scheduler.worker_add(capacity={"slots": SLOTS // 2, "kv_blocks": 400}, now_ns=0)
        for name in ("search", 'a "quoted" \\ name'):
            tenant = self.scheduler.tenant_set(name, now_ns=0)
            self.scheduler.tenant_configure(tenant, tokens=tidegate.Rate(600_000, 60 * SECOND, 60_000), now_ns=0)

    def second(self) -> tidegate.Scheduler:
        """A second passes."""
        self._now += SECOND
        name = f"key-{next(self._names)}"
        for tier, tenant in (("batch", "search"), ("batch", 'a "quoted" \\ name'), ("batch", name), ("realtime", name)):
            for _ in range(2):
                with suppress(tidegate.QueueFull):
                    self._submit(tier, tenant)
        self._poll()
        done = [request for request, (_, started) in self._running.items() if self._now - started >= 3 * SECOND]
        for request, (attempt, started) in list(self._running.items()):
            tokens = 1 + (self._now - started) // (SECOND // 10)
            self.scheduler.progress(request, attempt, output_tokens=tokens, in_use=(1, 50), now_ns=self._now)
        self._now += SECOND // 2
        for request in done:
            attempt, _ = self._running.pop(request)
            self.scheduler.complete(request, attempt, prompt_tokens=100, output_tokens=40, now_ns=self._now)
        self._poll()
        return self.scheduler

    def _submit(self, tier: str, tenant: str) -> None:
        demand = {"slots": 1, "kv_blocks": 40}
        self.scheduler.submit(tenant=tenant, tier=tier, demand=demand, prompt_tokens=100, now_ns=self._now)

    def _poll(self) -> None:
        while actions := self.scheduler.poll(now_ns=self._now):
            for action in actions:
                match action:
                    case Start(request, _, attempt):
                        self._running[request] = (attempt, self._now)
                    case Preempt(victim, attempt):
                        self._running.pop(victim)
                        self.scheduler.preempted(victim, attempt, now_ns=self._now)
                    case _:
                        pass
