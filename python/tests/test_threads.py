"""Threads share one scheduler, and the sources show that they may."""

import re
import threading
from pathlib import Path

import pytest

import tidegate

SOURCES = Path(__file__).parent.parent / "src"
CLASS = re.compile(r"#\[pyclass(?:\((?P<options>[^]]*)\))?\](?P<item>.*?(?:;|\n\s*\}))", re.DOTALL)


def unsafe_classes(source: str) -> list[str]:
    """Gives the classes that Python could change from two threads at once."""
    found = []
    for match in CLASS.finditer(source):
        frozen = "frozen" in re.split(r"[\s,]+", match["options"] or "")
        locked = re.search(r"\b(Guarded|Mutex|RwLock)<", match["item"])
        if not frozen and not locked:
            found.append(re.search(r"struct (\S+)", match["item"])[1])
    return found


def test_every_class_is_frozen_or_locked() -> None:
    sources = [path.read_text() for path in sorted(SOURCES.glob("*.rs"))]
    assert sum(len(CLASS.findall(source)) for source in sources) >= 4
    assert sum(source.count("#[pyclass") for source in sources) == sum(len(CLASS.findall(source)) for source in sources)
    assert [unsafe_classes(source) for source in sources] == [[]] * len(sources)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("#[pyclass]\nstruct Bare {\n    n: u64,\n}", ["Bare"]),
        ('#[pyclass(eq, module = "frozen")]\nstruct Named {\n    n: u64,\n}', ["Named"]),
        ("#[pyclass(eq, frozen)]\nstruct Frozen {\n    n: u64,\n}", []),
        ("#[pyclass]\nstruct Locked {\n    n: Mutex<u64>,\n}", []),
    ],
)
def test_the_check_finds_what_it_looks_for(source: str, found: list[str]) -> None:
    assert unsafe_classes(source) == found


def test_threads_lose_nothing(config: tidegate.Config) -> None:
    sched = tidegate.Scheduler(config, now_ns=0)
    sched.worker_add({"slots": 8, "kv_blocks": 800}, now_ns=0)
    each, completed, failures = 200, [], []

    def host(number: int) -> None:
        try:
            for index in range(each):
                demand = {"slots": 1, "kv_blocks": 1}
                sched.submit(tenant=f"tenant {number}", tier=index % 3, demand=demand, now_ns=index)
                for action in sched.poll(now_ns=index):
                    finish(action, index)
        except Exception as error:
            failures.append(error)

    def finish(action: tidegate.Action, now_ns: int) -> None:
        match action:
            case tidegate.Start(request, _, attempt):
                sched.complete(request, attempt, now_ns=now_ns)
                completed.append(request)

    threads = [threading.Thread(target=host, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while round_of_actions := sched.poll(now_ns=each):
        for action in round_of_actions:
            finish(action, each)
    assert failures == []
    assert len(set(completed)) == 4 * each == sched.stats().completed
    sched.check_invariants()
