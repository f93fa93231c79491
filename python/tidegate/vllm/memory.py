"""KV blocks: what a request asks for, what a step will take, and who yields when there are too few.

vLLM preempts by itself when a request cannot grow, the newest of the least urgent. Here the growth of a step is
foreseen, and whoever yields is chosen before: a tier beyond its reserve, the least urgent, and in it the request with
the fewest tokens to compute again, but not one that has about the longest way to go: it would hold up the end of all.
A newcomer comes in as soon as its context fits, because it loses little; who had to yield waits until all that run
could go on for a while beside it, or it would only be preempted once more. It knows vLLM's blocks, and nothing of
queues.
"""

from collections.abc import Iterable
from fractions import Fraction

from vllm.v1.core.kv_cache_manager import KVCacheManager
from vllm.v1.request import Request

AHEAD = 25
"""Who had to yield comes back when all that run, and it, could each generate so many tokens. By trial on a model of
scene C in docs/ENGINES.md: with fewer more is computed again, with more the machine stands emptier."""

LONG_WAY = Fraction(9, 10)
"""Who may still generate this part of what anybody may has about the longest way to go. By trial, likewise."""


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
        """What a newcomer is to have free: its context, and a block to grow into."""
        return min(self.of(request.num_tokens) + self._groups, self.whole(request))

    def asked_again(self, request: Request, running: int) -> int:
        """What one that had to yield is to have free while so many run: its context, and what all grow `AHEAD`."""
        return min(self.of(request.num_tokens) + self.of((running + 1) * AHEAD), self.capacity)

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
    """The request of the least urgent tier beyond its reserve that has the fewest tokens to compute again.

    Not one with about the longest way to go of all that run, if there is another. Of equals the newest. Where no tier
    is beyond its reserve, the least urgent yields.
    """
    everyone = list(running)
    here = [pair for pair in everyone if pair[0] in over_reserve] or everyone
    if not here:
        return None
    least_urgent = max(tier for tier, _ in here)
    candidates = [request for tier, request in here if tier == least_urgent]
    longest = max(Memory.left(request) for _, request in everyone)
    shorter = [request for request in candidates if Memory.left(request) < longest]
    short = [request for request in shorter if Memory.left(request) < longest * LONG_WAY]
    return min(short or shorter or candidates, key=lambda request: (request.num_computed_tokens, -request.arrival_time))
