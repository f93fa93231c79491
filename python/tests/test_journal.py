"""The journal replayer: what it hashes, what it refuses, and how it ends."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tidegate import Abort, Action, AlsoLost, Drop, LeaseWanted, Preempt, Spare, Start, Stuck, journal
from tidegate._digest import Digest, action_bytes

JOURNAL = """\
tidegate-journal 1
start 5
config 5
dimensions = ["slots"]
[[tiers]]
name = "realtime"
reserve_ppm = 500000
hold_window = "0s"
10 worker_add 0 2 0 0 0 0 0 - 0
10 tenant_set acme
10 submit 0 0 0 1 0 0 0 1 0 0 0 512 0 - 0 - - 7
11 submit 9 0 0 1 0 0 0 1 0 0 0 512 9 256 1 5 1000 7
12 poll 2
end 4
"""

FIRST, SECOND, THIRD, OTHER = 0x1_0000_0007, 0x1_0000_0008, 0x1_0000_0009, 0x2_0000_0001
LAST = 2**64 - 1
ADD = "10 worker_add 0 2 0 0 0 0 0 - 0"

# The digests of the list up to each action, as core/tests/journal.rs has them.
GOLDEN: list[tuple[int, Action, str]] = [
    (10, Start(FIRST, 3, 1, 0, "guaranteed"), "7b3a38a5e32274d2"),
    (20, Preempt(FIRST, 1, "checkpoint", OTHER, 1_000_000_020, "reclaim"), "5b271d6a7e91a5bd"),
    (20, Preempt(SECOND, 2**32 - 1, "restart", None, LAST, "out-of-memory"), "b487a30d76da4d9b"),
    (25, Spare(FIRST, 1, "not-needed"), "e367c41d1a711d80"),
    (30, Abort(THIRD, 2, "never-fits"), "f8dfaba9c46a42dd"),
    (40, Drop(LAST, "queue-timeout"), "0b8e61631c308369"),
    (LAST, Stuck(SECOND, 5, "unconfirmed"), "af39a32c93729077"),
    (50, Start(FIRST, 65535, 2, 777, "reclaimed"), "ab62eb5a94dad62c"),
    (60, LeaseWanted(2**32 - 1, "tokens", 9, 2**40, -164, "lease-owed"), "eebe0c1628c82227"),
    (70, AlsoLost(65535, 3, "worker-lost"), "44da71e38487f699"),
]


def replay(text: str | bytes, corrupt: int | None = None) -> journal.Replay:
    data = text if isinstance(text, bytes) else text.encode()
    return journal.replay(data.splitlines(keepends=True), corrupt=corrupt)


def test_the_digest_is_the_cores() -> None:
    digest = Digest()
    assert str(digest) == "9e3779b97f4a7c15"
    for now_ns, action, expected in GOLDEN:
        digest.update(action_bytes(now_ns, action))
        assert str(digest) == expected, action


def test_a_replay_hashes_what_the_verbs_gave() -> None:
    digest = Digest()
    digest.update(action_bytes(12, Start(1 << 32, 0, 1, 0, "guaranteed")))
    assert str(replay(JOURNAL)) == f"digest {digest} actions 1 inputs 4"


def test_a_config_that_is_refused_stands_in_the_journal_too() -> None:
    other = '12 reconfigure 3\ndimensions = ["kv"]\n[[tiers]]\nname = "realtime"\n12 poll 2\nend 5'
    replayed = replay(JOURNAL.replace("12 poll 2\nend 4", other))
    assert (replayed.digest, replayed.inputs) == (replay(JOURNAL).digest, 5)


def test_a_wrong_bit_is_caught() -> None:
    right, wrong = replay(JOURNAL), replay(JOURNAL, corrupt=1)
    assert (wrong.actions, wrong.inputs) == (right.actions, right.inputs)
    assert wrong.digest != right.digest


def test_every_single_bit_counts() -> None:
    right = action_bytes(12, GOLDEN[1][1])
    digests = set()
    for bit in range(512):
        digest = Digest()
        digest.update((int.from_bytes(right, "little") ^ 1 << bit).to_bytes(64, "little"))
        digests.add(digest.value)
    assert len(digests) == 512


@pytest.mark.parametrize(
    ("line", "changed", "fault"),
    [
        ("tidegate-journal 1", "tidegate-journal 2", r"line 1: 'tidegate-journal 2' is not `tidegate-journal 1`"),
        ("start 5", "start", r"line 2: start: '' is not a whole number"),
        ("start 5", "begin 5", r"line 2: a line with `start` stands here"),
        ("config 5", "config 4", r"line 8: now: 'hold_window' is not a whole number"),
        ("config 5", "config 50", r"line 15: the file is torn"),
        ("reserve_ppm = 500000", "reserve_ppm = 1500000", r"line 3: the config that begins below: .*reserve_ppm"),
        ("12 poll 2", "12 poll 0", r"line 13: calls: '0' is not a whole number from 1 to 4294967295"),
        ("12 poll 2", "12 poll", r"line 13: calls is missing"),
        ("12 poll 2", "12 poll 2 3", r"line 13: '3' stands after the last field"),
        ("12 poll 2", "12 pull 2", r"line 13: 'pull' is not a verb"),
        ("12 poll 2", "12", r"line 13: verb is missing"),
        ("12 poll 2", "012 poll 2", r"line 13: now: '012' is not a whole number"),
        ("12 poll 2", "-1 poll 2", r"line 13: now: '-1' is not a whole number"),
        ("12 poll 2", "1_2 poll 2", r"line 13: now: '1_2' is not a whole number"),
        ("12 poll 2", "\u0661 poll 2", r"line 13: now: '\u0661' is not a whole number"),
        ("12 poll 2", f"{2**64} poll 2", r"line 13: now: '18446744073709551616' is not a whole number"),
        ("12 poll 2", f"{'9' * 5000} poll 2", r"line 13: now: '9{40}' is not a whole number"),
        ("12 poll 2", "12  poll 2", r"line 13: '' is not a verb"),
        (ADD, "10 worker_add 0 2 0 0", r"line 9: capacity is missing"),
        (ADD, "10 worker_add 0 2 0 0 0 0 0 -", r"line 9: devices is missing"),
        (ADD, "10 worker_add 0 2 0 0 0 0 0 - 1 0", r"line 9: devices is missing"),
        (ADD, f"10 worker_add 0 2 0 0 0 0 0 - {LAST} 0 1", r"line 9: devices is missing"),
        (ADD, "10 worker_add 0 2 0 0 0 0 0 - 0 1", r"line 9: '1' stands after the last field"),
        (ADD, "10 worker_add 4294967296 2 0 0 0 0 0 - 0", r"line 9: pool: '4294967296'"),
        ("12 poll 2", "12 reconfigure 1\n?", r"line 13: the config that begins below: "),
        ("12 poll 2", f"12 reconfigure {LAST}", r"line 15: the file is torn"),
        ("12 poll 2", "12 step 0 1 1 5 1 7 1 0 0", r"line 13: exceptions is missing"),
        ("12 poll 2", "12 amend 1 1 0 0 - - -", r"line 13: demand: '-' is not a whole number"),
        ("12 poll 2", "12 amend 1 - - 256 -", r"line 13: tier: '256' is not a whole number from 0 to 255"),
        ("10 tenant_set acme", "10 tenant_set a\\me", r"line 10: name: .* has a control character or a backslash"),
        ("10 tenant_set acme", "10 tenant_set a\\x41me", r"line 10: name"),
        ("10 tenant_set acme", "10 tenant_set a\rme", r"line 10: name"),
        ("512 0 - 0 - - 7", "512 0 x 0 - - 7", r"line 11: output_tokens: 'x' is not a whole number"),
        ("512 0 - 0 - - 7", "512 0 - 3 - - 7", r"line 11: yielding: '3' is not a whole number from 0 to 2"),
        ("end 4", "end 5", r"line 14: `end` counts 5 inputs, 4 stand above it"),
        ("end 4", "end 4 4", r"line 14: end: '4 4' is not a whole number"),
        ("end 4\n", "end 4", r"line 14: the file is torn"),
        ("end 4\n", "", r"line 14: the file is torn"),
        ("end 4\n", "end 4\n\n", r"line 14: there is text after the line `end`"),
    ],
)
def test_a_fault_names_line_and_field(line: str, changed: str, fault: str) -> None:
    assert JOURNAL.count(line) == 1
    with pytest.raises(journal.JournalError, match=f"^{fault}") as caught:
        replay_lines(JOURNAL.replace(line, changed))
    assert str(caught.value).startswith(f"line {caught.value.line}: ")
    assert "\n" not in str(caught.value)


def replay_lines(text: str) -> journal.Replay:
    """Replays with lines that end in LF alone, as a binary file gives them."""
    return journal.replay(re.findall(rb"[^\n]*\n|[^\n]+", text.encode()))


def test_text_that_is_not_utf8() -> None:
    with pytest.raises(journal.JournalError, match=r"^line 10: the line is not UTF-8"):
        replay(JOURNAL.encode().replace(b"acme", b"\xff"))


@pytest.mark.parametrize("name", ["", " two  words ", "a\\x0ab", "back\\x5cslash", "\u00fcn\u00efc\u00f6de"])
def test_names_are_read_to_the_end_of_the_line(name: str) -> None:
    assert replay(JOURNAL.replace("tenant_set acme", f"tenant_set {name}")).inputs == 4


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tidegate.journal", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_prints_one_line(tmp_path: Path) -> None:
    file = tmp_path / "run.journal"
    file.write_text(JOURNAL)
    right, wrong = run(str(file)), run(str(file), "--corrupt", "1")
    assert (right.returncode, right.stdout, right.stderr) == (0, f"{replay(JOURNAL)}\n", "")
    assert (wrong.returncode, wrong.stdout) == (0, f"{replay(JOURNAL, corrupt=1)}\n")


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "torn.journal"
    file.write_text(JOURNAL[:-1])
    torn = run(str(file))
    assert (torn.returncode, torn.stdout) == (2, "")
    assert torn.stderr == f"{file}: line 14: the file is torn: it ends before the line `end` does\n"
    absent = run(str(tmp_path / "absent"))
    assert (absent.returncode, absent.stdout) == (2, "")
    assert absent.stderr == f"{tmp_path / 'absent'}: No such file or directory\n"
    file.write_text(JOURNAL)
    beyond = run(str(file), "--corrupt", "2")
    assert (beyond.returncode, beyond.stdout) == (2, "")
    assert beyond.stderr == "--corrupt 2: the journal gives 1 actions\n"
