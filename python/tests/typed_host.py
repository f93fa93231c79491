"""A small host as a type checker sees it: `make test-python` checks this file strictly, and a test runs it."""

from typing import assert_never, assert_type

import numpy as np
import numpy.typing as npt

import tidegate
from tidegate import Completion, Config, Error, RequestSpec, Scheduler, arrays


def act(action: tidegate.Action) -> int:
    """Names the request that an action is about; every kind of action is looked at."""
    match action:
        case tidegate.Start(request, worker, attempt):
            assert_type((request, worker, attempt), tuple[int, int, int])
            return request
        case tidegate.Preempt(victim, attempt, mode, beneficiary):
            assert_type((attempt, mode, beneficiary), tuple[int, tidegate.YieldMode, int | None])
            return victim
        case tidegate.Spare(request) | tidegate.Abort(request) | tidegate.Drop(request) | tidegate.Stuck(request):
            return request
        case tidegate.LeaseWanted(tenant, limit):
            assert_type((tenant, limit), tuple[int, tidegate.QuotaLimit])
            return 0
        case tidegate.AlsoLost(worker, by):
            assert_type((worker, by), tuple[int, int])
            return 0
        case _:
            assert_never(action)


def refused(sched: Scheduler) -> str:
    """Says why a request that is too large is refused."""
    try:
        sched.submit(tenant="acme", tier="realtime", demand={"slots": 99}, now_ns=0)
    except tidegate.NeverFits as error:
        assert_type(error.max, int)
        return f"{error.need} of {error.dimension}, at most {error.max}"
    except tidegate.OverQuota as error:
        assert_type(error.retry_at_ns, int | None)
    return "accepted"


def main() -> None:
    """Submits one by one, as tuples and as arrays, and completes what starts."""
    config = Config(dimensions=["slots"], tiers=[{"name": "realtime", "reserve_ppm": 300_000}, {"name": "batch"}])
    sched = Scheduler(config, now_ns=0)
    sched.worker_add({"slots": 8}, now_ns=0)
    one = sched.submit(tenant="acme", tier="realtime", demand={"slots": 1}, prompt_tokens=512, now_ns=0)
    assert_type(one, int)
    many = sched.submit_many([RequestSpec("acme", "batch", (1,)), ("acme", 1, (1,))], now_ns=0)
    assert_type(many, list[int | Error])
    tier: npt.NDArray[np.uint8] = np.array([0, 1, 1], np.uint8)
    ids, problems = arrays.submit(sched, tenant="acme", tier=tier, demand=(1,), now_ns=0)
    assert_type(ids, npt.NDArray[np.uint64])
    assert_type(problems, list[tuple[int, Error]])
    actions = sched.poll(now_ns=1)
    ends = [Completion(start.request, start.attempt) for start in actions if isinstance(start, tidegate.Start)]
    assert_type(sched.complete_many(ends, now_ns=2), list[Error | None])
    assert_type(sched.poll_timeout(), int | None)
    print(len(ids), len(many), sorted(map(act, actions))[0] == one, refused(sched))


if __name__ == "__main__":
    main()
