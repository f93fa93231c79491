"""What is counted, as text, through prometheus_client, and as bills."""

import io
import json
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as plain_families

import tidegate
from tidegate import Start
from tidegate.chargeback import Chargeback, PriceTable, Row, write_csv
from tidegate.prometheus import SchedulerCollector

ONE = {"slots": 1, "kv_blocks": 40}
SECOND = 1_000_000_000
PRICES: PriceTable = {
    "currency": "USD",
    "tiers": {
        "batch": {
            "guaranteed_unit_second_nano": {"slots": 7},
            "borrowed_unit_second_nano": {"slots": 3},
            "prompt_token_nano": 2,
            "cached_token_nano": 1,
            "output_token_nano": 5,
        }
    },
}


@pytest.fixture
def used(sched: tidegate.Scheduler) -> tidegate.Scheduler:
    """A batch request ran for two seconds."""
    sched.submit(tenant="acme", tier="batch", demand=ONE, prompt_tokens=10, now_ns=0)
    (start,) = sched.poll(now_ns=0)
    assert isinstance(start, Start)
    done = {"prompt_tokens": 10, "cached_tokens": 4, "output_tokens": 3}
    sched.complete(start.request, start.attempt, **done, now_ns=2 * SECOND)
    return sched


def value(text: str, name: str) -> str:
    (found,) = (line.rsplit(" ", 1)[1] for line in text.splitlines() if line.rsplit(" ", 1)[0] == name)
    return found


def test_both_formats_are_read_by_the_parsers_of_others(used: tidegate.Scheduler) -> None:
    openly = {family.name for family in text_string_to_metric_families(used.metrics())}
    plainly = {family.name for family in plain_families(used.metrics(format="prometheus"))}
    assert openly == plainly
    assert "tidegate_queue_delay_seconds" in openly
    with pytest.raises(ValueError, match='"html" is neither'):
        used.metrics(format="html")


def test_a_collector_gives_what_stands_on_the_page(used: tidegate.Scheduler) -> None:
    registry = CollectorRegistry(auto_describe=True)
    registry.register(SchedulerCollector(used, tenants=0))
    page = generate_latest(registry).decode()
    name = 'tidegate_tenant_tokens_total{kind="output",tenant="other",tier="batch"}'
    assert float(value(page, name)) == 3
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(SchedulerCollector(used))


def test_usage_is_told_by_tier_and_ahead(used: tidegate.Scheduler) -> None:
    assert used.usage(0, tier="batch") == used.usage(0)
    assert used.usage(0, tier="realtime").submitted == 0
    used.submit(tenant="acme", tier="realtime", demand=ONE, now_ns=2 * SECOND)
    used.poll(now_ns=2 * SECOND)
    assert used.usage(0, tier="realtime", at_ns=5 * SECOND).unit_ns["slots"] == 3 * SECOND
    assert used.usage(0, at_ns=5 * SECOND).unit_ns["slots"] == 5 * SECOND
    assert used.tenants() == {0: "acme"}
    with pytest.raises(tidegate.UnknownTier):
        used.usage(0, tier="best")
    with pytest.raises(tidegate.UnknownTenant):
        used.usage(7, tier="batch")


def test_periods_are_billed_once_each(sched: tidegate.Scheduler) -> None:
    chargeback = Chargeback(sched, prices=PRICES)
    sched.submit(tenant="acme", tier="batch", demand=ONE, prompt_tokens=10, now_ns=0)
    (start,) = sched.poll(now_ns=0)
    assert isinstance(start, Start)
    (first,) = chargeback.close(at_ns=SECOND)
    kept = json.loads(json.dumps(chargeback.books))
    chargeback = Chargeback(sched, prices=PRICES, books=kept, at_ns=SECOND)
    used = {"prompt_tokens": 10, "cached_tokens": 4, "output_tokens": 3}
    sched.complete(start.request, start.attempt, **used, now_ns=3 * SECOND)
    (second,) = chargeback.close(at_ns=3 * SECOND)
    assert chargeback.close(at_ns=9 * SECOND) == []
    assert (first["from_ns"], first["to_ns"], second["from_ns"], second["to_ns"]) == (0, SECOND, SECOND, 3 * SECOND)
    kinds = ("slots_guaranteed_unit_ns", "slots_borrowed_unit_ns")
    assert sum(int(first[kind]) for kind in kinds) == SECOND
    assert sum(int(row[kind]) for row in (first, second) for kind in kinds) == 3 * SECOND
    assert (second["tenant"], second["tier"], second["output_tokens"], first["output_tokens"]) == (
        "acme",
        "batch",
        3,
        0,
    )
    tokens = 6 * 2 + 4 * 1 + 3 * 5
    assert int(first["cost_nano"]) + int(second["cost_nano"]) == tokens + 3 * 3, "all of it is borrowed"


def test_who_is_forgotten_is_billed_without_a_name() -> None:
    config = tidegate.Config(dimensions=["slots"], tiers=[{"name": "batch"}], max_tenants=1)
    sched = tidegate.Scheduler(config, now_ns=0)
    sched.worker_add(capacity=[4], now_ns=0)
    chargeback = Chargeback(sched)
    rows: list[Row] = []
    for second, name in enumerate(("one", "two", "three")):
        sched.submit(tenant=name, tier="batch", demand=[1], now_ns=second * SECOND)
        (start,) = sched.poll(now_ns=second * SECOND)
        assert isinstance(start, Start)
        if second == 1:
            rows += chargeback.close(at_ns=SECOND + SECOND // 2)
        sched.complete(start.request, start.attempt, output_tokens=5, now_ns=(second + 1) * SECOND)
    rows += chargeback.close(at_ns=3 * SECOND)
    assert sum(int(row["output_tokens"]) for row in rows) == 15
    unit_ns = ("slots_guaranteed_unit_ns", "slots_borrowed_unit_ns")
    assert sum(int(row[name]) for row in rows for name in unit_ns) == 3 * SECOND
    assert "" in {row["tenant"] for row in rows}


def test_a_table_keeps_names_from_being_formulas() -> None:
    out = io.StringIO()
    write_csv([{"tenant": "=1+1", "tier": "a,b", "cost_nano": 5}], out)
    assert out.getvalue() == 'tenant,tier,cost_nano\n\'=1+1,"a,b",5\n'


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        ({"best": {}}, "tiers.best: the config has no such tier"),
        ({"batch": {"token": 1}}, "there is no such price"),
        ({"batch": {"borrowed_unit_second_nano": {"gpus": 1}}}, "gpus: the config has no such dimension"),
        ({"batch": {"output_token_nano": 0.5}}, "is no whole number"),
    ],
)
def test_a_price_of_nothing_is_refused(sched: tidegate.Scheduler, prices: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Chargeback(sched, prices={"tiers": prices})  # type: ignore[typeddict-item]


def test_the_page_of_metrics_lists_every_family(used: tidegate.Scheduler) -> None:
    page = (Path(__file__).parents[2] / "docs/METRICS.md").read_text()
    told = {name for line in page.splitlines() if line.startswith("| `tidegate_") for name in [line.split("`")[1]]}
    found = {line.split()[2] for line in used.metrics(format="prometheus").splitlines() if line.startswith("# TYPE")}
    assert told == found
