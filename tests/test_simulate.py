"""`tidegate.simulation` drives the program and gives its report back."""

import json
import re
import sys
from pathlib import Path

import pandas
import pytest

from tidegate import Config, ConfigError
from tidegate.simulation import Simulation, SimulationError, simulate

ROWS = [
    {"arrival_s": index / 4, "tier": f"P{index % 3}", "tenant": "acme", "prompt_tokens": 300, "output_tokens": 20}
    for index in range(60)
]
TWO_TIERS = {
    "dimensions": ["slots", "kv_blocks"],
    "tiers": [{"name": "now", "reserve_ppm": 500_000}, {"name": "later"}],
}
AT_MOST_S = 120


@pytest.fixture
def without_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where pandas and tqdm are not installed."""
    for name in ("pandas", "tqdm"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("without_extras")
def test_rows_are_replayed_under_all_set_ups(program: Path) -> None:
    result = simulate(None, ROWS, workers=3, binary=program, timeout_s=AT_MOST_S)
    assert list(result["setups"]) == ["dedicated", "naive", "tidegate"]
    assert result["setups"]["tidegate"]["requests"]["completed"] == len(ROWS)
    assert not result.is_partial
    again = simulate(None, ROWS, workers=3, binary=program, timeout_s=AT_MOST_S)
    assert result["setups"]["tidegate"]["actions_digest"] == again["setups"]["tidegate"]["actions_digest"]
    tiers = result.tiers()
    assert [(row["setup"], row["name"]) for row in tiers[-3:]] == [
        ("tidegate", "realtime"),
        ("tidegate", "near-realtime"),
        ("tidegate", "batch"),
    ]
    assert tiers[-1]["ttft_ms_p99"] == result["setups"]["tidegate"]["tiers"][2]["ttft_ms"]["p99"]
    assert [row["setup"] for row in result.setups()] == ["dedicated", "naive", "tidegate"]
    assert result.setups()[2]["requests_completed"] == len(ROWS)


@pytest.mark.parametrize("config", [TWO_TIERS, Config(**TWO_TIERS)], ids=["dict", "Config"])
def test_a_config_of_ones_own(program: Path, tmp_path: Path, config: Config | dict[str, object]) -> None:
    trace = tmp_path / "rows.jsonl"
    rows = [{**row, "tier": index % 2} for index, row in enumerate(ROWS)]
    trace.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = tmp_path / "report.html"
    result = simulate(
        config, f"jsonl:{trace}", workers=2, setups=["tidegate"], report=report, binary=program, timeout_s=AT_MOST_S
    )
    assert [tier["name"] for tier in result["setups"]["tidegate"]["tiers"]] == ["now", "later"]
    assert report.read_text().endswith("</html>\n")


def test_what_is_wrong_is_an_exception_with_the_programs_words(program: Path, tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match=r"prompt_tokens: \"0\" is not a whole number") as caught:
        simulate(None, [{**ROWS[0], "prompt_tokens": 0}], binary=program, timeout_s=AT_MOST_S)
    assert caught.value.status == 2
    with pytest.raises(ConfigError):
        simulate({"dimensions": []}, ROWS, binary=program)
    with pytest.raises(TypeError, match="int is neither KIND:PATH nor a row"):
        simulate(None, [3], binary=program)  # type: ignore[list-item]
    with pytest.raises(TypeError, match="some are KIND:PATH and some are rows"):
        simulate(None, ["csv:x", ROWS[0]], binary=program)  # type: ignore[list-item]
    with pytest.raises(SimulationError, match=r"no program .*cargo build --release -p tidegate-sim"):
        simulate(None, ROWS, binary=tmp_path / "absent")
    with pytest.raises(SimulationError, match=r"it did not end within 0\.01 s"):
        simulate(None, None, binary=program, timeout_s=0.01)


def test_the_environment_names_the_program(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_BINARY", str(program))
    assert simulate(None, ROWS, workers=3, setups=["naive"], timeout_s=AT_MOST_S)["workers"] == 3


def test_tqdm_shows_how_far_it_is_and_pandas_makes_tables(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{**row, "arrival_s": index / 40} for index, row in enumerate(ROWS * 40)]
    result = simulate(None, rows, workers=3, setups=["naive"], binary=program, timeout_s=AT_MOST_S)
    bar = capsys.readouterr().err
    assert f"/{len(rows)} [" in bar, "a bar of all requests"
    assert int(re.findall(rf"(\d+)/{len(rows)} \[", bar)[-1]) > len(rows) / 2
    assert isinstance(result, Simulation)
    tiers = result.tiers()
    assert isinstance(tiers, pandas.DataFrame)
    assert list(tiers["setup"].unique()) == ["naive"]
    assert result.setups()["requests_completed"].sum() == len(rows)
    simulate(None, rows, workers=3, setups=["naive"], binary=program, progress=False, timeout_s=AT_MOST_S)
    assert not capsys.readouterr().err
