"""The script of the store, against a real Redis: what it grants, what it says again, and what it remembers.

The rule of the bucket is counted here with Python's integers, which have no end; the script has doubles.
"""

from collections.abc import Iterator
from importlib import resources

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis_server import RedisServer
from waiting import until

SECOND = 1_000_000_000
BURST = 1_000
SCRIPT = resources.files("tidegate").joinpath("lease.lua").read_text()
KEY = "tidegate:{b}"
RECORD = f"{KEY}:replica:1"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def module_store(server: RedisServer) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client


@pytest.fixture
def store(module_store: redis.Redis) -> redis.Redis:
    """A store that knows nothing yet."""
    module_store.flushall()
    return module_store


def want(
    store: redis.Redis,
    seq: int,
    tokens: int = 0,
    returned: int = 0,
    *,
    rate: tuple[int, int, int] = (0, SECOND, BURST),
    record: str = RECORD,
) -> int | None:
    return store.eval(SCRIPT, 2, KEY, record, *rate, seq, tokens, returned)


def put(store: redis.Redis, level: int, *, rem: int = 0, ago_us: int = 0, period: int = SECOND) -> int:
    """Sets the budget as it was some microseconds ago; returns when that was."""
    seconds, microseconds = store.time()
    at = seconds * 1_000_000 + microseconds - ago_us
    store.hset(KEY, mapping={"level": level, "rem": rem, "at": at, "period": period})
    return at


def budget(store: redis.Redis) -> dict[str, int]:
    return {name.decode(): int(value) for name, value in store.hgetall(KEY).items()}


def test_the_same_wish_is_granted_once_and_answered_the_same_again(store: redis.Redis) -> None:
    put(store, 100)
    assert want(store, 1, 60) == 60
    assert want(store, 1, 60) == 60
    assert budget(store)["level"] == 40


def test_an_older_wish_gets_nothing(store: redis.Redis) -> None:
    put(store, 100)
    want(store, 7, 10)
    assert want(store, 6, 10) is None
    assert budget(store)["level"] == 90


def test_what_it_grants_is_deducted_and_never_more_than_there_is(store: redis.Redis) -> None:
    put(store, 100)
    assert want(store, 1, 70, record="a") == 70
    assert want(store, 1, 70, record="b") == 30
    assert want(store, 1, 70, record="c") == 0
    assert budget(store)["level"] == 0


def test_a_debt_is_deducted_first_and_closes_the_budget_until_it_is_refilled(store: redis.Redis) -> None:
    put(store, 100)
    assert want(store, 1, 70, -250) == 0
    assert budget(store)["level"] == -150


def test_what_comes_back_counts_beside_the_record_of_what_went_out(store: redis.Redis) -> None:
    put(store, 100)
    want(store, 1, 70)
    assert want(store, 2, 0, 50) == 0
    assert budget(store)["level"] == 80
    want(store, 3, 0, 10_000)
    assert budget(store)["level"] == BURST, "no more than a burst is saved up"


def test_what_comes_back_to_a_store_that_forgot_it_does_not_count(store: redis.Redis) -> None:
    put(store, 100)
    want(store, 1, 70)
    store.delete(RECORD)
    want(store, 2, 0, 50)
    assert budget(store)["level"] == 30
    want(store, 3, 0, 50)
    assert budget(store)["level"] == 80


def test_incarnations_count_for_themselves(store: redis.Redis) -> None:
    put(store, 100)
    want(store, 9, 10, record="first")
    assert want(store, 1, 20, record="second") == 20
    assert want(store, 9, 10, record="first") == 10
    assert budget(store)["level"] == 70


def up_to(most: int) -> st.SearchStrategy[int]:
    """Whole numbers of every length."""
    return st.integers(0, most.bit_length()).flatmap(lambda bits: st.integers(0, min(most, 1 << bits)))


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    missing=up_to(2**41),
    rem=up_to(2**52),
    ago_us=up_to(2**50),
    amount=up_to(2**40),
    period=up_to(2**52).map(lambda ns: max(ns, 1)),
    old_period=up_to(2**52).map(lambda ns: max(ns, 1)),
    burst=up_to(2**40),
)
def test_the_refill_is_exact(
    *,
    module_store: redis.Redis,
    missing: int,
    rem: int,
    ago_us: int,
    amount: int,
    period: int,
    old_period: int,
    burst: int,
) -> None:
    module_store.delete(KEY, RECORD)
    rem %= old_period
    level = burst - missing
    before = put(module_store, level, rem=rem, ago_us=ago_us, period=old_period)
    want(module_store, 1, rate=(amount, period, burst))
    after = budget(module_store)
    parts = (after["at"] - before) * 1_000 * amount + rem * period // old_period
    expected = level + parts // period
    if expected >= burst:
        assert (after["level"], after["rem"]) == (burst, 0)
    else:
        assert (after["level"], after["rem"]) == (expected, parts % period)


def test_a_clock_that_went_back_brings_nothing_but_does_not_close_the_budget_for_ever(store: redis.Redis) -> None:
    rate = (1, SECOND, BURST)
    ahead = put(store, 0, ago_us=-500_000_000)
    assert want(store, 1, 10, rate=rate) == 0
    assert budget(store) == {"level": 0, "rem": 0, "at": ahead, "period": SECOND}
    ahead = put(store, 0, ago_us=-3_600_000_000)
    assert want(store, 2, 10, rate=rate) == 0
    assert budget(store)["at"] < ahead, "it was never full for so long: that clock was wrong"


def test_a_budget_that_must_be_full_again_is_forgotten_and_begins_full(store: redis.Redis) -> None:
    # Tokens come so slowly that none does meanwhile.
    rate = (1, 1_000 * SECOND, 5)
    put(store, 2)
    asked_at = now_ms(store)
    want(store, 1, 2, rate=rate)
    full, record = store.pttl(KEY), store.pttl(RECORD)
    took = now_ms(store) - asked_at
    assert full <= 5_000_000 + 60_000 <= full + took, "five times a thousand seconds, and a margin"
    assert record <= 3_600_000 <= record + took


def now_ms(store: redis.Redis) -> int:
    """The store's time."""
    seconds, microseconds = store.time()
    return seconds * 1_000 + microseconds // 1_000


def uptime(store: redis.Redis) -> int:
    seconds: int = store.info("server")["uptime_in_seconds"]
    return seconds


def test_an_unknown_budget_has_what_came_since_the_server_started(server: RedisServer, store: redis.Redis) -> None:
    server.restart()
    assert want(store, 1, 2**40, rate=(1_000, SECOND, 2**40)) <= (uptime(store) + 1) * 1_000
    until(lambda: uptime(store) >= 2)
    store.flushall()
    assert want(store, 1, 2**40, rate=(1_000, SECOND, BURST)) == BURST, "a second ago it was full"


@pytest.mark.parametrize(
    ("index", "value"),
    [(0, -1), (0, 2**40 + 1), (1, 0), (1, 2**52 + 1), (2, -1), (3, 0), (4, -1), (4, "x"), (5, 2**40 + 1), (5, "1.5")],
)
def test_what_is_no_number_or_too_large_is_refused_and_changes_nothing(
    store: redis.Redis, index: int, value: int | str
) -> None:
    arguments: list[int | str] = [1, SECOND, BURST, 1, 1, 0]
    arguments[index] = value
    with pytest.raises(redis.ResponseError, match="is not a whole number from"):
        store.eval(SCRIPT, 2, KEY, RECORD, *arguments)
    assert store.keys() == []
