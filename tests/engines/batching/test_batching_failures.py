"""What goes wrong around continuous batching: each request has an answer, and neither side keeps anything of it."""

from typing import Any

import pytest
from batching_run import Ask, Run, config_of_tiers, counting_clock, plain, run
from batching_traffic import SLOTS_FULL, mixed
from test_batching import nothing_left, same_requests
from transformers import LlamaForCausalLM

import tidegate
import tidegate.transformers

SHORT = [5] * 20


def test_clients_that_go_away(model: LlamaForCausalLM) -> None:
    """Those that wait, those that run, those that were stopped; the others have their answers."""
    asks = [ask for ask in mixed(seed=5) if ask.after <= 30]
    leaving = [ask.name for ask in asks if ask.name.startswith("batch/")][::2]
    left = set(leaving)

    def leave(scheduler: Any, came: Run, manager: Any) -> None:
        same_requests(scheduler, came, manager)
        if came.steps >= 12 and leaving:
            manager.cancel_request(leaving.pop())

    ours = run(model, asks, "tidegate", each_step=leave, unanswered=left, **SLOTS_FULL)
    assert ours.scheduler.sched.stats().cancelled >= 3
    for ask in asks:
        if ask.name not in left:
            assert ours.outputs[ask.name] == plain(model, ask)
    nothing_left(ours.scheduler)


def test_a_model_that_raises(model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's loop dies, as it does by itself; all clients hear of it."""
    forward = model.forward
    calls = 0

    def failing(*arguments: Any, **keywords: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 15:
            raise RuntimeError("out of order")
        return forward(*arguments, **keywords)

    monkeypatch.setattr(model, "forward", failing)
    asks = [Ask(f"batch/acme/{n}", SHORT, 40) for n in range(8)]
    ours = run(model, asks, "tidegate", each_step=same_requests, **SLOTS_FULL)
    assert set(ours.errors) == {ask.name for ask in asks}
    assert all("out of order" in error for error in ours.errors.values())
    nothing_left(ours.scheduler)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (Ask("urgent/acme/1", SHORT, 5), "no tier"),
        (Ask("batch/acme/1", SHORT, 20_000), "the cache cannot hold a prompt of 20 tokens and 20000 more"),
    ],
)
def test_what_is_refused_is_the_answer(model: LlamaForCausalLM, ask: Ask, message: str) -> None:
    ours = run(model, [ask, Ask("batch/acme/0", SHORT, 5)], "tidegate", each_step=same_requests, **SLOTS_FULL)
    assert message in ours.errors[ask.name]
    assert len(ours.outputs["batch/acme/0"]) == 5
    nothing_left(ours.scheduler)


def test_an_id_that_is_taken(model: LlamaForCausalLM) -> None:
    """The second one is refused; the first one goes on, and neither side loses it."""
    twice = [Ask("batch/acme/0", SHORT, 30), Ask("batch/acme/0", SHORT, 30, 5), Ask("batch/acme/1", SHORT, 40)]
    ours = run(model, twice, "tidegate", each_step=same_requests, **SLOTS_FULL)
    assert "already" in ours.errors["batch/acme/0"]
    assert len(ours.outputs["batch/acme/1"]) == 40
    assert ours.scheduler.sched.stats().completed == 2
    nothing_left(ours.scheduler)


def test_ids_that_say_nothing_are_of_the_least_urgent_tier(model: LlamaForCausalLM) -> None:
    ours = run(model, [Ask("req_7", SHORT, 5)], "tidegate", each_step=same_requests, **SLOTS_FULL)
    assert len(ours.outputs["req_7"]) == 5
    default = ours.scheduler.sched.tenant_set("default", now_ns=0)
    assert ours.scheduler.sched.usage(default).completed == 1


def test_those_that_are_dropped_are_told(model: LlamaForCausalLM) -> None:
    told: list[tuple[str, tidegate.Reason]] = []
    holder: list[Any] = []

    def describe(state: Any) -> tidegate.transformers.Asked:
        hurried = state.request_id.endswith("/hurried")
        return tidegate.transformers.by_request_id(state)._replace(queue_timeout_ns=10_000 if hurried else None)

    def on_drop(state: Any, reason: tidegate.Reason) -> None:
        told.append((state.request_id, reason))
        holder[0].output_router.fail_and_deliver(state, TimeoutError("waited too long"))

    def note(_scheduler: Any, _run: Run, manager: Any) -> None:
        holder[:] = [manager]

    tidegate.transformers.register(config_of_tiers(), describe=describe, on_drop=on_drop, clock=counting_clock())
    asks = [Ask(f"batch/acme/{n}", SHORT, 30) for n in range(4)] + [Ask("batch/acme/hurried", SHORT, 5, 2)]
    ours = run(model, asks, "tidegate", each_step=note, **SLOTS_FULL)
    assert told == [("batch/acme/hurried", tidegate.Reason.QUEUE_TIMEOUT)]
    assert ours.errors == {"batch/acme/hurried": "waited too long"}
    nothing_left(ours.scheduler)


def test_a_config_that_counts_what_the_engine_does_not() -> None:
    config = tidegate.Config(dimensions=["slots", "watts"], tiers=[{"name": "only"}])
    with pytest.raises(ValueError, match="watts"):
        tidegate.transformers.register(config)
