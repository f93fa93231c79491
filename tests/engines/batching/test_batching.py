"""transformers' continuous batching by tidegate: tiers in order, outputs as alone, nothing left behind."""

import re
from typing import Any

import pytest
import torch
from batching_run import Ask, Run, config_of_tiers, counting_clock, plain, run
from batching_traffic import CACHE_FULL, SLOTS_FULL, URGENT, mixed, one_urgent
from toolchain import ROOT
from transformers import LlamaForCausalLM

import tidegate
import tidegate.transformers


def same_requests(scheduler: Any, _run: Run, _manager: Any) -> None:
    """After every step both sides know of the same requests."""
    scheduler.sched.check_invariants()
    assert scheduler.sched.stats().live == len(scheduler.active_requests) + len(scheduler.waiting_requests)


def nothing_left(scheduler: Any) -> None:
    scheduler.settle()
    assert scheduler.sched.stats().live == 0
    assert not scheduler.active_requests
    assert not scheduler.waiting_requests
    scheduler.cache.evict_cached_blocks()
    scheduler.cache.pool.try_to_free_sectors()
    assert scheduler.cache.pool.num_free_sectors == scheduler.cache.num_sectors


@pytest.fixture(scope="module")
def runs(model: LlamaForCausalLM) -> dict[tuple[str, str], Run]:
    """The same requests by the engine's own order and by tidegate, with slots full and with the cache full."""
    tidegate.transformers.register(config_of_tiers(), clock=counting_clock())
    checks = {"fifo": None, "tidegate": same_requests}
    return {
        (short, name): run(model, one_urgent(), name, each_step=check, **limits)
        for short, limits in (("slots", SLOTS_FULL), ("cache", CACHE_FULL))
        for name, check in checks.items()
    }


@pytest.mark.parametrize("short", ["slots", "cache"])
def test_who_is_urgent_is_in_the_next_batch(
    model: LlamaForCausalLM, runs: dict[tuple[str, str], Run], short: str
) -> None:
    alone = {ask.name: plain(model, ask) for ask in one_urgent()}
    stock, ours = runs[short, "fifo"], runs[short, "tidegate"]
    for came in (stock, ours):
        print(row_of(came))
        assert came.outputs == alone
    assert ours.waited(URGENT) == 0
    assert stock.waited(URGENT) >= 40
    assert ours.steps <= stock.steps + 2
    nothing_left(ours.scheduler)


def row_of(came: Run) -> list[int]:
    return [came.waited(URGENT), sum(came.stops.values()), came.computed, came.steps]


def test_full_slots_cost_one_victim(runs: dict[tuple[str, str], Run]) -> None:
    ours = runs["slots", "tidegate"]
    assert sum(ours.stops.values()) == 1
    assert ours.scheduler.sched.stats().by_reason[tidegate.Reason.RECLAIM] == 1


def test_the_page_has_these_figures(runs: dict[tuple[str, str], Run]) -> None:
    _, section = (ROOT / "docs/ENGINES.md").read_text().split("\n## transformers\n")
    lines = [line for line in section.split("\n## ")[0].splitlines() if re.match(r"\| (slots|cache) ", line)]
    told = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert {(short, name.strip("`")): [int(cell) for cell in cells] for short, name, *cells in told} == {
        key: row_of(came) for key, came in runs.items()
    }


def test_the_only_one_in_the_batch_yields_too(model: LlamaForCausalLM) -> None:
    asks = [Ask("batch/acme/0", [11] * 20, 30), Ask(URGENT, [12] * 20, 5, 6)]
    ours = run(model, asks, "tidegate", each_step=same_requests, **{**SLOTS_FULL, "max_requests_per_batch": 1})
    assert ours.waited(URGENT) == 0
    assert ours.stops == {"batch/acme/0": 1}
    assert ours.outputs == {ask.name: plain(model, ask) for ask in asks}
    nothing_left(ours.scheduler)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("limits", [SLOTS_FULL, CACHE_FULL], ids=["slots", "cache"])
def test_a_mixed_load(model: LlamaForCausalLM, limits: dict[str, int], seed: int) -> None:
    asks = mixed(seed)
    alone = {ask.name: plain(model, ask) for ask in asks}
    stock = run(model, asks, "fifo", **limits)
    ours = run(model, asks, "tidegate", each_step=same_requests, **limits)
    assert stock.outputs == alone
    assert ours.outputs == alone
    urgent = [ask.name for ask in asks if ask.name.startswith("realtime/")]
    waits = {came: [run_.waited(name) for name in urgent] for came, run_ in (("fifo", stock), ("tidegate", ours))}
    print(f"steps that urgent ones waited: {waits}")
    assert max(waits["tidegate"]) == 0
    assert max(waits["fifo"]) > 0
    nothing_left(ours.scheduler)


def test_a_victim_with_room_in_host_memory_computes_nothing_again(
    model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Memory is pinned for an accelerator; a machine without one has no need and no means to.
    monkeypatch.setattr(torch, "empty", _unpinned(torch.empty))
    asks = one_urgent()
    swapped = run(model, asks, "tidegate", cpu_offload_space=0.01, each_step=same_requests, **SLOTS_FULL)
    again = run(model, asks, "tidegate", **SLOTS_FULL)
    assert swapped.outputs == again.outputs == {ask.name: plain(model, ask) for ask in asks}
    assert swapped.stops == again.stops
    # The last token has no place in the cache yet.
    assert swapped.computed == sum(len(ask.prompt) + ask.output - 1 for ask in asks)
    assert again.computed > swapped.computed
    lost = [came.scheduler.sched.usage(_tenant(came, "acme")).lost_tokens for came in (swapped, again)]
    assert lost[1] - lost[0] == again.computed - swapped.computed
    nothing_left(swapped.scheduler)


def _tenant(came: Run, name: str) -> int:
    return came.scheduler.sched.tenant_set(name, now_ns=0)


def _unpinned(empty: Any) -> Any:
    return lambda *size, **rest: empty(*size, **{**rest, "pin_memory": False})


def test_tenants_get_what_they_weigh(model: LlamaForCausalLM) -> None:
    def setup(sched: tidegate.Scheduler, now_ns: int) -> None:
        for name, weight in (("acme", 1), ("globex", 3)):
            sched.tenant_configure(sched.tenant_set(name, now_ns=now_ns), weight=weight, now_ns=now_ns)

    tidegate.transformers.register(config_of_tiers(), setup=setup, clock=counting_clock())
    asks = [Ask(f"batch/{tenant}/{n}", [7 + n] * 16, 16) for tenant in ("acme", "globex") for n in range(24)]
    ours = run(model, asks, "tidegate", each_step=same_requests, **SLOTS_FULL)
    served = sorted(ours.first, key=ours.first.__getitem__)[:32]
    assert [sum(f"/{tenant}/" in name for name in served) for tenant in ("acme", "globex")] == [8, 24]


def test_prompts_that_begin_alike_share_their_cache(model: LlamaForCausalLM) -> None:
    asks = [Ask(f"batch/acme/{n}", [9] * 64 + [100 + n], 12, 3 * n) for n in range(12)]
    ours = run(model, asks, "tidegate", each_step=same_requests, **CACHE_FULL)
    assert ours.outputs == {ask.name: plain(model, ask) for ask in asks}
    assert ours.computed < sum(len(ask.prompt) + ask.output - 1 for ask in asks)
    nothing_left(ours.scheduler)
