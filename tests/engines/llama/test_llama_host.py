"""The llama.cpp host: who yields goes on as if nothing had been, and nobody fails for want of cells."""

import pytest
from llama_run import Ask, Host, Run
from llama_traffic import mixed

# Every request alone, from its beginning to its end.
ALONE = ["--first-come", "--slots", "1", "--cells", "2048"]
SLOTS_SHORT = ["--slots", "4", "--cells", "2048"]
CELLS_SHORT = ["--slots", "6", "--cells", "1024"]


@pytest.fixture(scope="module")
def asks() -> list[Ask]:
    return mixed(seed=3)


@pytest.fixture(scope="module")
def alone(host: Host, asks: list[Ask]) -> Run:
    return host.serve(asks, *ALONE)


@pytest.fixture(scope="module")
def slots_short(host: Host, asks: list[Ask]) -> Run:
    return host.serve(asks, *SLOTS_SHORT)


@pytest.fixture(scope="module")
def cells_short(host: Host, asks: list[Ask]) -> Run:
    return host.serve(asks, *CELLS_SHORT)


def kinds_of_those(asks: list[Ask], run: Run) -> set[str]:
    """How those choose their tokens that yielded at least once."""
    preempted = [ask for ask, request in zip(asks, run.requests, strict=True) if request.preemptions]
    return {"drawn" if ask.seed else "likeliest" for ask in preempted}


@pytest.mark.parametrize(
    "options",
    [
        ["--slots", "1", "--batch-tokens", "7"],
        ["--slots", "1", "--batch-tokens", "512"],
        ["--slots", "5", "--batch-tokens", "7"],
        ["--slots", "5", "--batch-tokens", "512"],
    ],
    ids=" ".join,
)
def test_nothing_depends_on_what_is_computed_together(
    host: Host, asks: list[Ask], alone: Run, options: list[str]
) -> None:
    """Not even a bit of the logits: what the other tests compare is sound."""
    run = host.serve(asks, "--first-come", "--cells", "2048", *options)
    assert run.counts["reclaims"] == run.counts["for_memory"] == 0
    assert run.results() == alone.results()


def test_the_outputs_are_worth_comparing(alone: Run) -> None:
    assert all(request.phase == "completed" for request in alone.requests)
    long = [request.output for request in alone.requests if len(request.output) > 100]
    assert len(long) >= 4
    assert all(len(set(output)) > 50 for output in long), "outputs go round in circles"
    assert len({request.logits_digest for request in alone.requests}) == len(alone.requests)


def test_who_yields_goes_on_in_another_slot_as_if_nothing_had_been(
    asks: list[Ask], alone: Run, slots_short: Run
) -> None:
    assert slots_short.counts["reclaims"] >= 5
    assert slots_short.counts["restored"] >= 5
    assert slots_short.counts["moved"] >= 1
    assert kinds_of_those(asks, slots_short) == {"likeliest", "drawn"}
    assert slots_short.results() == alone.results()


def test_realtime_starts_in_the_step_in_which_it_comes(host: Host, asks: list[Ask], slots_short: Run) -> None:
    assert all(request.steps_until_start() == 0 for request in slots_short.of_tier("realtime"))
    assert all(request.preemptions == 0 for request in slots_short.of_tier("realtime"))
    first_come = host.serve(asks, "--first-come", *SLOTS_SHORT)
    assert max(request.steps_until_start() for request in first_come.of_tier("realtime")) > 100


def test_cells_that_run_out_stop_somebody_and_fail_nobody(asks: list[Ask], alone: Run, cells_short: Run) -> None:
    assert cells_short.counts["no_cells"] >= 1
    assert cells_short.counts["for_memory"] >= cells_short.counts["no_cells"]
    assert kinds_of_those(asks, cells_short) == {"likeliest", "drawn"}
    assert cells_short.results() == alone.results()
    assert all(request.steps_until_start() == 0 for request in cells_short.of_tier("realtime"))


def test_who_yields_is_computed_again_where_no_state_can_be_saved(host: Host, asks: list[Ask], alone: Run) -> None:
    run = host.serve(asks, *CELLS_SHORT, "--checkpoint-mib", "0")
    assert run.counts["saved"] == run.counts["saved_bytes_peak"] == 0
    assert run.counts["dropped"] >= 5
    assert run.counts["refilled"] >= 5
    assert run.counts["reclaims"] >= 1
    assert run.counts["for_memory"] >= 1
    assert kinds_of_those(asks, run) == {"likeliest", "drawn"}
    assert run.results() == alone.results()


def test_states_are_saved_as_long_as_there_is_memory_for_them(host: Host) -> None:
    asks = mixed(seed=11, batch=24, bursts=12)
    run = host.serve(asks, "--slots", "10", "--cells", "2048", "--checkpoint-mib", "1")
    assert 0 < run.counts["saved_bytes_peak"] <= 1 << 20
    for taken in ("saved", "dropped", "restored", "refilled"):
        assert run.counts[taken] >= 2, taken
    assert run.results() == host.serve(asks, *ALONE).results()
    roomy = host.serve(asks, "--slots", "10", "--cells", "2048", "--checkpoint-mib", "64")
    assert roomy.counts["dropped"] == 0


def test_who_can_never_fit_is_refused_and_who_outgrows_all_cells_is_given_up(host: Host) -> None:
    too_long = Ask(0, "batch", "acme", 10, 0, "x" * 600)
    too_large = Ask(1, "batch", "acme", 500, 0, "y" * 460)
    others = [Ask(step, "batch", "globex", 40, step, "some work of another") for step in range(4)]
    run = host.serve([too_long, too_large, *others], "--slots", "3", "--cells", "512")
    refused, given_up, *rest = run.requests
    assert refused.phase == "refused"
    assert "never" in refused.answer
    assert refused.started is None
    assert (given_up.phase, given_up.answer) == ("failed", "never-fits")
    assert given_up.prompt_tokens + len(given_up.output) > 512
    assert all(request.phase == "completed" for request in rest)
    assert [request.result() for request in rest] == host.serve(others, *ALONE).results()
