"""The config: settings, TOML, and what is wrong with either."""

import pytest

import tidegate
from tidegate import Config, ConfigError

EVERYTHING = {
    "dimensions": ["slots", "kv_blocks"],
    "pools": ("a100", "h100"),
    "min_run": "250ms",
    "max_preemptions": 2,
    "confirm_after": "3s",
    "max_bypass": 0,
    "drain_after": "5s",
    "decline_backoff": "10us",
    "queue_limit": 1_000,
    "tenant_queue_limit": 10,
    "displace": True,
    "max_tenants": 7,
    "tiers": [
        {
            "name": 'real "time" \\ 1',
            "reserve_ppm": 300_000,
            "lendable_ppm": 500_000,
            "borrow_limit": {"slots": 2, "kv_blocks": 100},
            "rounding": "nearest",
            "hold_window": "0s",
            "preemption": "never",
            "preempt_while_borrowing": "never",
            "queue_limit": 5,
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


@pytest.mark.parametrize("setting", [name for name in EVERYTHING if name not in ("dimensions", "pools", "tiers")])
def test_every_setting_counts_and_none_leaves_it_out(setting: str) -> None:
    without = {name: value for name, value in EVERYTHING.items() if name != setting}
    assert Config(**without) != Config(**EVERYTHING)
    assert Config(**without) == Config(**{**EVERYTHING, setting: None})


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
    [(path, _)] = caught.value.faults
    assert path == "line 2"


def test_a_config_is_frozen(config: Config) -> None:
    with pytest.raises(AttributeError):
        config.tiers = ()  # type: ignore[misc]
    assert repr(config).startswith("<tidegate.Config dimensions=('slots', 'kv_blocks')")
