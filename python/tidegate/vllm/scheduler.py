"""The class that vLLM calls: its own asynchronous scheduler, with tidegate's decisions put before each step.

Before vLLM schedules a step, it is told who stops, and its queue offers those that start; all else is vLLM's. Nothing
of vLLM is replaced but the queue: the methods below are vLLM's own ones with something before or after them.
"""

import time
from typing import Any

from vllm.logger import init_logger
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.interface import PauseState
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request, RequestStatus

import tidegate
from tidegate.vllm.gate import Entry, Gate, Stand
from tidegate.vllm.memory import Memory, who_yields
from tidegate.vllm.reload import Reload
from tidegate.vllm.settings import Settings, SettingsError
from tidegate.vllm.waiting import Waiting

logger = init_logger(__name__)

MS = 1_000_000
ROUNDS = 1_000
"""Rounds of wishes that one step carries out at most; each needs somebody who stops or ends, so it is never reached."""

COMPLETED = {
    RequestStatus.FINISHED_STOPPED,
    RequestStatus.FINISHED_LENGTH_CAPPED,
    RequestStatus.FINISHED_REPETITION,
}


class Scheduler(AsyncScheduler):
    """vLLM's scheduler by tidegate: `--scheduler-cls tidegate.vllm.Scheduler`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings = Settings.load()
        self._memory = Memory(
            self.kv_cache_manager, block_size=self.block_size, step_tokens=self.max_num_scheduled_tokens
        )
        self._gate = Gate(settings, slots=self.max_num_active_reqs, blocks=self._memory.capacity, now_ns=self._clock())
        self._reload = Reload(settings, self._gate.core, now_ns=lambda: self._gate.now_ns)
        self._before_step = False
        self._for_memory = True
        self._even: dict[int, int] = {}
        self._threshold = self.scheduler_config.long_prefill_token_threshold
        self.waiting = Waiting(self._gate, self._submit, self._may_be_taken)

    _clock = staticmethod(time.monotonic_ns)

    # What comes, and what a client says of it.

    def _submit(self, entry: Entry) -> None:
        request = entry.request
        try:
            self._gate.submit(
                entry,
                **self._wishes(request),
                blocks=self._memory.asked(request),
                peak=self._memory.whole(request),
                prompt=request.num_tokens,
                output=Memory.left(request),
            )
        except (tidegate.Error, ValueError, TypeError, OverflowError) as error:
            logger.warning("request %s is refused: %s", request.request_id, error)
            self._answer_with_error(entry)

    def _wishes(self, request: Request) -> dict[str, Any]:
        said = (request.sampling_params.extra_args or {}) if request.sampling_params is not None else {}
        settings, now = self._reload.settings, self._gate.now_ns
        wishes: dict[str, Any] = {
            "tenant": str(said.get("tenant", settings.default_tenant)),
            "tier": settings.tier_number(said.get("tier", settings.default_tier)),
        }
        for ours, theirs in (("deadline_ns", "deadline_ms"), ("queue_timeout_ns", "queue_timeout_ms")):
            if theirs in said:
                milliseconds = int(said[theirs])
                if milliseconds < 0:
                    raise SettingsError(f"{theirs}: {milliseconds} is less than 0")
                wishes[ours] = milliseconds * MS + (now if ours == "deadline_ns" else 0)
        return wishes

    def _answer_with_error(self, entry: Entry) -> None:
        # vLLM ends those in this set in the next `update_from_output`, and tells their clients.
        if entry.number < 0:
            entry.stand = Stand.ENDING
        self.grammar_compile_error_reqs.add(entry.request.request_id)

    # Before a step.

    def schedule(self, throttle_prefills: bool = False) -> SchedulerOutput:
        """vLLM's, after what tidegate decided."""
        self._gate.now_ns = self._clock()
        self._reload.look()
        if self._pause_state == PauseState.UNPAUSED:
            self._before_step = True
            self._wake()
            growth = self._make_room()
            self._decide(growth)
            self._share_prompts()
            self._before_step = False
        output = super().schedule(throttle_prefills)
        self._note_starts(output)
        gate = self._gate
        if len(gate.on_worker) == len(output.num_scheduled_tokens) and not self._inflight_prefills:
            # Everybody who runs gets one token of this step; who joins before it is reported does not.
            self._even[id(output)] = gate.joined
        return output

    def _wake(self) -> None:
        for entry in self.waiting.parked_that_may_be_ready():
            request = entry.request
            # vLLM's own test: it makes the request ready, or notes that its grammar cannot be compiled.
            if self._handle_blocked_waiting_request(request):
                self._submit(entry)
            elif request.request_id in self.grammar_compile_error_reqs:
                entry.stand = Stand.ENDING
            else:
                self.waiting.look_again(entry)

    def _make_room(self) -> int:
        """Stops requests until those that run can grow; the blocks that they will take."""
        if not self._memory.is_tight(len(self.running)):
            return 0
        while (growth := self._memory.growth(self.running)) > self._memory.free() and len(self.running) > 1:
            entries = self._gate.entries
            may_yield = (
                (entries[request.request_id].tier, request)
                for request in self.running
                if self._request_blocks_can_be_freed(request)
            )
            victim = who_yields(may_yield, self._gate.over_reserve())
            if victim is None:
                break
            self._stop(victim)
        return growth

    def _stop(self, victim: Request) -> None:
        self.running.remove(victim)
        self._preempt_request(victim, time.monotonic())

    def _preempt_request(self, request: Request, timestamp: float, drop_stale_output: bool = False) -> None:
        """vLLM's, for its own reasons too; tidegate hears of it."""
        blocks = self._memory.held(request)
        super()._preempt_request(request, timestamp, drop_stale_output)
        entry = self._gate.entries[request.request_id]
        entry.stopped_in = self.current_step + self._before_step
        if entry.stand is not Stand.ENDING:
            self._gate.stopped(
                entry,
                output=request.num_output_tokens,
                blocks=blocks,
                again=self._memory.asked_again(request, len(self.running)) if self._for_memory else None,
            )

    def _decide(self, growth: int) -> None:
        gate = self._gate
        slots = len(self.running) + self.num_waiting_for_streaming_input
        gate.room_used(slots=slots, blocks=self._memory.used(self._inflight_prefills) + growth)
        for _ in range(ROUNDS):
            actions = gate.core.poll(now_ns=gate.now_ns)
            if not actions:
                return
            for action in actions:
                self._carry_out(action)

    def _carry_out(self, action: tidegate.Action) -> None:
        match action:
            case tidegate.Start(request=number, attempt=attempt):
                self._gate.grant(self._gate.of(number), attempt)
            case tidegate.Preempt(victim=number):
                self._yield(self._gate.of(number))
            case tidegate.Abort(request=number):
                entry = self._gate.of(number)
                entry.stand = Stand.ENDING
                self._answer_with_error(entry)
            case tidegate.Drop(request=number):
                entry = self._gate.of(number)
                self._gate.withdraw(entry)
                self._answer_with_error(entry)

    def _yield(self, entry: Entry) -> None:
        request = entry.request
        if entry.stand is Stand.GRANTED:
            self._gate.stopped(entry, output=0, blocks=0, again=None)
        elif request.status == RequestStatus.RUNNING and self._request_blocks_can_be_freed(request):
            self._for_memory = False
            self._stop(request)
            self._for_memory = True

    def _share_prompts(self) -> None:
        """Long prompts of less urgent tiers leave room in the step for a more urgent one."""
        self.scheduler_config.long_prefill_token_threshold = self._threshold
        if not self._inflight_prefills:
            return
        entries = self._gate.entries
        prompts = [entries[request.request_id] for request in self._inflight_prefills]
        starting = self._gate.granted
        urgent = min(entry.tier for entry in (*prompts, *starting))
        others = [entry for entry in prompts if entry.tier > urgent]
        if not others:
            return
        # Those that only generate come first, then prompts by tier: vLLM goes through the list in its order.
        rank = {entry.request.request_id: entry.tier for entry in prompts}
        self.running.sort(key=lambda request: rank.get(request.request_id, -1))
        left = [(entry.number, entry.request.num_tokens - entry.request.num_computed_tokens) for entry in prompts]
        left += [(entry.number, entry.request.num_tokens) for entry in starting]
        plan = self._gate.core.step_plan(self._gate.worker, tokens=self.max_num_scheduled_tokens, prompts=left)
        given = {share.request: share.tokens for share in plan}
        share = sum(given.get(entry.number, 0) for entry in others) // len(others)
        least = max(share, 1)
        self.scheduler_config.long_prefill_token_threshold = min(least, self._threshold) if self._threshold else least

    # After a step.

    def _may_be_taken(self, entry: Entry) -> bool:
        request = entry.request
        return (
            entry.stopped_in < self.current_step
            and request.status != RequestStatus.WAITING_FOR_STREAMING_REQ
            and (request.drop_stale_output or not request.num_stale_output_tokens)
        )

    def _note_starts(self, output: SchedulerOutput) -> None:
        taken = self.waiting.taken
        if not taken:
            return
        for entry in taken:
            request = entry.request
            scheduled = output.num_scheduled_tokens.get(request.request_id)
            if scheduled is not None:
                cached = min(request.num_computed_tokens - scheduled, request.num_prompt_tokens)
                self._gate.started(entry, cached=cached, blocks=self._memory.of(request.num_tokens))
            elif request in self.waiting and entry.stand is Stand.TAKEN:
                self._gate.give_back(entry)
        # Who waits for its KV cache to come from elsewhere was taken, and is in a step later.
        taken[:] = [entry for entry in taken if entry.stand is Stand.TAKEN and entry.number >= 0]

    def update_from_output(
        self, scheduler_output: SchedulerOutput, model_runner_output: ModelRunnerOutput
    ) -> dict[int, Any]:
        """vLLM's; tidegate hears what was generated, by exception."""
        outputs = super().update_from_output(scheduler_output, model_runner_output)
        if self._gate.on_worker:
            self._gate.now_ns = self._clock()
            joined = self._even.pop(id(scheduler_output), None)
            self._report(model_runner_output, one_each=joined == self._gate.joined)
        else:
            self._even.clear()
        return outputs

    def _report(self, ran: ModelRunnerOutput, *, one_each: bool) -> None:
        gate = self._gate
        sampled, at = ran.sampled_token_ids, ran.req_id_to_index
        exceptions = []
        if not one_each or self.num_spec_tokens or len(sampled) != len(at):
            for name, entry in gate.on_worker.items():
                index = at.get(name)
                if index is None or not sampled or len(sampled[index]) != 1:
                    exceptions.append(self._progress(entry))
        elif self.running:
            # One in each step says all of itself, so that what is known of its blocks is never old.
            known = gate.on_worker.get(self.running[self.current_step % len(self.running)].request_id)
            if known is not None:
                exceptions.append(self._progress(known))
        gate.core.step(gate.worker, tokens_each=1, exceptions=exceptions, now_ns=gate.now_ns)

    def _progress(self, entry: Entry) -> tuple[int, int, int, tuple[int, int]]:
        request = entry.request
        blocks = max(self._memory.held(request), self._memory.of(request.num_tokens))
        return entry.number, entry.attempt, request.num_output_tokens, (1, blocks)

    def _free_request(self, request: Request, delay_free_blocks: bool = False) -> Any:
        """vLLM's, of whoever ends; tidegate hears how."""
        entry = self._gate.entries.get(request.request_id)
        if entry is not None:
            self._gate.end(
                entry,
                prompt=request.num_prompt_tokens,
                output=request.num_output_tokens,
                completed=request.status in COMPLETED,
                failed=request.status == RequestStatus.FINISHED_ERROR,
            )
        return super()._free_request(request, delay_free_blocks=delay_free_blocks)

    def check_books(self) -> None:
        """Compares tidegate's books with vLLM's running and waiting, for tests; AssertionError where they differ."""
        held = {request.request_id for request in self.kv_holding_waiting}
        running = {request.request_id for request in self.running}
        self._gate.check(running | held, {request.request_id for request in self.waiting})
