"""A replica that does nothing but ask: prints each grant, until it is killed.

usage: lease_replica.py PORT TOKENS
"""

import sys
import time
from typing import NamedTuple

import redis

from tidegate.redis import Budget, Leases


class Wish(NamedTuple):
    """A wish made by hand."""

    seq: int
    tokens: int
    returned: int = 0
    tenant: str = "acme"
    limit: str = "tokens"


def main() -> None:
    """Asks for so many tokens again and again, the next when the last came."""
    port, tokens = (int(argument) for argument in sys.argv[1:])
    budget = Budget("acme", amount=0, period_ns=1_000_000_000, burst=1 << 40)
    with redis.Redis(port=port) as client, Leases(client, lambda *_: budget, replica="child") as leases:
        for seq in range(1, sys.maxsize):
            leases.ask(Wish(seq, tokens))
            while not (grants := leases.grants()):
                time.sleep(0.001)
            (grant,) = grants
            print(grant.tokens, flush=True)


main()
