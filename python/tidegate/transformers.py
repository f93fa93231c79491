"""tidegate inside the continuous batching of transformers: who joins the batch, who waits, and who yields.

`register` puts a scheduler into the engine's table, and `ContinuousBatchingConfig(scheduler_type="tidegate")` chooses
it. It decides who is admitted and who stops; how a batch is filled, and how a victim is saved (a copy in host memory
where the engine has room for one, else its prompt is computed again), is the engine's own code, unpatched.

The engine hands a scheduler nothing of a client but the id of its request and the prompt: `describe` makes tenant and
tier of these. It does not know ranks: each rank of a tensor-parallel group would decide by a clock of its own. Requests
with several answers each (`num_return_sequences`) are refused, because the engine makes the further ones itself.

Of transformers 5.19; tested with 5.19.0.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from transformers.generation.continuous_batching import scheduler as engine
from transformers.generation.continuous_batching.cache import PagedAttentionCache
from transformers.generation.continuous_batching.requests import FutureRequestState, RequestState, RequestStatus

import tidegate

__all__ = ["DIMENSIONS", "Asked", "Scheduler", "by_request_id", "register"]

DIMENSIONS = ("slots", "kv_blocks")
"""What a config may count: places in a batch, and the sectors of the cache (a block each, in most models)."""

_log = logging.getLogger(__name__)


class Asked(NamedTuple):
    """What a client asks of a request, beside its prompt."""

    tenant: str = "default"
    tier: str | int | None = None
    """`None` for the least urgent."""
    deadline_ns: int | None = None
    """An instant of the scheduler's clock."""
    queue_timeout_ns: int | None = None


def by_request_id(state: RequestState) -> Asked:
    """Reads `TIER/TENANT/REST`, as in `manager.add_request(prompt, request_id="realtime/acme/42")`.

    Any other id is of the tenant `default`, in the least urgent tier: so are those that the engine makes up.
    """
    parts = state.request_id.split("/", 2)
    return Asked(tenant=parts[1], tier=parts[0]) if len(parts) == 3 else Asked()


def log_drop(state: RequestState, reason: tidegate.Reason) -> None:
    """Says that a request ended without an answer."""
    _log.warning("request %s ends unanswered: %s", state.request_id, reason.value)


def register(
    config: tidegate.Config,
    *,
    name: str = "tidegate",
    describe: Callable[[RequestState], Asked] = by_request_id,
    setup: Callable[[tidegate.Scheduler, int], None] | None = None,
    on_drop: Callable[[RequestState, tidegate.Reason], None] = log_drop,
    clock: Callable[[], int] = time.monotonic_ns,
) -> None:
    """Makes `ContinuousBatchingConfig(scheduler_type=name)` mean a scheduler with this config.

    `setup` is called with each new `tidegate.Scheduler` and its first instant, to configure tenants. The engine has no
    way for a scheduler to answer a request with an error: `on_drop` is told of those that tidegate drops (a queue
    timeout, no room in memory), from the engine's thread. Raises `ValueError` for dimensions that the engine has not.
    """
    if unknown := set(config.dimensions) - set(DIMENSIONS):
        raise ValueError(f"the engine counts {DIMENSIONS}, and knows nothing of {sorted(unknown)}")
    made = partial(Scheduler, config=config, describe=describe, setup=setup, on_drop=on_drop, clock=clock)
    engine.SCHEDULER_MAPPING[name] = made


@dataclass(slots=True)
class _Place:
    """Where one of the engine's requests stands with tidegate."""

    request: int
    tier: int
    attempt: int | None = None
    """While it is admitted."""
    told: tuple[int, int] | None = None
    """Tokens and sectors as they were reported last, once it was in a batch."""


class Scheduler(engine.Scheduler):  # type: ignore[misc]
    """The engine's scheduler whose decisions are tidegate's. Made by the engine; see `register`."""

    sched: tidegate.Scheduler
    """What decides, for observers: any thread may ask it."""

    def __init__(
        self,
        cache: PagedAttentionCache,
        safety_margin: float | None,
        max_requests_per_batch: int,
        *,
        config: tidegate.Config,
        describe: Callable[[RequestState], Asked],
        setup: Callable[[tidegate.Scheduler, int], None] | None,
        on_drop: Callable[[RequestState, tidegate.Reason], None],
        clock: Callable[[], int],
    ) -> None:
        self._config = config
        self._describe = describe
        self._setup = setup
        self._on_drop = on_drop
        self._clock = clock
        # No margin unless one is asked for: what is kept free for whom is in the config.
        super().__init__(cache, safety_margin or 0.0, max_requests_per_batch)

    def reset(self) -> None:
        """Forgets all requests, those of tidegate too: its quotas and debts begin anew."""
        super().reset()
        now = self._clock()
        self.sched = tidegate.Scheduler(self._config, now_ns=now)
        capacity = self._amounts(self.max_requests_per_batch, self.cache.num_sectors)
        self._worker = self.sched.worker_add(capacity, now_ns=now)
        self._places: dict[str, _Place] = {}
        self._names: dict[int, str] = {}
        if self._setup is not None:
            self._setup(self.sched, now)

    def add_waiting_request(self, state: RequestState) -> None:
        """Takes a new request, or a victim that comes back.

        What is raised for a new one (`tidegate.SubmitError`, `ValueError`) the engine gives to its client as the error.
        """
        place = self._places.get(state.request_id)
        if place is None:
            self._submit(state)
        elif place.attempt is not None or state.request_id in self.waiting_requests:
            raise ValueError(f"there is a request {state.request_id} already")
        super().add_waiting_request(state)

    def finish_request(self, request_id: str) -> None:
        """Hears that the engine has nothing of a request any more: its end, or its stop for others."""
        state = self.active_requests.get(request_id)
        super().finish_request(request_id)
        place = self._places.get(request_id)
        if state is None or place is None or place.attempt is None:
            return
        now = self._clock()
        if state.status != RequestStatus.FAILED and not _is_over(state):
            kept = state.position_offset if state.is_cpu_offloaded else 0
            self.sched.preempted(place.request, place.attempt, tokens_kept=kept, now_ns=now)
            place.attempt, place.told = None, None
            return
        self._forget(request_id)
        if state.status == RequestStatus.FAILED:
            self.sched.failed(place.request, place.attempt, now_ns=now)
            return
        prompt, output = _lengths(state)
        self.sched.complete(place.request, place.attempt, prompt_tokens=prompt, output_tokens=output, now_ns=now)

    def clear_cancelled_requests(self) -> list[RequestState]:
        """Ends those that their clients cancelled."""
        cancelled: list[RequestState] = super().clear_cancelled_requests()
        for state in cancelled:
            self._cancel(state.request_id)
        return cancelled

    def schedule_batch(
        self, token_budget: int, cache_budget: int
    ) -> tuple[list[FutureRequestState] | None, bool, int, int]:
        """Chooses the next batch: those that tidegate has admitted, those that decode first, urgent tiers first."""
        self.settle()
        self._report_growth()
        victims: dict[str, RequestState] = {}
        self._obey(victims)
        while victims and len(victims) == len(self.active_requests):
            # The engine never takes the last one out of its batch.
            self._start_over(victims.popitem()[1])
            self._obey(victims)
        if victims:
            # As if there were no memory for them: the engine saves them its own way, and asks again, in this step.
            self.starved_requests = [(state, self.cache.max_tokens_read + 1) for state in victims.values()]
            return None, False, 0, 0
        admitted = [name for name, place in self._places.items() if place.attempt is not None]
        candidates = sorted(map(self._state, admitted), key=self._rank)
        self._make_room(candidates)
        joined: set[str] = set()
        scheduled, short, fast, queries, reads = self._process_candidates(
            candidates, token_budget, cache_budget, joined
        )
        self._cleanup_waiting_queue(joined)
        for future in scheduled:
            self._report_start(future.state)
        if not scheduled and short:
            return None, fast, 0, 0
        return scheduled, fast, queries, reads

    def settle(self) -> None:
        """Ends what the engine has forgotten without a word, as it does with those that wait when its loop dies."""
        if len(self._places) == len(self.active_requests) + len(self.waiting_requests):
            return
        for name in self._places.keys() - self.active_requests.keys() - self.waiting_requests.keys():
            self._cancel(name)

    def _submit(self, state: RequestState) -> None:
        if state.num_children:
            raise ValueError("tidegate schedules requests with one answer each: num_return_sequences=1")
        prompt, longest = len(state.initial_tokens), state.max_new_tokens
        # One more: the first token that it generates has to go somewhere.
        demand = self._sectors(state, prompt + 1)
        if longest is not None and self._sectors(state, prompt + longest) > self.cache.num_sectors:
            raise ValueError(f"the cache cannot hold a prompt of {prompt} tokens and {longest} more")
        asked = self._describe(state)
        tiers = self._config.tiers
        tier = len(tiers) - 1 if asked.tier is None else asked.tier
        request = self.sched.submit(
            tenant=asked.tenant,
            tier=tier,
            demand=self._amounts(1, demand),
            prompt_tokens=prompt,
            output_tokens=longest,
            yielding="checkpoint",
            deadline_ns=asked.deadline_ns,
            queue_timeout_ns=asked.queue_timeout_ns,
            now_ns=self._clock(),
        )
        self._places[state.request_id] = _Place(request, tiers.index(tier) if isinstance(tier, str) else tier)
        self._names[request] = state.request_id

    def _obey(self, victims: dict[str, RequestState]) -> None:
        """Does what tidegate wants, and adds those that have to leave the batch for it."""
        while actions := self.sched.poll(now_ns=self._clock()):
            for action in actions:
                match action:
                    case tidegate.Start(request, _, attempt):
                        self._places[self._names[request]].attempt = attempt
                    case tidegate.Preempt(victim, attempt):
                        state = self._state(self._names[victim])
                        if state.request_id in self.active_requests:
                            victims[state.request_id] = state
                        else:
                            self._not_yet(state, attempt)
                    case tidegate.Spare(victim):
                        victims.pop(self._names[victim], None)
                    case tidegate.Abort(request, attempt, reason):
                        victims.pop(self._names[request], None)
                        self.sched.failed(request, attempt, now_ns=self._clock())
                        self._drop(request, reason)
                    case tidegate.Drop(request, reason):
                        self._drop(request, reason)

    def _not_yet(self, state: RequestState, attempt: int) -> None:
        """Takes back an admission of which the engine made nothing so far."""
        place = self._places[state.request_id]
        self.sched.preempted(place.request, attempt, tokens_kept=state.position_offset, now_ns=self._clock())
        place.attempt = None

    def _start_over(self, state: RequestState) -> None:
        """What the engine does to a victim for which it has no memory elsewhere."""
        self.cache.free_blocks(state.request_id, no_cache=True)
        again = state.create_equivalent_initial_request()
        state.status = RequestStatus.FINISHED
        self.finish_request(state.request_id)
        self.add_waiting_request(again)

    def _drop(self, request: int, reason: tidegate.Reason) -> None:
        name = self._names[request]
        state = self._state(name)
        self._forget(name)
        self.set_request_cancellation(name)
        self._on_drop(state, reason)

    def _cancel(self, name: str) -> None:
        place = self._places.get(name)
        if place is not None:
            self._forget(name)
            self.sched.cancel(place.request, now_ns=self._clock())

    def _forget(self, name: str) -> None:
        del self._names[self._places.pop(name).request]

    def _report_growth(self) -> None:
        """Tells what requests take in the coming step, so that memory is missed before the engine misses it."""
        changed = []
        for name, place in self._places.items():
            if place.attempt is None or place.told is None:
                continue
            now_has = self._load(self.active_requests[name])
            if now_has != place.told:
                place.told = now_has
                tokens, sectors = now_has
                changed.append((place.request, place.attempt, tokens, self._amounts(1, sectors)))
        if changed:
            self.sched.step(self._worker, tokens_each=0, exceptions=changed, now_ns=self._clock())

    def _report_start(self, state: RequestState) -> None:
        place = self._places[state.request_id]
        if place.told is not None:
            return
        assert place.attempt is not None, "only those that are admitted are candidates"
        place.told = self._load(state)
        in_use = self._amounts(1, place.told[1])
        cached = state.position_offset
        self.sched.started(place.request, place.attempt, cached_tokens=cached, in_use=in_use, now_ns=self._clock())

    def _make_room(self, candidates: list[RequestState]) -> None:
        """Evicts what is cached for prompts to come, if requests that are here need the room."""
        pool = self.cache.pool
        pool.try_to_free_sectors()
        needed = sum(self._load(state)[1] - self._held(state) for state in candidates)
        if pool.num_free_sectors < needed and self.cache.evict_cached_blocks():
            pool.try_to_free_sectors()

    def _rank(self, state: RequestState) -> tuple[bool, int]:
        """Who decodes takes one token of the batch's budget, and so goes before prompts; then by tier, by arrival."""
        return state.status != RequestStatus.DECODING, self._places[state.request_id].tier

    def _state(self, name: str) -> RequestState:
        return self.active_requests.get(name) or self.waiting_requests[name]

    def _load(self, state: RequestState) -> tuple[int, int]:
        """Tokens generated so far, and sectors that it has after the next step, or after its prompt."""
        more = max(1, len(state.remaining_prefill_tokens))
        return _lengths(state)[1], self._sectors(state, more)

    def _sectors(self, state: RequestState, more: int) -> int:
        """Sectors it has with so many more tokens. Blocks that it shares with others count for each."""
        total = 0
        for allocator in self.cache.cache_allocators.values():
            blocks = len(allocator.block_table.get(state.request_id, ()))
            blocks += allocator.needs_new_blocks(state.request_id, state.current_len(), more)
            total += -(-blocks // allocator.blocks_per_sector)
        return total

    def _held(self, state: RequestState) -> int:
        """Sectors it has now."""
        allocators = self.cache.cache_allocators.values()
        return sum(-(-len(one.block_table.get(state.request_id, ())) // one.blocks_per_sector) for one in allocators)

    def _amounts(self, slots: int, kv_blocks: int) -> dict[str, int]:
        amounts = dict(zip(DIMENSIONS, (slots, kv_blocks), strict=True))
        return {name: amounts[name] for name in self._config.dimensions}


def _lengths(state: RequestState) -> tuple[int, int]:
    """Tokens of the prompt and generated tokens: a restart moves the latter behind the former."""
    prompt = state._true_initial_tokens or len(state.initial_tokens)
    return prompt, len(state.initial_tokens) + state.generated_len() - prompt


def _is_over(state: RequestState) -> bool:
    """Whether it was generated to its end, as the engine tells it."""
    generated: list[Any] = state.generated_tokens
    return len(generated) >= state._new_tokens_limit or bool(generated and generated[-1] in state._eos_token_ids)
