"""Budgets that replicas share: takes what leased limits want to a Redis server, and what it grants to the gate.

No request waits for it. While the server is gone, the scheduler's config says what holds (`lease_fallback`).
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.config import RedisSettings, TenantSettings
from tidegate import LeaseWanted, QuotaLimit
from tidegate.aio import Gate
from tidegate.redis import AsyncLeases, Budget


def budgets(tenants: Iterable[TenantSettings]) -> Iterator[tuple[TenantSettings, QuotaLimit, Budget]]:
    """What the store has of these tenants. Raises `ValueError` for what it refuses and a scheduler does not."""
    for tenant in tenants:
        for limit in (QuotaLimit.REQUESTS, QuotaLimit.TOKENS):
            if tenant.policy.get("leased") and str(limit) in tenant.policy:
                yield tenant, limit, Budget(f"{tenant.name}/{limit}", tenant.policy[str(limit)])


class Leases:
    """The store's side of a gate, which is made with `ask` as its `on_lease_wanted`."""

    def __init__(self) -> None:
        self._budgets: dict[tuple[int, QuotaLimit], Budget] = {}
        self._store: AsyncLeases | None = None

    def configure(self, tenants: tuple[TenantSettings, ...], numbers: Mapping[str, int]) -> None:
        """Says by which name the store knows which budget."""
        self._budgets = {(numbers[tenant.name], limit): budget for tenant, limit, budget in budgets(tenants)}

    def ask(self, wish: LeaseWanted) -> None:
        """Takes a wish to the store, some time soon; the scheduler says it again if nothing comes of it."""
        if self._store is not None and (wish.tenant, wish.limit) in self._budgets:
            self._store.ask(wish)

    def _budget(self, tenant: int, limit: QuotaLimit) -> Budget:
        return self._budgets[tenant, limit]

    @asynccontextmanager
    async def running(self, gate: Gate, settings: RedisSettings) -> AsyncIterator[None]:
        """Asks the store as long as the block runs."""
        client = redis.asyncio.Redis.from_url(
            settings.url, socket_timeout=settings.timeout, retry=Retry(NoBackoff(), 0)
        )
        async with (
            client,
            AsyncLeases(client, self._budget, replica=settings.replica, prefix=settings.prefix) as store,
        ):
            self._store = store
            bringing = asyncio.create_task(self._bring(gate, store), name="grants of leases")
            try:
                yield
            finally:
                self._store = None
                bringing.cancel()
                await asyncio.wait([bringing])

    async def _bring(self, gate: Gate, store: AsyncLeases) -> None:
        while True:
            await store.wait()
            for grant in store.grants():
                gate.lease_granted(*grant)
