"""One journal, one digest: what `replay` recorded, replayed through Rust, C and Python, is the same actions.

Each replayer calls the public functions of its language one by one and hashes the actions that it received
itself (docs/JOURNAL.md). A binding that changes one bit of one action on the way is caught here.
"""

import json
import re
import sys
from pathlib import Path

import pytest
from toolchain import ROOT, compile_c, output

LINE = re.compile(r"^digest ([0-9a-f]{16}) actions (\d+) inputs (\d+)$")


@pytest.fixture(scope="module")
def replay_c(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("c") / "replay"
    compile_c(ROOT / "ffi/examples/replay.c", program)
    return program


@pytest.fixture(scope="module")
def recorded(program: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The journal of a run of the built-in workload, and the digest that the run itself reported."""
    journal = tmp_path_factory.mktemp("journal") / "run.journal"
    small = ["--setup", "tidegate", "--workers", "4", "--json"]
    report = json.loads(output(program, "replay", *small, "--journal", journal))
    setup = report["setups"]["tidegate"]
    assert sum(tier["preemptions"] for tier in setup["tiers"]) > 0, "a run without preemptions proves little"
    return journal, setup["actions_digest"]


VERBS = {
    *(
        "tenant_set",
        "tenant_configure",
        "tenant_remove",
        "lease_granted",
        "reconfigure",
        "submit",
        "prefix_set",
        "amend",
        "cancel",
        "poll",
    ),
    *("device_add", "device_resize", "device_lost"),
    *("worker_add", "worker_resize", "worker_usage", "worker_drain", "worker_lost", "step"),
    *("cache_stored", "cache_evicted"),
    *("started", "declined", "progress", "preempted", "released", "complete", "failed"),
}


def last_line(printed: str) -> str:
    return printed.splitlines()[-1]


def test_three_languages_receive_the_same_actions(program: Path, replay_c: Path, recorded: tuple[Path, str]) -> None:
    journal, digest = recorded
    rust = last_line(output(program, "journal", "replay", journal))
    found = LINE.match(rust)
    assert found, rust
    assert found[1] == digest, "the replay differs from the run that it was recorded in"
    assert int(found[2]) > 10_000
    assert last_line(output(replay_c, journal)) == rust
    assert last_line(output(sys.executable, "-m", "tidegate.journal", journal)) == rust


def test_every_verb_is_the_same_in_three_languages(program: Path, replay_c: Path) -> None:
    """The journal was recorded by the host of ffi/tests/replay.rs, which says every verb, right and wrong."""
    journal = ROOT / "tests/every_verb.journal"
    said = {words[1] for line in journal.read_text().splitlines() if len(words := line.split()) > 1}
    assert said >= VERBS
    assert set(re.findall(r"^\| `NOW (\w+)`", (ROOT / "docs/JOURNAL.md").read_text(), re.MULTILINE)) <= VERBS
    rust = last_line(output(program, "journal", "replay", journal))
    found = LINE.match(rust)
    assert found, rust
    assert int(found[2]) > 200
    assert last_line(output(replay_c, journal)) == rust
    assert last_line(output(sys.executable, "-m", "tidegate.journal", journal)) == rust


def test_three_languages_tell_the_same_of_tenants(program: Path, replay_c: Path, recorded: tuple[Path, str]) -> None:
    told = [0] * (COUNTS + 12 + 24)
    for journal in (recorded[0], ROOT / "tests/every_verb.journal"):
        rust = output(program, "journal", "replay", journal, "--usage")
        usages = [line.split()[2:] for line in rust.splitlines() if line.startswith("usage ")]
        assert usages, "a run without tenants tells nothing of them"
        told = [one + other for one, other in zip(told, sums(usages), strict=True)]
        assert output(replay_c, journal, "--usage") == rust
        assert output(sys.executable, "-m", "tidegate.journal", journal, "--usage") == rust
    assert all(told[:COUNTS]), "a count that is 0 everywhere proves little"
    # Units in use at the end, unit nanoseconds and those borrowed, of the first two dimensions.
    assert all(told[COUNTS + place] for place in (0, 1, 4, 5, 8, 9))


COUNTS = 17
"""Fields of a `usage` line before those by dimension."""


def sums(usages: list[list[str]]) -> list[int]:
    """Adds up the fields of several lines; the numbers of 128 bits are hexadecimal."""
    numbers = [[int(field, 16 if len(field) == 32 else 10) for field in fields] for fields in usages]
    return [sum(column) for column in zip(*numbers, strict=True)]


@pytest.mark.parametrize("language", ["c", "python"])
def test_one_wrong_bit_is_caught(language: str, replay_c: Path, recorded: tuple[Path, str]) -> None:
    journal, digest = recorded
    replayer = [replay_c] if language == "c" else [sys.executable, "-m", "tidegate.journal"]
    found = LINE.match(last_line(output(*replayer, journal, "--corrupt", "777")))
    assert found
    assert found[1] != digest
