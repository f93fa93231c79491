"""A stand-in for an inference engine: it takes a while for each token, and can go on where it was stopped.

It knows nothing of HTTP. With a real engine, `generate` submits to the engine of `grant.worker` and hears its tokens.
"""

import asyncio
from collections.abc import AsyncIterator

from tidegate.aio import Grant

TOKENS_PER_BLOCK = 16


def tokens_of(prompt: str) -> int:
    """How many tokens a prompt has: words, here."""
    return max(1, len(prompt.split()))


def demand_of(prompt: str) -> dict[str, int]:
    """What a request takes at its start."""
    return {"slots": 1, "kv_blocks": tokens_of(prompt) // TOKENS_PER_BLOCK + 1}


async def generate(grant: Grant, prompt: str, max_tokens: int, token_s: float) -> AsyncIterator[str]:
    """Generates the words of the prompt over and over, and gives its place back whenever it is asked to."""
    words = prompt.split() or ["nothing"]
    done = 0
    while done < max_tokens:
        if grant.preempted:
            # The engine has stopped: it keeps what was computed. Raises if there is no place to go on in.
            await grant.yield_(tokens_kept=tokens_of(prompt) + done)
        await asyncio.sleep(token_s)
        done += 1
        context = tokens_of(prompt) + done
        grant.progress(output_tokens=done, in_use={"slots": 1, "kv_blocks": context // TOKENS_PER_BLOCK + 1})
        yield words[(done - 1) % len(words)]
