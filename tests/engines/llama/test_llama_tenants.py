"""What tenants of the llama.cpp host may use, and what they have used."""

from itertools import combinations_with_replacement

from llama_run import STEPS_PER_SECOND, Ask, Host, Limit, Run
from llama_traffic import TENANTS, mixed

OPTIONS = ["--slots", "5", "--cells", "1280"]


def estimate(ask: Ask, run: Run, number: int) -> int:
    """What the start of a request holds: all it may use."""
    return run.requests[number].prompt_tokens + ask.max_output


def test_what_tenants_have_used_is_what_their_requests_have(host: Host) -> None:
    run = host.serve(mixed(seed=5), *OPTIONS)
    assert run.counts["reclaims"] + run.counts["for_memory"] >= 3
    for name in TENANTS:
        told = run.tenants[name]
        own = [request for request in run.requests if request.tenant == name]
        assert told["completed"] == len(own)
        assert told["prompt_tokens"] == sum(request.prompt_tokens for request in own)
        assert told["output_tokens"] == sum(len(request.output) for request in own)
        stops = sum(request.preemptions for request in own)
        assert told["preemptions"] + told["memory_preemptions"] == stops
        assert told["lost_tokens"] == stops, "one for each stop: the last token has no cell yet"


def test_quota_is_settled(host: Host) -> None:
    """Those that end early give back what they did not use; in the end nothing is held."""
    asks = mixed(seed=5)
    run = host.serve(asks, *OPTIONS, limits={name: Limit(1_000_000, 1_000_000) for name in TENANTS})
    for name in TENANTS:
        own = [number for number, ask in enumerate(asks) if ask.tenant == name]
        held = sum(estimate(asks[number], run, number) for number in own)
        used = sum(run.requests[number].prompt_tokens + len(run.requests[number].output) for number in own)
        assert held > used
        assert run.tenants[name]["held_tokens"] == 0
        assert run.tenants[name]["debt_tokens"] == 0
        assert run.tenants[name]["refunded_tokens"] == held - used


def test_a_limit_holds_in_every_window_and_changes_no_output(host: Host) -> None:
    limit = Limit(per_second=300, burst=500)
    asks = mixed(seed=5)
    free = host.serve(asks, *OPTIONS)
    run = host.serve(asks, *OPTIONS, limits={"globex": limit})
    assert run.results() == free.results()
    own = [number for number, ask in enumerate(asks) if ask.tenant == "globex"]
    assert max(run.requests[number].ended for number in own) > max(free.requests[number].ended for number in own)

    starts = {number: run.requests[number].started or 0 for number in own}
    for begin, end in combinations_with_replacement(sorted(starts.values()), 2):
        inside = [number for number in own if begin <= starts[number] <= end]
        held = sum(estimate(asks[number], run, number) for number in inside)
        refunds = sum(
            asks[number].max_output - len(run.requests[number].output)
            for number in own
            if begin <= run.requests[number].ended <= end
        )
        assert held <= limit.burst + limit.per_second * (end - begin) // STEPS_PER_SECOND + refunds
    assert run.tenants["globex"]["held_tokens"] == 0
