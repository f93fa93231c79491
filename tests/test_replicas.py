"""One budget, four replicas that are processes of their own, and a real Redis: what holds when each of them fails.

All scenarios run at once, a cluster of their own each. `pytest tests/test_replicas.py -rP` prints the figures.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from lease_cluster import REPLICAS, Cluster, Event, Outcome
from lease_replica import FALLBACK_AFTER, LARGEST, PATIENCE_S, RATE, SECOND

MOST_IDLE = RATE.burst // 2 // REPLICAS
STOPPED = 8
"""Seconds for which a server is stopped."""


def steady(cluster: Cluster) -> None:
    cluster.wait(5, "well")
    cluster.wait(60, "end")


def killed(cluster: Cluster) -> None:
    cluster.wait(5, "warm")
    for number in range(2 * REPLICAS):
        cluster.wait(3, f"death {number}")
        cluster.kill(number % REPLICAS)
    cluster.wait(8, "well")
    cluster.wait(15, "end")


def restarted(cluster: Cluster) -> None:
    cluster.wait(5, "warm")
    for number in range(2):
        cluster.server.kill()
        cluster.wait(2, f"death {number}")
        cluster.server.start()
        cluster.wait(8, "well")
    cluster.wait(15, "end")


def stopped(cluster: Cluster) -> None:
    cluster.wait(5, "stopped")
    with cluster.server.stopped():
        cluster.wait(STOPPED, "goes on")
    cluster.wait(8, "well")
    cluster.wait(15, "end")


@dataclass(frozen=True)
class Scenario:
    """What happens to a cluster: from `well` to `end` all are up, and have been for a while."""

    play: Callable[[Cluster], None]
    fallback: str = "deny"
    shuffles: bool = False


SCENARIOS = {
    "steady": Scenario(steady),
    "shuffled": Scenario(steady, shuffles=True),
    "killed": Scenario(killed),
    "restarted": Scenario(restarted),
    "stopped-deny": Scenario(stopped),
    "stopped-share": Scenario(stopped, fallback="local-share"),
}


def run(folder: Path, scenario: Scenario) -> Outcome:
    folder.mkdir()
    cluster = Cluster(folder, scenario.fallback, scenario.shuffles)
    with cluster.running():
        scenario.play(cluster)
    return cluster.outcome()


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    folder = tmp_path_factory.mktemp("replicas")
    with ThreadPoolExecutor(len(SCENARIOS)) as pool:
        runs = {name: pool.submit(run, folder / name, scenario) for name, scenario in SCENARIOS.items()}
        return {name: future.result() for name, future in runs.items()}


@pytest.fixture
def outcome(outcomes: dict[str, Outcome], request: pytest.FixtureRequest) -> Outcome:
    return outcomes[request.param]


def of(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("outcome", names or SCENARIOS, indirect=True)


@of()
def test_what_is_held_is_in_the_budget(outcome: Outcome) -> None:
    held = 0
    closest = outcome.budget(outcome.marks["end"])
    for event in outcome.events:
        held += event.taken - event.charged
        left = outcome.budget(event.at) + outcome.lent_by(event.at) - held
        assert left >= 0, f"{held} are held, {outcome.budget(event.at)} came, {outcome.lent_by(event.at)} may be lent"
        if event.what == "start":
            closest = min(closest, left)
    print(f"{held} held, never less than {closest} below what came and may be lent")


@of()
def test_in_no_window_is_more_held_than_came_and_was_saved_up(outcome: Outcome) -> None:
    held, lowest, widest = 0, 0, 0
    for event in outcome.events:
        held += event.taken - event.charged
        beyond = held - outcome.budget(event.at) - outcome.lent_by(event.at)
        lowest = min(lowest, beyond)
        widest = max(widest, beyond - lowest)
    print(f"at most {widest} beyond what came in a window")
    assert widest <= RATE.burst + RATE.burst // 2 + REPLICAS * LARGEST


@of()
def test_each_starts_on_what_it_was_granted_or_lends_itself(outcome: Outcome) -> None:
    for log in outcome.logs:
        share_by = log.share_by if outcome.fallback == "local-share" else lambda _: 0
        for event, level in log.levels():
            assert event.what != "start" or level + share_by(event.at) >= 0, event


@of("steady", "shuffled")
def test_use_is_beyond_the_budget_by_what_outran_its_estimate_a_moment_ago(outcome: Outcome) -> None:
    """A moment ago: the store was not told yet, or what came since has not paid for it."""
    used, furthest, unpaid, came = 0, 0, 0, 0
    charges = [
        (event.charged, event.at, knows_at(event, told_at)) for log in outcome.logs for event, told_at in log.charges
    ]
    assert sum(charged for charged, _, _ in charges) > RATE.amount, "many outrun their estimates"
    for event in outcome.events:
        used += event.taken
        budget = outcome.budget(event.at)
        unpaid = max(0, unpaid - (budget - came)) + event.charged
        came = budget
        beyond = used - budget
        furthest = max(furthest, beyond)
        if beyond > 0:
            untold = sum(charged for charged, at, known_at in charges if at <= event.at <= known_at)
            assert beyond <= unpaid + untold
    print(f"used at most {furthest} beyond what came")


def knows_at(charge: Event, told_at: int | None) -> float:
    """When the store knows of it: a second later, unless it is seen to have taken longer."""
    return math.inf if told_at is None else max(told_at, charge.at + SECOND)


@of("steady", "shuffled", "stopped-deny", "stopped-share")
def test_every_token_is_found_in_the_books_of_the_store(outcome: Outcome) -> None:
    lent = outcome.left - outcome.came + sum(event.taken for event in outcome.events)
    print(f"{lent} tokens were lent, and {outcome.left} are left of {outcome.came}")
    assert outcome.left < RATE.burst, "nothing was clipped"
    assert 0 <= lent <= outcome.lent_by(outcome.events[-1].at)


@of("steady", "shuffled", "restarted", "stopped-deny", "stopped-share")
def test_the_scheduler_and_its_host_keep_the_same_books(outcome: Outcome) -> None:
    for log in outcome.logs:
        (books,) = log.of("books")
        back = sum(max(0, -event.taken) for event in log.of("end"))
        assert books.numbers == (back, sum(event.charged for event in log.events))


@of()
def test_at_least_nine_tenths_of_the_budget_are_used_while_all_are_well(outcome: Outcome) -> None:
    begin, end = outcome.marks["well"], outcome.marks["end"]
    print(f"{outcome.utilisation(begin, end):.2%} of the budget are used in {(end - begin) / SECOND:.0f} s")
    assert outcome.utilisation(begin, end) >= 0.9


@of("killed")
def test_a_death_costs_what_lay_there_and_what_was_under_way(outcome: Outcome) -> None:
    lost = outcome.came - outcome.left - sum(event.taken for event in outcome.events)
    deaths = len(outcome.logs) - REPLICAS
    assert deaths == 2 * REPLICAS
    not_told = sum(
        event.charged
        for log in outcome.logs[:deaths]
        for event, told_at in log.charges
        if knows_at(event, told_at) >= log.events[-1].at
    )
    print(f"{lost} tokens lost by {deaths} deaths")
    assert -not_told <= lost <= deaths * 2 * MOST_IDLE


@of("stopped-deny")
def test_who_lends_itself_nothing_starts_nothing_when_it_has_used_up_what_it_has(outcome: Outcome) -> None:
    # What ends gives back what it did not use, and others start on that: less each time.
    begin = outcome.marks["stopped"] + FALLBACK_AFTER + 4 * SECOND
    starts = [
        event for log in outcome.logs for event in log.of("start") if begin <= event.at < outcome.marks["goes on"]
    ]
    assert starts == []


@of("stopped-share")
def test_those_that_are_cut_off_share_the_rate(outcome: Outcome) -> None:
    begin = outcome.marks["stopped"] + 2 * FALLBACK_AFTER
    utilisation = outcome.utilisation(begin, outcome.marks["goes on"])
    print(f"{utilisation:.2%} of the rate are used while the store is stopped")
    assert utilisation >= 0.8
    assert min(level for log in outcome.logs for _, level in log.levels()) < 0, "they lent themselves something"


@of()
def test_nothing_is_sent_to_the_store_on_the_path_of_requests(outcome: Outcome) -> None:
    assert [event for log in outcome.logs for event in log.of("call")] == []
    sent = sum(event.numbers[0] for log in outcome.logs for event in log.of("sent"))
    assert sent > 0, "elsewhere something is sent, and counted"
    starts = sum(len(log.of("start")) for log in outcome.logs)
    asked = sum(len(log.of("ask")) for log in outcome.logs)
    print(f"0 calls in the turns of {starts} requests; {asked} wishes, {sent} sent, {outcome.calls} scripts run")


@of("stopped-deny", "stopped-share")
def test_no_request_feels_that_the_store_has_stopped(outcome: Outcome) -> None:
    both = outcome.turns(outcome.marks["stopped"], outcome.marks["goes on"])
    for name, turns in zip(("passed", "of a CPU"), both, strict=True):
        median, last_of_a_hundred, slowest = (turns[len(turns) * part // 1_000] for part in (500, 990, 999))
        print(f"submit and poll: median {median:.2f} ms, p99 {last_of_a_hundred:.2f} ms, p99.9 {slowest:.2f} ms {name}")
    # Whoever waited for the store would have waited all of its patience, however busy the machine is.
    passed, worked = (turns[len(turns) * 99 // 100] for turns in both)
    assert passed < PATIENCE_S * 1e3 / 2
    assert worked < 5
