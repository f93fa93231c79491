"""What is decided inside vLLM's scheduler, beside vLLM's own in the same run; no model runs."""

import random

import pytest
import scenes
from scenes import SEEDS, UNTRIED, Ours, VirtualStage, config, mean, pressure
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


@pytest.mark.parametrize(("seeds", "ends_early"), [(SEEDS, False), (SEEDS, True), (UNTRIED, False)])
def test_under_memory_pressure_less_than_half_is_computed_again_in_no_more_steps(seeds, ends_early: bool) -> None:
    theirs = mean([pressure(AsyncScheduler, seed, ends_early=ends_early) for seed in seeds])
    with config(scenes.SHARED):
        ours = mean([pressure(Ours, seed, ends_early=ends_early) for seed in seeds])
    steps, recomputed = (mine / other for mine, other in zip(ours, theirs, strict=True))
    print(f"steps {steps:.3f}, tokens computed again {recomputed:.3f} of vLLM's")
    assert recomputed < 0.5
    assert steps <= 1


@pytest.mark.parametrize("weights", [(1, 1), (3, 1)])
def test_what_tenants_start_differs_from_their_weights_by_one_request_at_most(weights: tuple[int, int]) -> None:
    """As long as both wait, whoever was charged least for its weight is next: so they never differ by more.

    A request is charged when it starts: a unit for each token of its prompt, two for each that it may generate.
    """
    tenants = dict(zip(("acme", "globex"), weights, strict=True))
    tables = "".join(f"[tenants.{name}]\nweight = {weight}\n" for name, weight in tenants.items())
    with config(f'[[tiers]]\nname = "only"\n{tables}'):
        on = VirtualStage(build(Ours, slots=8, tokens=2_048, blocks=10_000))
    chance, cost = random.Random(8), {}
    # One tenant has more requests, and was there first.
    for name in ["acme"] * 120 + ["globex"] * 60:
        prompt, output = chance.randint(16, 64), chance.randint(20, 60)
        number = f"{name}-{len(cost)}"
        cost[number] = prompt + 2 * output
        on.add(request(number, priority=0, arrival=float(len(cost)), prompt=prompt, output=output, tenant=name))
    largest, furthest, steps = max(cost.values()) / min(weights), 0.0, 0
    while all(any(name not in on.first_step for name in cost if name.startswith(tenant)) for tenant in tenants):
        on.step()
        charged = {
            tenant: sum(cost[name] for name in on.first_step if name.startswith(tenant)) / weight
            for tenant, weight in tenants.items()
        }
        furthest, steps = max(furthest, abs(charged["acme"] - charged["globex"])), steps + 1
        assert furthest <= largest, (charged, largest)
    print(f"weights {weights}: at most {furthest:.0f} of {largest:.0f} units apart in {steps} steps")
    assert len(on.first_step) > 90
    on.drain()
