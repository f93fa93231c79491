"""A file that a running scheduler goes by: taken whole when it changes, or refused whole, however it is written."""

import asyncio
import json
import os
import threading
from pathlib import Path

import pytest

import tidegate
from tidegate.deployment import Deployment, FileWatch, InForce, watch

TOP = 'dimensions = ["slots"]\nmax_tenants = 4\n[[tiers]]\nname = "realtime"\n[[tiers]]\nname = "batch"\n'
LIMITED = f"queue_limit = 7\n{TOP}"
ACME = '[[tenants]]\nname = "acme"\nqueue_limit = 3\n'
WAIT_S = 60
"""The bound of whatever another thread does."""


def clock() -> int:
    return 0


class Host:
    """A scheduler, the file it goes by, and what its watch said."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        if not path.is_symlink():
            path.write_text(text)
        self.scheduler = tidegate.Scheduler(Deployment.load(path).config, now_ns=0)
        self.taken: list[Deployment] = []
        self.refused: list[tidegate.Error] = []
        self.heard = threading.Event()
        self.watch = watch(
            path,
            self.scheduler,
            clock_ns=clock,
            every_s=0.01,
            on_changed=lambda taken: (self.taken.append(taken), self.heard.set()),
            on_refused=lambda error: (self.refused.append(error), self.heard.set()),
        )

    def look(self) -> bool:
        """Until the watch has settled on what it finds."""
        return [self.watch.check() for _ in range(2)][-1]

    def queue_limit(self) -> object:
        return json.loads(self.scheduler.config.to_json())["queue_limit"]

    def tenants(self) -> set[str]:
        return set(self.scheduler.tenants().values())


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path / "tidegate.toml", TOP + ACME)
    assert made.look(), "the first version counts as another"
    assert not made.taken, "but it says nothing new"
    return made


def test_pools_of_tiers_change_with_the_file(host: Host) -> None:
    host.path.write_text(TOP + ACME + '[tier_pools]\nbatch = ["default", "default"]\n')
    host.look()
    assert ([taken.tier_pools for taken in host.taken], host.refused) == ([((), (0,))], [])
    host.path.write_text(TOP + ACME + '[tier_pools]\nbatch = ["elsewhere"]\n')
    host.look()
    [refused] = host.refused
    assert isinstance(refused, tidegate.ConfigError)
    assert refused.faults == (("tier_pools.batch", 'there is no pool "elsewhere"'),)


def test_a_file_renamed_over_is_taken_whole(host: Host, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text(LIMITED + '[[tenants]]\nname = "globex"\nparent = "acme"\n' + ACME)
    other.replace(host.path)
    assert host.look()
    assert (len(host.taken), host.refused) == (1, [])
    assert host.queue_limit() == 7
    assert host.tenants() == {"acme", "globex"}
    assert not host.look(), "nothing has changed since"


def test_a_file_that_is_being_written_is_not_read(host: Host) -> None:
    text = LIMITED + ACME
    with host.path.open("w") as file:
        # What is there would be taken: it is a whole file without tenants.
        file.write(LIMITED)
        file.flush()
        assert not host.watch.check()
        file.write(ACME[:7])
        file.flush()
        assert not host.watch.check()
        file.write(ACME[7:])
    assert host.path.read_text() == text
    assert not host.watch.check()
    assert not host.taken
    assert host.watch.check()
    assert (host.tenants(), host.queue_limit(), host.refused) == ({"acme"}, 7, [])


def test_a_config_map_moves_the_link_in_the_middle(tmp_path: Path) -> None:
    def version(name: str, text: str) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "tidegate.toml").write_text(text)
        (tmp_path / "..data_tmp").symlink_to(name)
        os.rename(tmp_path / "..data_tmp", tmp_path / "..data")

    version("..2026_01", TOP + ACME)
    path = tmp_path / "tidegate.toml"
    path.symlink_to(Path("..data") / "tidegate.toml")
    host = Host(path, "")
    host.look()
    version("..2026_02", LIMITED + ACME)
    assert host.look()
    assert host.queue_limit() == 7
    version("..2026_03", "queue_limit = -1\n" + TOP)
    assert host.look()
    assert [type(error) for error in host.refused] == [tidegate.ConfigError]
    assert host.queue_limit() == 7
    version("..2026_04", TOP)
    assert host.look()
    assert host.tenants() == set()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (TOP + ACME + "weigth = 3\n", "weigth"),
        (TOP + '[[tenants]]\nname = "acme"\nparent = "globex"\n', "globex"),
        (TOP.replace("slots", "blocks"), "dimensions"),
        (TOP + '[[tiers]]\nname = "third"\n', "tiers"),
        (TOP + "[[workers]]\ncapacity = { slots = 1 }\n", "at the start alone"),
        (TOP + "".join(f'[[tenants]]\nname = "t{number}"\n' for number in range(9)), "tenants[4]"),
    ],
)
def test_a_file_with_a_fault_changes_nothing(host: Host, text: str, why: str) -> None:
    before = host.scheduler.snapshot()
    host.path.write_text(text)
    assert host.look()
    assert why in str(host.refused[0])
    assert host.scheduler.snapshot() == before
    host.path.unlink()
    assert host.look()
    assert "No such file" in str(host.refused[1])
    assert host.scheduler.snapshot() == before


def test_a_version_that_could_not_be_read_is_tried_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Path.read_text

    def fails(path: Path, encoding: str | None = None) -> str:
        if path == host.path:
            raise OSError(5, "no answer from the server")
        return whole(path, encoding=encoding)

    host.path.write_text(LIMITED)
    monkeypatch.setattr(Path, "read_text", fails)
    assert host.look()
    assert host.watch.check(), "again, though the file is the same"
    assert (len(host.refused), host.taken) == (1, []), "told of once"
    monkeypatch.undo()
    assert host.watch.check()
    assert host.queue_limit() == 7
    assert not host.watch.check(), "it was read: the next version counts"
    host.path.unlink()
    assert host.look()
    assert not host.watch.check(), "one that is not there is not tried again before it is"


def test_a_file_that_fails_half_way_is_taken_back(host: Host) -> None:
    for name in ("one", "two"):  # of four places three are taken, by those that the file does not know
        host.scheduler.tenant_configure(host.scheduler.tenant_set(name, now_ns=0), now_ns=0)
    host.path.write_text(LIMITED + '[[tenants]]\nname = "globex"\n[[tenants]]\nname = "initech"\n')
    assert host.look()
    assert isinstance(host.refused[0], tidegate.TenantError)
    assert host.tenants() == {"acme", "one", "two"}
    assert host.queue_limit() != 7
    acme = next(number for number, name in host.scheduler.tenants().items() if name == "acme")
    for _ in range(3):
        host.scheduler.submit(tenant=acme, tier="batch", demand={"slots": 1}, now_ns=0)
    with pytest.raises(tidegate.QueueFull):
        host.scheduler.submit(tenant=acme, tier="batch", demand={"slots": 1}, now_ns=0)


def test_who_still_has_requests_is_forgotten_later(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    acme = host.scheduler.tenant_set("acme", now_ns=0)
    waiting = host.scheduler.submit(tenant=acme, tier="batch", demand={"slots": 1}, now_ns=0)
    host.path.write_text(LIMITED)
    assert host.look()
    assert host.queue_limit() == 7
    assert host.tenants() == {"acme"}
    assert "tenant acme is not forgotten" in caplog.text
    host.scheduler.cancel(waiting, now_ns=0)
    host.path.write_text(TOP)
    assert host.look()
    assert host.tenants() == set()


def test_a_thread_looks_until_its_block_ends(host: Host) -> None:
    with host.watch:
        host.path.write_text(LIMITED + ACME)
        assert host.heard.wait(WAIT_S)
        host.heard.clear()
        host.path.write_text("nonsense")
        assert host.heard.wait(WAIT_S)
        with pytest.raises(RuntimeError, match="entered already"):
            host.watch.__enter__()
    assert (len(host.taken), len(host.refused)) == (1, 1)
    assert all(thread.name != "tidegate-watch" for thread in threading.enumerate())


def test_a_task_looks_and_goes_on_when_what_is_called_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, calls = tmp_path / "file", []
    path.write_text("first")

    async def scene() -> None:
        twice = asyncio.Event()

        def changed() -> None:
            calls.append(path.read_text())
            if len(calls) == 1:
                path.write_text("the second")
                raise OSError("the first is too much")
            twice.set()

        task = asyncio.create_task(FileWatch(path, changed, every_s=0.01).run())
        async with asyncio.timeout(WAIT_S):
            await twice.wait()
        task.cancel()

    asyncio.run(scene())
    assert calls == ["first", "the second"]
    assert "the first is too much" in caplog.text


def test_what_a_watch_is_made_of(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="above zero"):
        FileWatch(tmp_path, list, every_s=0)
    with pytest.raises(tidegate.ConfigError):
        watch(tmp_path / "none", tidegate.Scheduler(tidegate.Config.from_toml(TOP), now_ns=0))
    deployment = Deployment.parse(TOP + ACME)
    scheduler = tidegate.Scheduler(deployment.config, now_ns=0)
    InForce(scheduler, deployment, clock_ns=clock)
    assert set(scheduler.tenants().values()) == {"acme"}
