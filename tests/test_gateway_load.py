"""The load generator: its crowds, its traces, and a load of some seconds on a gateway before a stub."""

import gzip
import itertools
import json
import random
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from gateway.arrivals import Arrival, by_rate, by_trace
from gateway.load import Crowd
from gateway_world import ROOT, world

TRACES = {
    "own.csv": "arrival_s,tier,tenant,prompt_tokens,output_tokens\n5,P0,a,10,20\n6.5,P1,b,9999,1\n",
    "own.jsonl": '{"arrival_s": 5, "prompt_tokens": 10, "output_tokens": 20}\n'
    '{"arrival_s": "6.5", "prompt_tokens": 9999, "output_tokens": 1}\n',
    "azure.csv.gz": "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:59:59.5000000,10,20\r\n"
    "2023-11-16 19:00:01.0000000,9999,1\r\n",
    "mooncake.jsonl.gz": '{"timestamp": 500, "input_length": 10, "output_length": 20, "hash_ids": [1]}\n'
    '{"timestamp": 2000, "input_length": 9999, "output_length": 1, "hash_ids": []}\n',
}


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_of_each_kind(tmp_path: Path, name: str) -> None:
    text = TRACES[name].encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    assert list(by_trace(tmp_path / name, 3, 100, 8)) == [Arrival(0, 10, 8), Arrival(0.5, 100, 1)]


@pytest.mark.parametrize("row", ["x,1,1", "1,,1", "1,1"])
def test_a_trace_with_a_row_that_is_none(tmp_path: Path, row: str) -> None:
    (tmp_path / "a.csv").write_text(f"arrival_s,prompt_tokens,output_tokens\n0,1,1\n{row}\n")
    with pytest.raises(ValueError, match=r"a\.csv: row 2"):
        list(by_trace(tmp_path / "a.csv", 1, 100, 100))


def test_a_rate_is_kept() -> None:
    number = 10_000
    last = next(itertools.islice(by_rate(50, 1, 1, random.Random(1)), number - 1, None)).at
    assert last == pytest.approx(number / 50, rel=0.05)


@pytest.mark.parametrize("text", ["tier=batch", "rate=1,clients=2", "rates=1", "rate=often", ""])
def test_what_is_no_crowd(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Crowd.read(text)


def test_a_load_is_told_by_tier_and_tenant(tmp_path: Path) -> None:
    trace, told, picture = tmp_path / "trace.csv", tmp_path / "told.jsonl", tmp_path / "load.svg"
    trace.write_text("arrival_s,prompt_tokens,output_tokens\n" + "".join(f"{at},3,4\n" for at in range(6)))
    crowds = [
        "tier=realtime,tenant=acme,key=acme-key,rate=20,output=4",
        "tier=batch,tenant=acme,key=batch-key,clients=3,output=16",
        "tier=realtime,tenant=frugal,key=frugal-key,clients=1,output=60",
        f"tier=near-realtime,tenant=acme,key=acme-key,trace={trace},speed=5",
    ]
    with world(tmp_path) as (gateway, (engine,)):
        engine.control(pause=0.001)
        command = [sys.executable, "-m", "gateway.load", gateway.url, "--seconds", "3", "--since", "0"]
        for crowd in crowds:
            command += ["--crowd", crowd]
        ended = subprocess.run(
            [*command, "--json", told, "--picture", picture],
            cwd=ROOT / "python/examples",
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        assert gateway.live() == 0
    head, *lines = ([cell.strip() for cell in line.split("  ") if cell] for line in ended.stdout.splitlines())
    rows = [dict(zip(head, line, strict=True)) for line in lines]
    asked = [json.loads(line) for line in told.read_text().splitlines()]
    for number, row in enumerate(rows):
        mine = [one for one in asked if one["crowd"] == number]
        assert int(row["asked"]) == len(mine)
        assert int(row["whole"]) == sum(one["is_whole"] for one in mine) > 0
        assert int(row["refused"]) == sum(one["status"] == 429 for one in mine)
    assert [(row["tier"], row["tenant"]) for row in rows[1:3]] == [("batch", "acme"), ("realtime", "frugal")]
    assert int(rows[2]["refused"]) > 0, "its quota is small"
    assert {one["code"] for one in asked if one["status"] == 429} == {"quota-tokens"}
    assert int(rows[3]["asked"]) == 6
    dots = ElementTree.parse(picture).getroot().findall("{http://www.w3.org/2000/svg}circle")
    assert len(dots) == sum(one["first_after"] is not None for one in asked)
