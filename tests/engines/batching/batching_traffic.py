"""The requests of the tests: batch work that takes all there is, and urgent requests that come in the middle of it."""

import random

from batching_run import VOCABULARY, Ask

URGENT = "realtime/globex/0"
SLOTS_FULL = {"max_requests_per_batch": 4, "num_blocks": 1000, "max_batch_tokens": 256}
CACHE_FULL = {"max_requests_per_batch": 64, "num_blocks": 26, "max_batch_tokens": 256}


def one_urgent() -> list[Ask]:
    """Eight batch requests at once, and after 20 steps one that is urgent."""
    chance = random.Random(1)
    asks = [Ask(f"batch/acme/{number}", _prompt(chance, 40), 60) for number in range(8)]
    return [*asks, Ask(URGENT, _prompt(chance, 20), 5, 20)]


def mixed(seed: int) -> list[Ask]:
    """Batch work of two tenants at once; then requests that can wait a little, and urgent ones, far between."""
    chance = random.Random(seed)
    asks = [_ask(chance, "batch", number, (30, 90, 20, 70), 0) for number in range(10)]
    asks += [_ask(chance, "near-realtime", turn, (10, 40, 5, 25), 10 + 25 * turn) for turn in range(4)]
    asks += [_ask(chance, "realtime", turn, (5, 30, 3, 8), 8 + 20 * turn) for turn in range(6)]
    return asks


def _ask(chance: random.Random, tier: str, number: int, sizes: tuple[int, int, int, int], after: int) -> Ask:
    """The sizes: of the prompt, least and most, and of the output."""
    tenant = chance.choice(("acme", "globex"))
    prompt, output = chance.randint(*sizes[:2]), chance.randint(*sizes[2:])
    return Ask(f"{tier}/{tenant}/{number}", _prompt(chance, prompt), output, after)


def _prompt(chance: random.Random, length: int) -> list[int]:
    return [chance.randrange(3, VOCABULARY) for _ in range(length)]
