"""The file in TIDEGATE_CONFIG changes while vLLM's scheduler runs: in force between two steps, whole or not at all."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from scenes import Ours, VirtualStage, config
from stage import build, request

from tidegate.vllm import Settings, SettingsError

LOOKS_S = 0.02
"""As long as a step takes, so that each looks."""
TIERS = '[[tiers]]\nname = "realtime"\n[[tiers]]\nname = "batch"\n'
WATCHED = f"{TIERS}[vllm]\nwatch_every_s = {LOOKS_S}\n"


class Watched:
    """A stage of four slots, and its file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stage = VirtualStage(build(Ours, slots=4, tokens=256, blocks=1_000))
        self.settle()

    def settle(self) -> None:
        """Steps until what the file says has been seen twice."""
        for _ in range(3):
            self.stage.step()

    def says(self, text: str) -> None:
        """Renames another file over it, as editors and Kubernetes do."""
        other = self.path.with_suffix(".new")
        other.write_text(text)
        other.replace(self.path)
        self.settle()

    def add(self, name: str, **wishes: object) -> None:
        """One more request waits."""
        self.stage.add(request(name, priority=0, arrival=0.0, prompt=16, output=400, **wishes))

    def setting(self, name: str) -> object:
        """One of the config in force."""
        return json.loads(self.stage.scheduler._gate.core.config.to_json())[name]


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    path = tmp_path / "tidegate.toml"
    path.write_text(WATCHED)
    monkeypatch.setenv("TIDEGATE_CONFIG", str(path))
    made = Watched(path)
    yield made
    made.stage.drain()
    made.stage.scheduler.check_books()


def test_a_limit_holds_from_the_next_steps_on(watched: Watched) -> None:
    for number in range(3):
        watched.add(f"before {number}", tenant="acme")
    watched.settle()
    watched.says(WATCHED + "[tenants.acme]\nmax_running = 3\n")
    for number in range(2):
        watched.add(f"after {number}", tenant="acme")
    watched.add("other", tenant="globex")
    watched.settle()
    assert len(watched.stage.scheduler.running) == 4
    assert {"before 0", "before 1", "before 2", "other"} <= set(watched.stage.first_step)
    assert "after 0" not in watched.stage.first_step
    watched.says(WATCHED)
    watched.stage.drain()
    assert "after 1" in watched.stage.first_step


def test_the_default_tier_and_tenant_change_with_it(watched: Watched) -> None:
    watched.add("before")
    watched.says(WATCHED + 'default_tier = "realtime"\ndefault_tenant = "us"\n')
    watched.add("after")
    watched.settle()
    entries = watched.stage.scheduler._gate.entries
    assert (entries["before"].tier, entries["after"].tier) == (1, 0)
    assert "us" in watched.stage.scheduler._gate.core.tenants().values()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("min_run = 'soon'\n" + WATCHED, "min_run"),
        ("queue_limit = 9\n" + WATCHED.replace("batch", "bulk"), "tiers"),
        ("queue_limit = 9\n" + WATCHED + "[tenants.acme]\nparent = 'nobody'\n", "nobody"),
        ("queue_limit = 9\n" + WATCHED + "default_tier = []\n", "vllm.default_tier"),
        (f"queue_limit = 9\n{TIERS}[vllm]\nwatch_every_s = 5\n", "watch_every_s"),
        ("queue_limit = 9\n[[tiers", "line|TOML|expected"),
        ("\x00", "control|TOML|expected"),
    ],
)
def test_a_file_that_cannot_be_in_force_changes_nothing(
    watched: Watched, text: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("tidegate.vllm.reload.logger.error", lambda text, *more: said.append(text % more))
    before = watched.setting("queue_limit")
    watched.says(text)
    assert watched.setting("queue_limit") == before
    assert len(said) == 1, said
    assert re.search(words, said[0]), said
    watched.says("queue_limit = 7\n" + WATCHED)
    assert watched.setting("queue_limit") == 7


def test_workers_of_other_hosts_may_change_in_the_file(watched: Watched) -> None:
    watched.says("queue_limit = 7\n" + WATCHED + "[[workers]]\ncapacity = { slots = 4, kv_blocks = 100 }\n")
    assert watched.setting("queue_limit") == 7


def test_a_file_that_is_gone_changes_nothing(watched: Watched) -> None:
    watched.path.unlink()
    watched.settle()
    watched.says("queue_limit = 7\n" + WATCHED)
    assert watched.setting("queue_limit") == 7


def test_without_the_setting_nobody_looks() -> None:
    with config(TIERS):
        stage = VirtualStage(build(Ours, slots=4, tokens=256, blocks=1_000))
        Path(str(Settings.path())).write_text("queue_limit = 7\n" + TIERS)
        for _ in range(5):
            stage.step()
    assert json.loads(stage.scheduler._gate.core.config.to_json())["queue_limit"] != 7


@pytest.mark.parametrize("value", ["-1", "1e12", "inf", "nan", "true", "'2s'"])
def test_seconds_are_seconds(value: str) -> None:
    with pytest.raises(SettingsError, match="watch_every_s"):
        Settings.parse(f"[vllm]\nwatch_every_s = {value}\n")
