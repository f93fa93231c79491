"""Runs the continuous batching of transformers over a tiny random model, and notes what was in which step."""

import itertools
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from transformers import ContinuousBatchingConfig, GenerationConfig, LlamaConfig, LlamaForCausalLM
from transformers.generation.continuous_batching.scheduler import SCHEDULER_MAPPING

import tidegate
import tidegate.transformers

VOCABULARY = 512
PAGE = 16
# Nothing here takes a second; a machine that is slow and busy gets this.
PATIENCE_S = 120


class Ask(NamedTuple):
    """A request, and after how many steps it comes."""

    name: str
    prompt: list[int]
    output: int
    after: int = 0


@dataclass
class Run:
    """What came of a run."""

    outputs: dict[str, list[int]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    arrived: dict[str, int] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    """The step in which a request was in a batch first."""
    ended: dict[str, int] = field(default_factory=dict)
    stops: dict[str, int] = field(default_factory=dict)
    """How often a request went back from a batch to those that wait."""
    computed: int = 0
    """Tokens that went through the model."""
    steps: int = 0
    scheduler: Any = None

    def waited(self, name: str) -> int:
        """Steps without it since it came."""
        return self.first[name] - self.arrived[name]


def tiny_model() -> LlamaForCausalLM:
    """A random model of two blocks, the same each time, that never ends a text of itself."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        attn_implementation="eager",
    )
    return LlamaForCausalLM(config).to(torch.float32).eval()


def generation(output: int) -> GenerationConfig:
    """Always the likeliest token, so many of them."""
    return GenerationConfig(max_new_tokens=output, do_sample=False, eos_token_id=-1, pad_token_id=0)


def plain(model: LlamaForCausalLM, ask: Ask) -> list[int]:
    """What plain `generate()` makes of a request alone."""
    prompt = torch.tensor([ask.prompt])
    with torch.no_grad():
        whole = model.generate(prompt, attention_mask=torch.ones_like(prompt), generation_config=generation(ask.output))
    return whole[0, len(ask.prompt) :].tolist()


def run(
    model: LlamaForCausalLM,
    asks: Iterable[Ask],
    scheduler: str,
    *,
    each_step: Callable[[Any, Run, Any], None] | None = None,
    unanswered: Collection[str] = (),
    **settings: Any,
) -> Run:
    """Serves the requests by the scheduler of this name, until each is answered or `PATIENCE_S` are over.

    Those in `unanswered` need not be: their clients go away.
    """
    came = Run()
    todo = sorted(asks, key=lambda ask: ask.after)
    left = {ask.name for ask in todo} - set(unanswered)
    holder: list[Any] = []

    def hand_in(steps: int) -> None:
        while todo and todo[0].after <= steps:
            ask = todo.pop(0)
            holder[0].add_request(ask.prompt, request_id=ask.name, max_new_tokens=ask.output)

    SCHEDULER_MAPPING["noted"] = _noted(SCHEDULER_MAPPING[scheduler], came, holder, hand_in, each_step)
    config = ContinuousBatchingConfig(scheduler_type="noted", page_size=PAGE, use_cuda_graph=False, **settings)
    manager = model.init_continuous_batching(generation(20), config)
    holder.append(manager)
    manager.start()
    try:
        hand_in(0)
        deadline = time.monotonic() + PATIENCE_S
        while left and time.monotonic() < deadline and manager.is_running():
            _note_result(came, left, manager.get_result(timeout=1))
        while not manager.output_router.output_queue.empty():
            _note_result(came, left, manager.get_result(timeout=1))
    finally:
        # Whatever is left ends: a thread of the engine that goes on would keep this process for ever.
        manager.stop(timeout=PATIENCE_S, hard_stop=True)
    assert not left, f"no answer to {sorted(left)}"
    return came


def _note_result(came: Run, left: set[str], result: Any) -> None:
    if result is None or not result.is_finished():
        return
    left.discard(result.request_id)
    came.outputs[result.request_id] = result.generated_tokens
    came.ended[result.request_id] = came.steps
    if result.error is not None:
        came.errors[result.request_id] = result.error


def _noted(make: Any, came: Run, holder: list[Any], hand_in: Callable[[int], None], each_step: Any) -> Any:
    """The maker of a scheduler, with notes taken around its methods."""

    def build(**arguments: Any) -> Any:
        made = came.scheduler = make(**arguments)
        schedule, add = made.schedule_batch, made.add_waiting_request

        def schedule_batch(token_budget: int, cache_budget: int) -> Any:
            answer = schedule(token_budget, cache_budget)
            for future in answer[0] or ():
                came.first.setdefault(future.state.request_id, came.steps)
                came.computed += future.query_length
            if answer[0]:
                came.steps += 1
                hand_in(came.steps)
            if each_step is not None:
                each_step(made, came, holder[0])
            return answer

        def add_waiting_request(state: Any) -> None:
            name = state.request_id
            if name in came.arrived:
                came.stops[name] = came.stops.get(name, 0) + 1
            came.arrived.setdefault(name, came.steps)
            add(state)

        made.schedule_batch, made.add_waiting_request = schedule_batch, add_waiting_request
        return made

    return build


def config_of_tiers(**settings: Any) -> tidegate.Config:
    """Three tiers with the usual reserves, and nothing that hangs on how fast the machine is."""
    return tidegate.Config(
        dimensions=["slots", "kv_blocks"],
        tiers=[
            {"name": "realtime", "reserve_ppm": 300_000, "hold_window": "0s"},
            {"name": "near-realtime", "hold_window": "0s"},
            {"name": "batch", "reserve_ppm": 50_000, "hold_window": "0s"},
        ],
        min_run="0s",
        **settings,
    )


def counting_clock() -> Callable[[], int]:
    """A clock that goes on by a microsecond each time it is looked at."""
    ticks = itertools.count(1_000, 1_000)
    return lambda: next(ticks)
