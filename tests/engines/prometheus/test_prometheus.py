"""What the core writes is read by a real Prometheus, and everything that is shipped over it works there."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from metrics_world import SLOTS, World
from prometheus_server import Host, Prometheus, program

SHIPPED = Path(__file__).parents[3] / "docs/monitoring"
RULES = SHIPPED / "alerts.yml"
DASHBOARD = SHIPPED / "dashboard.json"
HERE = Path(__file__).parent


def promtool(*arguments: str, cwd: Path | None = None, text: str | None = None) -> str:
    done = subprocess.run(
        [program("promtool"), *arguments], cwd=cwd, input=text, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def queries() -> dict[str, str]:
    """Every query of the dashboard, by its panel and letter, with the variables as Grafana would fill them in."""
    board = json.loads(DASHBOARD.read_text())
    variables = {"$__rate_interval": "30s", "$resource": "slots", "$price": "2.5"}
    found = {}
    for panel in board["panels"]:
        for target in panel["targets"]:
            query = target["expr"]
            for name, value in variables.items():
                query = query.replace(name, value)
            assert "$" not in query, query
            found[f"{panel['title']}, {target['refId']}"] = query
    return found


@pytest.fixture(scope="module")
def host() -> Host:
    return Host(World())


@pytest.fixture(scope="module")
def prometheus(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    with host.serving() as target, Prometheus(folder, target, RULES).running() as server:
        # Rates need two scrapes, and preemptions come with the fourth second.
        server.wait_for("count_over_time(tidegate_build_info[5m]) >= 8")
        yield server


def test_promtool_finds_nothing_to_mend_on_a_page() -> None:
    world = World()
    for _ in range(9):
        world.second()
    assert promtool("check", "metrics", text=world.scheduler.metrics(format="prometheus")) == ""


def test_alerts_fire_when_they_should_and_not_before(tmp_path: Path) -> None:
    for file in (RULES, HERE / "alerts_test.yml"):
        shutil.copy(file, tmp_path)
    assert "7 rules found" in promtool("check", "rules", "alerts.yml", cwd=tmp_path)
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml", cwd=tmp_path)


def test_every_alert_is_tested() -> None:
    names = re.findall(r"alert: (\w+)", RULES.read_text())
    tested = (HERE / "alerts_test.yml").read_text()
    fired = re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n\s+- exp_labels: \{", tested)
    assert len(names) == 7
    assert sorted(set(fired)) == sorted(names)


def test_it_is_scraped_as_openmetrics_and_reads_what_was_told(host: Host, prometheus: Prometheus) -> None:
    assert set(host.formats) == {"openmetrics"}
    (capacity,) = prometheus.query('tidegate_capacity_units{resource="slots"}')
    assert float(capacity["value"][1]) == SLOTS
    (used_and_free,) = prometheus.query(
        'sum(tidegate_used_units{resource="slots"}) + sum(tidegate_free_units{resource="slots"})'
        ' + sum(tidegate_claimed_units{resource="slots"})'
    )
    assert float(used_and_free["value"][1]) == SLOTS
    named = {series["metric"]["tenant"] for series in prometheus.query("tidegate_tenant_unit_seconds_total")}
    assert named == {"search", 'a "quoted" \\ name', "other"}
    kinds = {name: told[0]["type"] for name, told in prometheus.ask("metadata").items() if name.startswith("tidegate_")}
    assert kinds["tidegate_queue_delay_seconds"] == "histogram"
    assert kinds["tidegate_tokens"] == "counter"
    assert "unknown" not in kinds.values()


def test_what_was_counted_is_what_prometheus_has_at_that_moment(host: Host, prometheus: Prometheus) -> None:
    # Counters only grow: what was before and what is after bound what was scraped last.
    name = "tidegate_submitted_requests_total"
    before = host.world.scheduler.stats().submitted
    (scraped,) = prometheus.wait_for(f"sum({name}) >= {before}")
    assert before <= float(scraped["value"][1]) <= host.world.scheduler.stats().submitted


@pytest.mark.parametrize("panel", queries())
def test_each_query_of_the_dashboard_finds_something(prometheus: Prometheus, panel: str) -> None:
    found = prometheus.wait_for(queries()[panel])
    assert all(series["value"][1] != "NaN" for series in found) or "quantile" in queries()[panel]


@pytest.mark.parametrize("name", ["hpa.yaml", "keda.yaml"])
def test_the_query_of_the_autoscalers_tells_workers(prometheus: Prometheus, name: str) -> None:
    text = " ".join((SHIPPED.parent / "examples/autoscaling" / name).read_text().split())
    query = text[text.index("max(sum by") :].partition(" ---")[0].replace('horizon="300"', 'horizon="0"')
    (found,) = prometheus.query(query)
    assert 0 < float(found["value"][1]) < 10, "of two workers all is wanted, and what waits"


def test_the_rules_are_loaded_and_can_be_evaluated(prometheus: Prometheus) -> None:
    (group,) = prometheus.ask("rules")["groups"]
    prometheus.wait_for("count_over_time(tidegate_build_info[5m]) >= 10")
    assert len(group["rules"]) == 7
    assert all(rule["health"] != "err" for rule in prometheus.ask("rules")["groups"][0]["rules"])
