"""The action classes: matching, equality, hashing, copies."""

import pickle

import pytest

import tidegate
from tidegate import Abort, AlsoLost, Drop, LeaseWanted, Preempt, QuotaLimit, Reason, Spare, Start, Stuck, YieldMode

ONE_OF_EACH = [
    Start(7, 3, 1, 64, Reason.GUARANTEED),
    Preempt(7, 1, YieldMode.CHECKPOINT, None, 99, Reason.RECLAIM),
    Spare(7, 1, Reason.NOT_NEEDED),
    Abort(7, 1, Reason.OUT_OF_MEMORY),
    Drop(7, Reason.QUEUE_TIMEOUT),
    Stuck(7, 1, Reason.UNCONFIRMED),
    LeaseWanted(7, QuotaLimit.TOKENS, 3, 400, -5, Reason.LEASE_AHEAD),
    AlsoLost(7, 1, Reason.WORKER_LOST),
]

pytestmark = pytest.mark.parametrize("action", ONE_OF_EACH, ids=lambda action: type(action).__name__)


def test_fields_are_in_the_order_of_match_args(action: tidegate.Action) -> None:
    values = [getattr(action, name) for name in type(action).__match_args__]
    assert type(action)(*values) == action
    match action:
        case (
            Start(first)
            | Preempt(first)
            | Spare(first)
            | Abort(first)
            | Drop(first)
            | Stuck(first)
            | LeaseWanted(first)
            | AlsoLost(first)
        ):
            assert first == 7


def test_repr_is_the_call_that_makes_it(action: tidegate.Action) -> None:
    assert eval(repr(action), vars(tidegate)) == action


def test_equal_by_value_and_by_class(action: tidegate.Action) -> None:
    again = pickle.loads(pickle.dumps(action))
    assert again == action
    assert again is not action
    assert len({again, action}) == 1
    assert sum(other == action for other in ONE_OF_EACH) == 1


def test_frozen(action: tidegate.Action) -> None:
    with pytest.raises(AttributeError):
        action.reason = Reason.GUARANTEED  # type: ignore[misc]


def test_the_reason_is_a_member(action: tidegate.Action) -> None:
    assert action.reason is Reason(action.reason.value)
