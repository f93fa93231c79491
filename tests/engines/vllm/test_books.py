"""Whatever happens to requests, tidegate's books and vLLM's running and waiting agree after every step."""

import random
from concurrent.futures import Future

import pytest
from scenes import BOUND, SHARED, Ours, VirtualStage, config, waits_for_a_grammar
from stage import build, request
from vllm.v1.request import Request, RequestStatus

import tidegate
from tidegate.vllm import Settings, SettingsError
from tidegate.vllm.gate import Stand


def staged(*, in_flight: int = 0, slots: int = 8, tokens: int = 256, blocks: int = 120, text: str = "") -> VirtualStage:
    with config(text):
        return VirtualStage(build(Ours, slots=slots, tokens=tokens, blocks=blocks), in_flight=in_flight)


@pytest.mark.parametrize("in_flight", [0, 1, 2])
@pytest.mark.parametrize("seed", range(6))
def test_random_lives_leave_nothing_behind(seed: int, in_flight: int) -> None:
    chance = random.Random(seed)
    on = staged(in_flight=in_flight, text=SHARED if seed % 2 else "")
    scheduler, number = on.scheduler, 0
    for _ in range(250):
        for _ in range(chance.choice((0, 0, 0, 1, 3))):
            number += 1
            tier = chance.choice((0, 1, 2, "realtime", "no such tier", 9))
            prompt, output = chance.randint(1, 400), chance.randint(1, 120)
            on.add(request(f"{number}", priority=0, arrival=float(number), prompt=prompt, output=output, tier=tier))
        if chance.random() < 0.15 and scheduler.requests:
            gone = chance.sample(sorted(scheduler.requests), k=min(2, len(scheduler.requests)))
            scheduler.finish_requests(gone, RequestStatus.FINISHED_ABORTED)
        if chance.random() < 0.02:
            scheduler.reset_prefix_cache(reset_running_requests=True)
        on.step()
    on.drain(bound=10 * BOUND)
    scheduler.check_books()
    assert not scheduler._gate.entries
    assert scheduler._gate.core.stats().live == 0
    assert scheduler.kv_cache_manager.block_pool.get_num_free_blocks() == 120


@pytest.mark.parametrize("in_flight", [0, 2])
def test_all_aborted_at_once_leaves_nothing_behind(in_flight: int) -> None:
    on = staged(in_flight=in_flight)
    for number in range(40):
        on.add(request(f"{number}", priority=0, arrival=number, prompt=100, output=100, tier=number % 3))
    for _ in range(10):
        on.step()
    on.scheduler.finish_requests(None, RequestStatus.FINISHED_ABORTED)
    on.scheduler.check_books()
    on.drain()
    stats = on.scheduler._gate.core.stats()
    assert (stats.live, stats.cancelled) == (0, 40)


def test_a_request_that_never_fits_is_answered_with_an_error() -> None:
    on = staged(blocks=10)
    on.add(request("large", priority=0, arrival=0, prompt=400, output=4, tier=0))
    outputs = []
    on.on_outputs = outputs.append
    on.step()
    on.step()
    (answer,) = [each for by_client in outputs for client in by_client.values() for each in client.outputs]
    assert (answer.request_id, str(answer.finish_reason)) == ("large", "error")
    on.scheduler.check_books()
    assert not on.scheduler.requests


@pytest.mark.parametrize("field", ["tier", "deadline_ms", "queue_timeout_ms"])
@pytest.mark.parametrize("value", [float("inf"), float("nan"), -2, "x", [1], None])
def test_what_a_client_may_not_say_ends_its_request_alone(field: str, value: object) -> None:
    on = staged()
    on.add(request("good", priority=0, arrival=0, prompt=16, output=4))
    on.add(request("bad", priority=0, arrival=1, prompt=16, output=4, **{field: value}))
    on.drain()
    on.scheduler.check_books()
    assert not on.scheduler.requests


def test_a_deadline_that_passes_ends_a_waiting_request() -> None:
    text = '[[tiers]]\nname = "only"\norder = "deadline"\n'
    on = staged(slots=1, text=text)
    on.add(request("first", priority=0, arrival=0, prompt=16, output=200))
    on.step()
    on.add(request("late", priority=0, arrival=1, prompt=16, output=4, queue_timeout_ms=100))
    for _ in range(10):
        on.step()
    assert set(on.scheduler.requests) == {"first"}
    on.drain()


def test_what_waits_for_a_grammar_is_not_looked_at_until_it_is_ready() -> None:
    on = staged(slots=4)
    compiled: list[Future[object]] = [Future() for _ in range(1_000)]
    for number, future in enumerate(compiled):
        on.add(waits_for_a_grammar(f"{number}", future))
    looked_at = []
    theirs = on.scheduler._handle_blocked_waiting_request
    on.scheduler._handle_blocked_waiting_request = lambda each: (looked_at.append(each.request_id), theirs(each))[1]
    on.add(request("ready", priority=0, arrival=9e9, prompt=16, output=4, tier=2))
    on.step()
    assert looked_at == ["ready"]
    assert on.first_step == {"ready": 1}
    compiled[700].set_exception(ValueError("no such grammar"))
    on.step()
    assert set(looked_at) == {"ready", "700"}
    on.step()
    assert "700" not in on.scheduler.requests
    on.scheduler.finish_requests(None, RequestStatus.FINISHED_ABORTED)
    on.scheduler.check_books()


def test_what_cannot_say_that_it_is_ready_is_looked_at_a_few_in_a_step() -> None:
    on = staged(slots=4)
    for number in range(50):
        on.add(waits_for_a_grammar(f"{number}", ValueError("no such grammar")))
    before = len(on.scheduler.requests)
    on.step()
    assert sum(entry.stand is Stand.PARKED for entry in on.scheduler._gate.entries.values()) == before - 4
    on.drain()
    on.scheduler.check_books()


def test_a_wrong_config_says_where() -> None:
    for text, words in (
        ("dimensions = ['slots']\n", "dimensions"),
        ("[vllm]\ndefault_tire = 1\n", "vllm.default_tire"),
        ("[tenants.acme]\nparent = 'nobody'\n", "tenants.acme"),
        ("[vllm]\ndefault_tier = 'none'\n", "no tier 'none'"),
        ("min_run = 'soon'\n", "min_run"),
    ):
        with pytest.raises(SettingsError, match=words):
            Settings.parse(text)


def test_the_core_counts_what_was_generated() -> None:
    with config('[[tiers]]\nname = "only"\n[tenants.acme]\n'):
        on = VirtualStage(build(Ours, slots=4, tokens=64, blocks=1_000), in_flight=1)
    for number in range(12):
        on.add(request(f"{number}", priority=0, arrival=number, prompt=100, output=10 + number, tenant="acme"))
    on.drain()
    core: tidegate.Scheduler = on.scheduler._gate.core
    usage = core.usage(core.tenant_set("acme", now_ns=Ours.now_ns))
    assert (usage.prompt_tokens, usage.output_tokens) == (1_200, sum(range(10, 22)))
    assert usage.completed == 12


def test_what_vllm_passes_over_is_declined_twice_and_then_keeps_its_place() -> None:
    on = staged(slots=2)
    gate, left = on.scheduler._gate, 4
    theirs = on.scheduler._handle_blocked_waiting_request
    declines = []

    def look(each: Request) -> bool:
        nonlocal left
        if each.request_id != "late" or not left:
            return theirs(each)
        left -= 1
        return False

    on.scheduler._handle_blocked_waiting_request = look
    on.add(request("late", priority=0, arrival=0, prompt=16, output=4, tier=0))
    on.add(request("other", priority=0, arrival=1, prompt=16, output=400, tier=2))
    while "late" not in on.first_step:
        on.step()
        declines.append(gate.entries["late"].declines)
        assert on.steps < BOUND
    assert sorted(set(declines)) == [0, 1, 2]
    assert left == 0
    on.drain()
    assert gate.core.stats().completed == 2
