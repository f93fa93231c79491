"""The small world that most tests use: three tiers, two dimensions, one worker of four slots."""

import hypothesis
import pytest

import tidegate

# A failure prints the line that reproduces it. Nothing is written into the checkout, or hangs on how fast this is.
hypothesis.settings.register_profile(
    "tidegate",
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("tidegate")


@pytest.fixture
def config() -> tidegate.Config:
    return tidegate.Config(
        dimensions=["slots", "kv_blocks"],
        tiers=[
            {"name": "realtime", "reserve_ppm": 500_000, "hold_window": "0s"},
            {"name": "near-realtime", "hold_window": "0s"},
            {"name": "batch", "hold_window": "0s"},
        ],
    )


@pytest.fixture
def sched(config: tidegate.Config) -> tidegate.Scheduler:
    """A scheduler with one worker of 4 slots and 400 blocks."""
    sched = tidegate.Scheduler(config, now_ns=0)
    sched.worker_add({"slots": 4, "kv_blocks": 400}, now_ns=0)
    return sched
