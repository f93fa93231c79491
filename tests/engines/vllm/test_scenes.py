"""What is decided inside vLLM's scheduler, beside vLLM's own in the same run; no model runs."""

import pytest
import scenes
from scenes import SEEDS, Ours, VirtualStage, config, mean, pressure
from stage import build, request
from vllm.v1.core.sched.async_scheduler import AsyncScheduler

IN_FLIGHT = pytest.mark.parametrize("in_flight", [0, 1, 2])


@IN_FLIGHT
@pytest.mark.parametrize("scene", [scenes.slots_full, scenes.memory_full])
def test_an_urgent_request_is_in_the_next_step_after_one_preemption(scene, in_flight: int) -> None:
    assert scene(Ours, in_flight=in_flight) == (1, 1)


@pytest.mark.parametrize("scene", [scenes.slots_full, scenes.memory_full])
def test_with_its_own_priorities_vllm_lets_it_wait_hundreds_of_steps(scene) -> None:
    assert scene(AsyncScheduler).steps > 200


@IN_FLIGHT
def test_a_long_prompt_does_not_hold_an_urgent_one_up(in_flight: int) -> None:
    assert scenes.long_prompt(AsyncScheduler).steps == 16
    assert scenes.long_prompt(Ours, in_flight=in_flight) == (1, 0)


def test_what_waits_for_a_grammar_costs_a_step_nothing() -> None:
    assert scenes.grammars(Ours) == 0
    assert scenes.grammars(AsyncScheduler, waiting=100) == 100


@pytest.mark.parametrize("ends_early", [False, True])
def test_under_memory_pressure_less_than_half_is_computed_again(ends_early: bool) -> None:
    theirs = mean([pressure(AsyncScheduler, seed, ends_early=ends_early) for seed in SEEDS])
    with config(scenes.SHARED):
        ours = mean([pressure(Ours, seed, ends_early=ends_early) for seed in SEEDS])
    steps, recomputed = (mine / other for mine, other in zip(ours, theirs, strict=True))
    print(f"steps {steps:.3f}, tokens computed again {recomputed:.3f} of vLLM's")
    assert recomputed < 0.5
    assert steps < 1.02  # the goal is 1; docs/ENGINES.md has the figure


def test_two_tenants_have_equal_shares_after_every_step() -> None:
    config_text = '[[tiers]]\nname = "only"\n[tenants.acme]\n[tenants.globex]\n'
    with config(config_text):
        on = VirtualStage(build(Ours, slots=8, tokens=2_048, blocks=10_000))
    served = {"acme": 0, "globex": 0}
    # One tenant has four times as many requests, and was there first.
    names = ["acme"] * 64 + ["globex"] * 16
    for number, tenant in enumerate(names):
        on.add(request(f"{tenant}-{number}", priority=0, arrival=float(number), prompt=32, output=40, tenant=tenant))
    while on.scheduler.get_num_unfinished_requests() and served["globex"] < 16 * 72:
        for name, tokens in on.step().num_scheduled_tokens.items():
            served[name.split("-")[0]] += tokens
        if served["globex"] < 15 * 72:
            assert abs(served["acme"] - served["globex"]) <= 4 * 72, served
    assert served["acme"] > 0
    on.drain()


def test_weights_of_tenants_are_their_shares() -> None:
    with config('[[tiers]]\nname = "only"\n[tenants.acme]\nweight = 3\n[tenants.globex]\n'):
        on = VirtualStage(build(Ours, slots=8, tokens=2_048, blocks=10_000))
    for number in range(80):
        for tenant in ("globex", "acme"):
            on.add(request(f"{tenant}-{number}", priority=0, arrival=number, prompt=32, output=40, tenant=tenant))
    started = {"acme": 0, "globex": 0}
    while sum(started.values()) < 80:
        on.step()
        started = {tenant: sum(name.startswith(tenant) for name in on.first_step) for tenant in started}
    print(started)
    assert 2.5 < started["acme"] / started["globex"] < 3.5
    on.drain()
