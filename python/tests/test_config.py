"""The config: settings, TOML, and what is wrong with either."""

import enum
import json
import math
from collections.abc import Iterable

import pytest

import tidegate
from tidegate import Config, ConfigError

EVERYTHING = {
    "dimensions": ["slots", "kv_blocks"],
    "pools": ("a100", "h100"),
    "placement": "spread",
    "prefix_blocks": 1_000,
    "prefix_block_tokens": 512,
    "prefix_worker_blocks": 100,
    "prefix_learning": False,
    "prefix_load_tokens": 2_000,
    "prefix_imbalance_ppm": 0,
    "prefix_wait": "200ms",
    "min_run": "250ms",
    "max_preemptions": 2,
    "confirm_after": "3s",
    "max_bypass": 0,
    "drain_after": "5s",
    "decline_backoff": "10us",
    "flap_backoff": "7s",
    "flap_backoff_max": "70s",
    "flap_forget_after": "700s",
    "rebalance_every": "2s",
    "step_time": {
        "base": "20ms",
        "prompt_token": "40us",
        "decode": "150us",
        "decode_context": "170us",
        "prompt_context": "2ms",
    },
    "stop_takes": "30ms",
    "swap_token": "1us",
    "checkpoint_kib_per_token": 128,
    "max_step": "10s",
    "queue_limit": 1_000,
    "queue_token_limit": 100_000,
    "tenant_queue_limit": 10,
    "tenant_queue_token_limit": 50_000,
    "displace": True,
    "hold_timeout": "90s",
    "max_tenants": 7,
    "default_policy": {
        "weight": 2,
        "most_urgent": "batch",
        "requests": {"amount": 600, "period": "60s"},
        "tokens": {"amount": 7_000_000, "period": "60s", "burst": 500_000},
        "leased": False,
        "max_running": 4,
        "max_in_use": {"kv_blocks": 1_000},
        "queue_limit": 20,
        "queue_token_limit": 90_000,
        "over_quota": "reject",
        "allow_when_full": True,
    },
    "tiers": [
        {
            "name": 'real "time" \\ 1',
            "reserve_ppm": 300_000,
            "reserve_units": {"slots": 3},
            "reserve_ppm_in": {"kv_blocks": 400_000},
            "pools": {"h100": {"reserve_ppm": 200_000, "reserve_units": {"slots": 5}}},
            "lendable_ppm": 500_000,
            "borrow_limit": {"slots": 2, "kv_blocks": 100},
            "rounding": "nearest",
            "hold_window": "0s",
            "preemption": "never",
            "preempt_while_borrowing": "never",
            "preemption_budget": 5,
            "order": "hybrid-deadline",
            "deadline_token_weight": "9ms",
            "age_after": "60s",
            "prefill_share_ppm": 100_000,
            "token_objective": "50ms",
            "queue_limit": 5,
            "queue_token_limit": 9_000,
            "queue_timeout": "60s",
        },
        {"name": "batch"},
    ],
}


def test_settings_and_toml_are_one_description() -> None:
    config = Config(**EVERYTHING)
    assert config.dimensions == ("slots", "kv_blocks")
    assert config.pools == ("a100", "h100")
    assert config.tiers == ('real "time" \\ 1', "batch")
    again = Config.from_toml(config.to_toml())
    assert again == config
    assert again.to_toml() == config.to_toml()
    for setting in ('min_run = "250ms"', "max_tenants = 7", "displace = true", 'queue_timeout = "60s"'):
        assert setting in config.to_toml()


def test_json_is_the_same_description() -> None:
    config = Config(**EVERYTHING)
    assert Config.from_json(config.to_json()) == config
    assert Config.from_json(json.dumps(EVERYTHING)) == config
    with pytest.raises(ConfigError) as caught:
        Config.from_json('{"dimensions": ["slots"],\n"tiers": 1}')
    [(path, message)] = caught.value.faults
    assert path == "line 2"
    assert str(caught.value) == f"line 2: {message}"
    with pytest.raises(ConfigError) as several:
        Config.from_json('{"dimensions": [], "tiers": [], "max_step": "0s"}')
    assert [path for path, _ in several.value.faults] == ["dimensions", "tiers", "max_step"]


@pytest.mark.parametrize("setting", [name for name in EVERYTHING if name not in ("dimensions", "pools", "tiers")])
def test_every_setting_counts_and_none_leaves_it_out(setting: str) -> None:
    without = {name: value for name, value in EVERYTHING.items() if name != setting}
    assert Config(**without) != Config(**EVERYTHING)
    assert Config(**without) == Config(**{**EVERYTHING, setting: None})


TIER = EVERYTHING["tiers"][0]


@pytest.mark.parametrize("setting", [name for name in TIER if name != "name"])
def test_every_setting_of_a_tier_counts_and_none_leaves_it_out(setting: str) -> None:
    def config(tier: dict[str, object]) -> Config:
        return Config(**{**EVERYTHING, "tiers": [tier, {"name": "batch"}]})

    without = {name: value for name, value in TIER.items() if name != setting}
    assert config(without) != config(TIER)
    assert config(without) == config({**TIER, setting: None})


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("order", tidegate.Order),
        ("rounding", tidegate.Rounding),
        ("preemption", tidegate.Preemption),
        ("preempt_while_borrowing", [tidegate.Preemption.LOWER_TIER, tidegate.Preemption.NEVER]),
    ],
)
def test_every_word_of_a_tier_is_known(setting: str, words: Iterable[str]) -> None:
    for word in words:
        config = Config(dimensions=["slots"], tiers=[{"name": "only", setting: word}])
        assert f'{setting} = "{word}"' in config.to_toml()


def test_every_placement_is_known() -> None:
    for word in tidegate.Placement:
        config = Config(dimensions=["slots"], tiers=[{"name": "only"}], placement=word)
        assert f'placement = "{word}"' in config.to_toml()


def test_names_survive_any_letter() -> None:
    name = 'a"b\\c ünïcödé 漢字 😀'
    config = Config(dimensions=[name], tiers=[{"name": name}])
    assert config.dimensions == config.tiers == (name,)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (
            {"tiers": [{"name": "a", "reserve_ppm": 600_000}, {"name": "b", "reserve_ppm": 600_000}]},
            "tiers.reserve_ppm",
        ),
        ({"tiers": [{"name": "a"}, {"name": "a"}]}, "tiers[1]"),
        ({"tiers": [{"name": "a"}, {"reserve_ppm": 1}]}, "tiers[1]"),
        ({"tiers": [{"name": "a", "reserve": 1}]}, "tiers[0].reserve"),
        ({"tiers": [{"name": "a", "hold_window": "soon"}]}, "tiers[0].hold_window"),
        ({"tiers": [{"name": "a", "borrow_limit": {"slots": 1, "vram": 1}}]}, "tiers[0].borrow_limit.vram"),
        ({"tiers": "a"}, "tiers"),
        ({"tiers": [{"name": {1}}]}, "tiers[0].name"),
        ({"tiers": [{"name": "a\nb"}]}, "tiers[0]"),
        ({"dimensions": []}, "dimensions"),
        ({"dimensions": ["a", "b", "c", "d", "e"]}, "dimensions"),
        ({"max_bypass": "many"}, "max_bypass"),
        ({"max_bypass": -1}, "max_bypass"),
        ({"max_bypass": 2**70}, "max_bypass"),
        ({"max_bypass": 1.5}, "max_bypass"),
        ({"queue_limits": 3}, "queue_limits"),
        ({"confirm_after": "0s"}, "confirm_after"),
        ({"max_step": "0s"}, "max_step"),
        ({"placement": "tight"}, "placement"),
        ({"step_time": {"base": "1s"}}, "step_time"),
        ({"step_time": {"base": "1", "prompt_token": "1s", "decode": "1s"}}, "step_time.base"),
        ({"tiers": [{"name": "a", "order": "lifo"}]}, "tiers[0].order"),
        ({"tiers": [{"name": "a", "preemption_budget": 0}]}, "tiers[0].preemption_budget"),
        ({"tiers": [{"name": "a", "reserve_units": {"vram": 1}}]}, "tiers[0].reserve_units.vram"),
        (
            {"tiers": [{"name": "a", "preempt_while_borrowing": "any-borrower"}]},
            "tiers[0].preempt_while_borrowing",
        ),
        ({"max_bypass": 10**5000}, "max_bypass"),
        ({"max_bypass": math.inf}, "max_bypass"),
        ({"max_bypass": math.nan}, "max_bypass"),
        ({"min_run": "\ud800"}, "min_run"),
        ({"dimensions": ["\ud800"]}, "dimensions"),
        ({"\ud800": 1}, "\ufffd" * 3),
        ({"tiers": [{"name": "a", "borrow_limit": {"\ud800": 1}}]}, "tiers[0].borrow_limit." + "\ufffd" * 3),
    ],
)
def test_a_fault_names_its_field(change: dict[str, object], path: str) -> None:
    settings = {"dimensions": ["slots"], "tiers": [{"name": "only"}], **change}
    with pytest.raises(ConfigError) as caught:
        Config(**settings)
    [(where, message)] = caught.value.faults
    assert where == path
    assert str(caught.value) == f"{where}: {message}"
    assert "\n" not in str(caught.value)


def test_all_faults_are_told_together() -> None:
    with pytest.raises(ConfigError) as caught:
        Config(dimensions=[], tiers=[], max_tenants=0)
    assert {path for path, _ in caught.value.faults} == {"dimensions", "tiers", "max_tenants"}
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, tidegate.Error)


def test_a_fault_of_text_names_its_line() -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_toml('dimensions = ["slots"]\nmax_bypass = "x"\n')
    [(path, message)] = caught.value.faults
    assert path == "max_bypass"
    assert str(caught.value) == f"line 2: max_bypass: {message}"


@pytest.mark.parametrize("line", ["[[tiers", "\ud800"])
def test_a_fault_of_text_outside_a_field_has_its_line_for_a_path(line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_toml(f'dimensions = ["slots"]\n{line}\n')
    [(path, message)] = caught.value.faults
    assert path == "line 2"
    assert str(caught.value) == f"line 2: {message}"


def holds_itself_in_a_list() -> dict[str, object]:
    names: list[object] = []
    names.append(names)
    return {"dimensions": names}


def holds_itself_in_a_table() -> dict[str, object]:
    tier: dict[str, object] = {}
    tier["name"] = tier
    return {"tiers": [tier]}


def stands_deep() -> dict[str, object]:
    pools: list[object] = []
    for _ in range(100_000):
        pools = [pools]
    return {"pools": pools}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (holds_itself_in_a_list(), "dimensions"),
        (holds_itself_in_a_table(), "tiers[0].name"),
        (stands_deep(), "pools"),
    ],
    ids=["list", "table", "deep"],
)
def test_settings_without_end_are_refused(change: dict[str, object], path: str) -> None:
    with pytest.raises(ConfigError, match="in one another") as caught:
        Config(**{"dimensions": ["slots"], "tiers": [{"name": "only"}], **change})
    assert [where for where, _ in caught.value.faults] == [path]


def test_a_number_counts_by_its_value_however_it_prints() -> None:
    class Prints(int):
        def __repr__(self) -> str:
            return "5\nmax_tenants = 1"

    class Share(enum.IntEnum):
        THIRD = 300_000

    def config(bypass: int, share: int) -> Config:
        return Config(dimensions=["slots"], tiers=[{"name": "only", "reserve_ppm": share}], max_bypass=bypass)

    assert config(Prints(7), Share.THIRD) == config(7, 300_000)


def test_the_largest_number_is_taken() -> None:
    config = Config(dimensions=["slots"], tiers=[{"name": "only"}], queue_limit=2**63 - 1)
    assert f"queue_limit = {2**63 - 1}" in config.to_toml()


def test_a_config_is_frozen(config: Config) -> None:
    with pytest.raises(AttributeError):
        config.tiers = ()  # type: ignore[misc]
    assert repr(config).startswith("<tidegate.Config dimensions=('slots', 'kv_blocks')")
