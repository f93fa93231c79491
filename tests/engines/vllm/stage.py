"""vLLM's scheduler and block manager without a model: tokens are invented, steps are counted.

Any scheduler class of vLLM's interface can be put on it, so that vLLM's own and tidegate's see the same requests.
"""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")

import json
import tempfile
from collections import deque
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from vllm.config import CacheConfig, DeviceConfig, ModelConfig, SchedulerConfig, VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request
from vllm.v1.structured_output import StructuredOutputManager

BLOCK = 16
TOKEN = 7
"""What the invented model says, until it says the last word."""
LAST = 9
LONGEST = 65_536

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 512,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": LONGEST,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "torch_dtype": "float32",
}


@cache
def model_config() -> ModelConfig:
    """A small model's description; it has no weights, and none are asked for."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(LLAMA))
        return ModelConfig(
            model=folder, skip_tokenizer_init=True, dtype="float32", max_model_len=LONGEST, seed=0, enforce_eager=True
        )


def build(
    scheduler: type[AsyncScheduler],
    *,
    slots: int,
    tokens: int,
    blocks: int,
    policy: str = "priority",
    **settings: Any,
) -> AsyncScheduler:
    """A scheduler with so many slots, tokens a step, and usable blocks (vLLM keeps one more, its null block)."""
    config = VllmConfig(
        model_config=model_config(),
        device_config=DeviceConfig("cpu"),
        cache_config=CacheConfig(block_size=BLOCK, enable_prefix_caching=False),
        scheduler_config=SchedulerConfig(
            max_num_seqs=slots,
            max_num_batched_tokens=tokens,
            max_model_len=LONGEST,
            is_encoder_decoder=False,
            enable_chunked_prefill=True,
            policy=policy,
            async_scheduling=True,
            **settings,
        ),
    )
    config.cache_config.num_gpu_blocks = blocks + 1
    heads = FullAttentionSpec(block_size=BLOCK, num_kv_heads=1, head_size=1, dtype=torch.float32)
    kv_cache = KVCacheConfig(
        num_blocks=blocks + 1, kv_cache_tensors=[], kv_cache_groups=[KVCacheGroupSpec(["layer"], heads)]
    )
    return scheduler(
        vllm_config=config,
        kv_cache_config=kv_cache,
        structured_output_manager=StructuredOutputManager(config),
        block_size=BLOCK,
        log_stats=False,
    )


def request(name: str, *, priority: int, arrival: float, prompt: int, output: int, **extra: Any) -> Request:
    """A request whose output has that many tokens; `extra` is what a client passes in `vllm_xargs`."""
    params = SamplingParams(max_tokens=output, ignore_eos=True, temperature=0.0, extra_args=extra or None)
    return Request(name, [TOKEN] * prompt, params, None, priority=priority, arrival_time=arrival)


def ran(output: SchedulerOutput, scheduler: AsyncScheduler, ends_after: dict[str, int]) -> ModelRunnerOutput:
    """What a worker answers to that step: a token for each request whose prompt is through."""
    names = list(output.num_scheduled_tokens)
    sampled = []
    for name in names:
        known = scheduler.requests.get(name)
        still_prompt = known is not None and known.is_prefill_chunk
        says_last = known is not None and known.num_output_tokens + known.num_output_placeholders == ends_after.get(
            name
        )
        sampled.append([] if still_prompt else [LAST if says_last else TOKEN])
    return ModelRunnerOutput(
        req_ids=names, req_id_to_index={name: at for at, name in enumerate(names)}, sampled_token_ids=sampled
    )


class Stage:
    """Steps of one scheduler, with as many of them in flight as asked for."""

    def __init__(self, scheduler: AsyncScheduler, *, in_flight: int = 0) -> None:
        self.scheduler = scheduler
        self.in_flight = in_flight
        self.steps = 0
        self.computed = 0
        self.preemptions = 0
        self.first_step: dict[str, int] = {}
        self.ends_after: dict[str, int] = {}
        """How many tokens a request says, the last word included, if not all that it may."""
        self.on_outputs: Callable[[dict[int, Any]], object] = lambda _: None
        """Is given what clients are told."""
        self._under_way: deque[tuple[SchedulerOutput, ModelRunnerOutput]] = deque()

    def add(self, new: Request) -> None:
        """One more request waits."""
        self.scheduler.add_request(new)

    def step(self) -> SchedulerOutput:
        """Schedules a step, and hands in the oldest that is due."""
        output = self.scheduler.schedule()
        self.steps += 1
        self.computed += output.total_num_scheduled_tokens
        self.preemptions += len(output.preempted_req_ids or ())
        for name in output.num_scheduled_tokens:
            self.first_step.setdefault(name, self.steps)
        self._under_way.append((output, ran(output, self.scheduler, self.ends_after)))
        while len(self._under_way) > self.in_flight or (self._under_way and not self.scheduler.running):
            self.on_outputs(self.scheduler.update_from_output(*self._under_way.popleft()))
        return output

    def drain(self, bound: int = 20_000) -> None:
        """Steps until nothing is left."""
        while self.scheduler.has_unfinished_requests() or self._under_way:
            self.step()
            if self.steps > bound:
                left = {name: known.status for name, known in self.scheduler.requests.items()}
                raise AssertionError(f"after {bound} steps there are left: {left}")
