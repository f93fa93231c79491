"""What the llama.cpp host says of itself, and of what it cannot use."""

from pathlib import Path

import pytest
from llama_run import SOURCE, Host


def test_help(host: Host) -> None:
    ended = host.call("--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    for option in ("--model", "--workload", "--slots", "--cells", "--batch-tokens", "--checkpoint-mib", "--first-come"):
        assert option in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--model and --workload are needed"),
        (["--modle", "x"], "there is no option '--modle'"),
        (["--model"], "--model needs a value"),
        (["--slots", "two"], "--slots takes a number from 1 to 256, not 'two'"),
        (["--cells", "9" * 20], f"--cells takes a number from 1 to 1073741824, not '{'9' * 20}'"),
        (["--model", "m", "--workload", "w", "--slots", "9", "--batch-tokens", "8"], "--batch-tokens must be at least"),
        (["--model", "m", "--workload", "w", "--slots", "4", "--cells", "3"], "--cells must be at least --slots"),
    ],
)
def test_a_wrong_command_line(host: Host, arguments: list[str], message: str) -> None:
    ended = host.call(*arguments)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"llama_host: {message}")


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        ("tenant acme\nrequest 0 batch acme 10\n", "workload.txt:2: neither 'tenant NAME"),
        ("tenant acme fast\n", "workload.txt:1: neither 'tenant NAME"),
        ("tenant acme 1 -1\n", "workload.txt:1: neither 'tenant NAME"),
        ("tenant acme\nrequest -1 batch acme 10 0 hello\n", "workload.txt:2: neither 'tenant NAME"),
        ("tenant acme\nrequest 1844674407371 batch acme 10 0 hello\n", "workload.txt:2: neither 'tenant NAME"),
        ("tenant acme\nrequest 0 batch acme -1 0 hello\n", "workload.txt:2: neither 'tenant NAME"),
        ("tenant acme\nrequest 0 batch acme 10 4294967296 hello\n", "workload.txt:2: neither 'tenant NAME"),
        ("tenant acme\n", "workload.txt: no requests"),
        ("request 0 batch acme 10 0 hello\n", "no tenant is called acme"),
        ("tenant acme\nrequest 0 idle acme 10 0 hello\n", "the config has no tier called idle"),
    ],
)
def test_a_wrong_workload(host: Host, tmp_path: Path, workload: str, message: str) -> None:
    path = tmp_path / "workload.txt"
    path.write_text(workload)
    ended = host.call("--model", host.model, "--workload", path)
    assert ended.returncode == 1
    assert message in ended.stderr


def test_no_model(host: Host, tmp_path: Path) -> None:
    (tmp_path / "workload.txt").write_text("tenant acme\nrequest 0 batch acme 10 0 hello\n")
    ended = host.call("--model", tmp_path / "none.gguf", "--workload", tmp_path / "workload.txt")
    assert ended.returncode == 1
    assert "llama_host: cannot load the model" in ended.stderr


def test_a_report_that_cannot_be_written(host: Host, tmp_path: Path) -> None:
    (tmp_path / "workload.txt").write_text("tenant acme\nrequest 0 batch acme 3 0 hello\n")
    files = ["--model", host.model, "--workload", tmp_path / "workload.txt", "--report", "/dev/full"]
    ended = host.call(*files)
    assert ended.returncode == 1
    assert "llama_host: cannot write the report /dev/full" in ended.stderr


def test_every_decision_is_told(host: Host, tmp_path: Path) -> None:
    (tmp_path / "workload.txt").write_text("tenant acme\nrequest 0 realtime acme 3 0 hello\n")
    ended = host.call("--model", host.model, "--workload", tmp_path / "workload.txt", "--talk")
    assert ended.returncode == 0, ended.stderr
    assert "realtime      #0   starts in slot 0 with 0 of" in ended.stdout
    assert "(guaranteed)" in ended.stdout


def test_the_example_workload_and_what_it_prints(host: Host) -> None:
    run = host.serve_file(SOURCE / "workload.txt", "--checkpoint-mib", "1")
    assert all(request.phase == "completed" for request in run.requests)
    assert {request.steps_until_start() for request in run.of_tier("realtime")} == {0}
    assert run.counts["reclaims"] >= 2
    lines = {line.split()[0]: line.split() for line in run.printed.splitlines() if line}
    assert lines["realtime"][1:4] == ["6", "0", "0"]
    assert lines["batch"][1] == "8"
    assert lines["acme:"][1:3] == ["8", "completed,"]
    assert lines["globex:"][-3:] == ["0", "still", "held"]
