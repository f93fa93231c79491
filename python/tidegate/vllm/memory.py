"""KV blocks: what a request asks for, what a step will take, and who yields when there are too few.

vLLM preempts by itself when a request cannot grow, the newest of the least urgent. Here the growth of a step is
foreseen, and whoever yields is chosen before: a tier beyond its reserve, the least urgent, and in it the request with
the fewest tokens to compute again, rather not one that is about to end. It waits then for room for what it has and
most of what it may grow: admitted into the last free blocks it would only be preempted once more. It knows vLLM's
blocks, and nothing of queues.
"""

from collections.abc import Iterable
from fractions import Fraction

from vllm.v1.core.kv_cache_manager import KVCacheManager
from vllm.v1.request import Request

OUTPUT_SHARE = 2
"""A newcomer asks for its prompt and one in so many of the tokens that it may generate: a request that grows evenly
holds half of its output on average, and those beside it are as far on."""

RESUME_SHARE = Fraction(3, 4)
"""Who had to yield asks for its context and this part of what it may still generate. By trial: with all of it the
machine stands emptier, with half of it more is computed again."""

NEAR_END = 3
"""A token to compute again weighs as much as so many that are still to come. By trial, like the share above."""


class Memory:
    """The blocks of one engine."""

    def __init__(self, manager: KVCacheManager, *, block_size: int, step_tokens: int) -> None:
        self._manager = manager
        self._pool = manager.block_pool
        self._block_size = block_size
        self._groups = manager.num_kv_cache_groups
        self._step_tokens = step_tokens
        self._step_blocks = self.of(step_tokens)
        self.capacity = self._pool.num_gpu_blocks - 1  # one is never given out

    def of(self, tokens: int) -> int:
        """Blocks that so many tokens take."""
        return -(-tokens // self._block_size) * self._groups

    def asked(self, request: Request) -> int:
        """What a newcomer is to have free: its context, and part of what it may grow."""
        return min(self.of(request.num_tokens + self.left(request) // OUTPUT_SHARE), self.whole(request))

    def asked_again(self, request: Request) -> int:
        """What one that had to yield is to have free."""
        return self.of(request.num_tokens + int(self.left(request) * RESUME_SHARE))

    def whole(self, request: Request) -> int:
        """What it takes at its longest."""
        return self.of(request.num_tokens + self.left(request))

    @staticmethod
    def left(request: Request) -> int:
        """Tokens that it may still generate."""
        return max(request.max_tokens - request.num_output_tokens, 0)

    def held(self, request: Request) -> int:
        """What it has."""
        return sum(map(len, self._manager.get_blocks(request.request_id).blocks))

    def free(self) -> int:
        """Blocks that nobody uses; what is cached of the past counts as free."""
        return self._pool.get_num_free_blocks()

    def used(self, prompts: Iterable[Request]) -> int:
        """What is used, with what prompts that are being computed will still need."""
        to_come = sum(self.of(request.num_tokens) - self.held(request) for request in prompts)
        return self.capacity - self.free() + max(to_come, 0)

    def is_tight(self, running: int) -> bool:
        """Whether a step could take more than is free: every request one block, and all prompt tokens there may be."""
        return self.free() < running * self._groups + self._step_blocks

    def growth(self, running: Iterable[Request]) -> int:
        """Blocks that the next step takes for those that run, in the order of vLLM."""
        tokens_left, blocks = self._step_tokens, 0
        for request in running:
            new = request.num_tokens_with_spec + request.num_output_placeholders - request.num_computed_tokens
            if new <= 0 or tokens_left <= 0:
                continue
            new = min(new, tokens_left)
            tokens_left -= new
            if new > 1 or request.num_computed_tokens % self._block_size == 0:
                blocks += max(self.of(request.num_computed_tokens + new) - self.held(request), 0)
        return blocks


def who_yields(running: Iterable[tuple[int, Request]], over_reserve: set[int]) -> Request | None:
    """The request of the least urgent tier beyond its reserve that loses the least: few tokens computed, many to come.

    Of equals the newest. Where no tier is beyond its reserve, the least urgent yields.
    """
    everyone = list(running)
    here = [pair for pair in everyone if pair[0] in over_reserve] or everyone
    if not here:
        return None
    least_urgent = max(tier for tier, _ in here)
    candidates = [request for tier, request in here if tier == least_urgent]
    return min(
        candidates,
        key=lambda request: (NEAR_END * request.num_computed_tokens - Memory.left(request), -request.arrival_time),
    )
