"""One file for all hosts: the command, the replay, the gateway, vLLM's adapter and Python read it, and refuse alike."""

import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from gateway.config import ConfigFault
from gateway.config import parse as parse_gateway

import tidegate
from tidegate.deployment import PROGRAM_TABLES, Deployment

ROOT = Path(__file__).parent.parent
TOP = """
dimensions = ["slots", "kv_blocks"]

[[tiers]]
name = "realtime"
reserve_ppm = 300_000

[[tiers]]
name = "near-realtime"

[[tiers]]
name = "batch"
"""
FILE = f"""{TOP}
[tenants.acme]
weight = 3
tokens = {{ amount = 600, period = "60s", burst = 100 }}

[tenants.team]
parent = "acme"
most_urgent = "batch"
max_in_use = {{ slots = 4 }}

[tier_pools]
batch = ["default"]

[[devices]]
name = "gpu0"
limit = {{ kv_blocks = 900 }}

[[workers]]
count = 2
capacity = {{ slots = 8, kv_blocks = 500 }}
devices = ["gpu0"]

[gateway]
max_waiting = 7

[[engines]]
url = "http://127.0.0.1:1"
slots = 4

[[keys]]
sha256 = "{hashlib.sha256(b"key").hexdigest()}"
tenant = "team"

[vllm]
default_tier = "batch"

[kubernetes]
global_default = "batch"
"""


@pytest.fixture(scope="module")
def vllm_settings() -> ModuleType:
    """The adapter's settings, without vLLM, which its package imports."""
    path = ROOT / "python/tidegate/vllm/settings.py"
    spec = importlib.util.spec_from_file_location("vllm_settings", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def check(program: Path, path: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([program, "config", "check", path], capture_output=True, text=True, check=False, timeout=60)


def test_crowded_devices_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    crowded = FILE.replace("count = 2", 'count = 5\nkind = "mps"')
    told = '5 engines share "gpu0": with more than 4 each is small and slow'
    assert Deployment.parse(crowded).warnings == (told,)
    assert [record.getMessage() for record in caplog.records] == [told]
    assert Deployment.parse(FILE).warnings == ()


def test_all_hosts_read_one_file(program: Path, vllm_settings: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "tidegate.toml"
    path.write_text(FILE)
    done = check(program, path)
    assert done.returncode == 0
    assert "2 tenants; 1 device; 2 workers; not looked at: engines, gateway, keys, vllm" in done.stdout
    found = Deployment.load(path)
    gateway, vllm = parse_gateway(FILE), vllm_settings.Settings.parse(FILE)
    assert gateway.scheduler == vllm.config == found.config
    assert gateway.tenants == vllm.deployment.tenants == found.tenants
    assert gateway.gateway.max_waiting == 7
    assert vllm.default_tier == "batch"
    assert set(found.programs) <= set(PROGRAM_TABLES)


def test_a_scheduler_is_told_of_all_of_it() -> None:
    found = Deployment.parse(FILE)
    assert found.tenants[0].policy == {"weight": 3, "tokens": tidegate.Rate(600, 60_000_000_000, 100)}
    assert found.tenants[1].policy == {"most_urgent": "batch", "max_in_use": (4, 0)}
    assert found.tier_pools == ((), (), (0,))
    scheduler = tidegate.Scheduler(found.config, now_ns=0)
    tenants = found.introduce_tenants(scheduler, now_ns=0)
    workers = found.introduce_workers(scheduler, now_ns=0)
    assert (list(tenants), len(workers)) == (["acme", "team"], 2)
    demand = {"slots": 1, "kv_blocks": 10}
    with pytest.raises(tidegate.SubmitError):
        scheduler.submit(tenant=tenants["team"], tier="realtime", demand=demand, now_ns=0)
    for _ in range(3):  # on two workers of 500 the device has 900
        scheduler.submit(tenant=tenants["team"], tier="batch", demand={"slots": 1, "kv_blocks": 450}, now_ns=0)
    assert len(scheduler.poll(now_ns=0)) == 2
    scheduler.check_invariants()


def test_all_hosts_refuse_what_nobody_knows(program: Path, vllm_settings: ModuleType, tmp_path: Path) -> None:
    for wrong, place in [
        (FILE.replace("weight = 3", "wieght = 3"), "tenants.acme.wieght"),
        (FILE.replace("[[workers]]", "[[werkers]]"), "werkers[0]"),
        (FILE.replace('devices = ["gpu0"]', 'devices = ["gpu1"]'), "workers[0].devices"),
        (FILE.replace('parent = "acme"', 'parent = "nobody"'), "tenants.team.parent"),
        (FILE.replace('batch = ["default"]', 'batch = ["defualt"]'), "tier_pools.batch"),
    ]:
        path = tmp_path / "wrong.toml"
        path.write_text(wrong)
        done = check(program, path)
        line = next(number for number, line in enumerate(wrong.splitlines(), 1) if line not in FILE.splitlines())
        assert done.returncode == 2
        assert f"wrong.toml: line {line}: {place}: " in done.stderr, done.stderr
        with pytest.raises(tidegate.ConfigError) as caught:
            Deployment.parse(wrong)
        assert caught.value.faults[0][0] == place
        with pytest.raises(ConfigFault) as refused:
            parse_gateway(wrong)
        assert place in dict(refused.value.faults)
        with pytest.raises(vllm_settings.SettingsError, match=f"line {line}"):
            vllm_settings.Settings.parse(wrong)


def test_the_adapter_has_defaults_for_what_a_file_leaves_out(vllm_settings: ModuleType) -> None:
    settings = vllm_settings.Settings.parse("[tenants.acme]\nweight = 2\n")
    assert settings.config.tiers == ("realtime", "near-realtime", "batch")
    assert settings.config.dimensions == ("slots", "kv_blocks")
    scheduler, worker = settings.build(slots=4, blocks=100, now_ns=0)
    assert worker == 0
    scheduler.check_invariants()


def test_rates_and_tiers_as_the_call_takes_them() -> None:
    text = f"{TOP}[tenants.a]\ntokens = [600, 60000000000, 100]\nmost_urgent = 2\nmax_in_use = [1, 2]\n"
    (tenant,) = Deployment.parse(text).tenants
    expected = {"tokens": tidegate.Rate(600, 60_000_000_000, 100), "most_urgent": "batch", "max_in_use": (1, 2)}
    assert tenant.policy == expected
    with pytest.raises(tidegate.ConfigError):
        Deployment.load("no/such/file.toml")


def test_the_page_is_in_order() -> None:
    page = (ROOT / "docs/CONFIG.md").read_text()
    found = Deployment.parse(page.partition("```toml\n")[2].partition("```")[0])
    assert (len(found.tenants), found.workers[0].count) == (2, 4)
    page = (ROOT / "docs/KUBERNETES.md").read_text()
    Deployment.parse(TOP + page.partition("```toml\n")[2].partition("```")[0])
