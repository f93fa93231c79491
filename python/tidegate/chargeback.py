"""Who used how much in which period, and what that costs: from a scheduler that runs.

    chargeback = Chargeback(scheduler, prices=json.loads(Path("prices.json").read_text()))
    ...
    write_csv(chargeback.close(at_ns=now()), sys.stdout)  # every hour

Whole numbers everywhere: rows add up to what the scheduler counted, to the last unit, and periods to the whole. The
columns, the table of prices and `tidegate chargeback`, which makes the same rows from a journal, are in
`docs/METRICS.md`.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO, TypedDict, cast

from tidegate._records import TenantUsage
from tidegate._tidegate import Scheduler

__all__ = ["Chargeback", "Prices", "Row", "write_csv"]

Row = dict[str, int | str]
"""What a tenant used in a tier in a period, by the names of the columns."""

NANO = 1_000_000_000
COUNTS = ("prompt_tokens", "cached_tokens", "output_tokens", "lost_tokens", "preemptions", "memory_preemptions")
MOST_PRICE_NANO = 1_000_000_000_000_000
"""A million, as `tidegate chargeback` has it."""


class Prices(TypedDict, total=False):
    """What things cost in a tier, in billionths of the currency; what is left out costs nothing."""

    guaranteed_unit_second_nano: Mapping[str, int]
    borrowed_unit_second_nano: Mapping[str, int]
    prompt_token_nano: int
    cached_token_nano: int
    output_token_nano: int
    preemption_nano: int


class PriceTable(TypedDict, total=False):
    """What things cost, by the name of the tier."""

    currency: str
    tiers: Mapping[str, Prices]


Bill = dict[str, int]
Bills = dict[str, tuple[str, str, Bill]]
"""Tenant's name, tier and bill, by the tenant's number (`-`: those that are forgotten) and the tier."""


class Books(TypedDict):
    """All that was billed, and until when: JSON takes it."""

    until_ns: int
    bills: Bills


class Chargeback:
    """Bills what is used from now on, or since `books` were kept of an earlier one, in periods that `close` ends.

    The first period begins `at_ns`, or where the books end.

    Raises `ValueError` for a price of something that the scheduler's config does not have.
    """

    def __init__(
        self, scheduler: Scheduler, *, prices: PriceTable | None = None, books: Books | None = None, at_ns: int = 0
    ) -> None:
        self._scheduler = scheduler
        self._prices: Mapping[str, Prices] = (prices or {}).get("tiers", {})
        self._check()
        self.books: Books = self._read(max(at_ns, scheduler.now_ns)) if books is None else books
        """What was billed until the last period ended: keep it with a snapshot, and go on with it after a restart."""

    def _check(self) -> None:
        config = self._scheduler.config
        for tier, prices in self._prices.items():
            if tier not in config.tiers:
                raise ValueError(f"tiers.{tier}: the config has no such tier")
            for field, price in prices.items():
                if field not in Prices.__annotations__:
                    raise ValueError(f"tiers.{tier}.{field}: there is no such price")
                by_name = cast(Mapping[str, object], price if isinstance(price, Mapping) else {"": price})
                for name, nano in by_name.items():
                    if name and name not in config.dimensions:
                        raise ValueError(f"tiers.{tier}.{field}.{name}: the config has no such dimension")
                    if type(nano) is not int or abs(nano) > MOST_PRICE_NANO:
                        raise ValueError(f"tiers.{tier}.{field}: {nano!r} is no whole number up to {MOST_PRICE_NANO}")

    def close(self, *, at_ns: int) -> list[Row]:
        """Ends a period: what each tenant used in each tier since the last one ended; who used nothing is left out."""
        from_ns = self.books["until_ns"]
        # A scheduler that was restored may stand at an instant before the one that the books end at.
        at_ns = max(at_ns, from_ns, self._scheduler.now_ns)
        after = self._read(at_ns)
        changes = {key: (tenant, tier, dict(bill)) for key, (tenant, tier, bill) in after["bills"].items()}
        for key, (_, _, bill) in self.books["bills"].items():
            # What was billed of one that is forgotten now is among what was used by all that are.
            change = changes[key if key in changes else "-/" + key.split("/", 1)[1]][2]
            for name, number in bill.items():
                change[name] -= number
        self.books = after
        return [
            {"from_ns": from_ns, "to_ns": at_ns, "tenant": tenant, "tier": tier, **bill}
            for tenant, tier, bill in changes.values()
            if any(bill.values())
        ]

    def _read(self, at_ns: int) -> Books:
        """All that was used until then, and what it costs."""
        bills: Bills = {}
        tiers = list(enumerate(self._scheduler.config.tiers))
        for number, name in self._scheduler.tenants().items():
            for place, tier in tiers:
                used = self._scheduler.usage(number, tier=tier, at_ns=at_ns)
                bills[f"{number}/{place}"] = (name, tier, self._bill(used, tier))
        for place, tier in tiers:
            bills[f"-/{place}"] = ("", tier, self._bill(self._scheduler.forgotten_usage(tier), tier))
        return {"until_ns": at_ns, "bills": bills}

    def _bill(self, used: TenantUsage, tier: str) -> Bill:
        prices = self._prices.get(tier, {})
        dimensions = self._scheduler.config.dimensions
        borrowed = used.borrowed_unit_ns
        guaranteed = {name: used.unit_ns[name] - borrowed[name] for name in dimensions}
        within, beyond = (
            prices.get("guaranteed_unit_second_nano", {}),
            prices.get("borrowed_unit_second_nano", {}),
        )
        units = (within.get(name, 0) * guaranteed[name] + beyond.get(name, 0) * borrowed[name] for name in dimensions)
        cost = (
            sum(unit // NANO for unit in units)
            + prices.get("prompt_token_nano", 0) * (used.prompt_tokens - used.cached_tokens)
            + prices.get("cached_token_nano", 0) * used.cached_tokens
            + prices.get("output_token_nano", 0) * used.output_tokens
            + prices.get("preemption_nano", 0) * used.preemptions
        )
        return {
            "completed_requests": used.completed,
            **{name: getattr(used, name) for name in COUNTS},
            **{f"{name}_guaranteed_unit_ns": guaranteed[name] for name in dimensions},
            **{f"{name}_borrowed_unit_ns": borrowed[name] for name in dimensions},
            "cost_nano": cost,
        }


def write_csv(rows: Iterable[Row], out: TextIO, *, columns: Sequence[str] | None = None) -> None:
    """Writes rows as a table with the names of the columns above, those of the first row if none are given.

    A name that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    rows = list(rows)
    if columns is None:
        columns = list(rows[0]) if rows else []
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        guarded = {
            name: f"'{row[name]}" for name in ("tenant", "tier") if str(row[name]).startswith(("=", "+", "-", "@"))
        }
        writer.writerow({**row, **guarded})
