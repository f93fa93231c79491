"""The requests of the tests: long batch work of two tenants, and urgent requests that come in the middle of it."""

import random
import string

from llama_run import Ask

TENANTS = ("acme", "globex")


def mixed(seed: int, batch: int = 12, bursts: int = 5) -> list[Ask]:
    """Batch requests at once, a few that can wait a little, and urgent ones two at a time.

    These are far enough apart for the batch to borrow again what they had.
    """
    chance = random.Random(seed)
    asks = [_ask(chance, 0, "batch", (90, 200), (120, 260)) for _ in range(batch)]
    asks += [_ask(chance, 25 + 60 * turn, "near-realtime", (20, 60), (20, 50)) for turn in range(bursts)]
    asks += [
        _ask(chance, 20 + 80 * burst + second, "realtime", (10, 50), (8, 20))
        for burst in range(bursts)
        for second in (0, chance.randrange(3))
    ]
    return sorted(asks, key=lambda ask: ask.arrives)


def _ask(chance: random.Random, arrives: int, tier: str, prompt_bytes: tuple[int, int], output: tuple[int, int]) -> Ask:
    prompt = "".join(chance.choices(string.ascii_lowercase, k=chance.randint(*prompt_bytes)))
    # Every second one takes the likeliest tokens, the others draw by probability.
    seed = chance.choice([0, chance.randrange(1, 1000)])
    return Ask(arrives, tier, chance.choice(TENANTS), chance.randint(*output), seed, prompt)
