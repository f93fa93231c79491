"""What the urgent and batch get of two vLLM servers with the gateway before them, and without it, in one run.

usage: TIDEGATE_ENGINE=FOLDER PYTHONPATH=tests:python/examples measure.py [SECONDS [RATE]]

The engines' steps last as those of a GPU would (`paced_worker`), so that first tokens say who waited for whom, and not
who had the CPU. Prints a table for each scene, and the ratios.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gateway.load import Crowd, Heard, Plan, play, quantile, rows, table, tokens_per_second
from gateway_world import Gateway, Program, config, up
from vllm_server import PACE, SLOTS, VllmServer, paced, vllm_servers
from waiting import until

BATCH = Crowd(tier="batch", key="acme-key", clients=6 * SLOTS, output=64)
WARM_S = 4
"""Until batch has all slots."""


def urgent(rate: float) -> Crowd:
    """Short answers to long questions."""
    return Crowd(tier="realtime", key="acme-key", rate=rate, prompt=400, output=4, after=WARM_S)


def firsts(heard: Heard) -> list[float]:
    """Of the crowd that is named first."""
    return [one.first_after for one in heard.asked if one.crowd == 0 and one.first_after is not None]


def scenes(gateway: Program, engines: Sequence[Program], seconds: float, rate: float) -> dict[str, tuple[Plan, Heard]]:
    """Each in turn, by processes of its own."""
    through, straight = [gateway.url], [engine.url for engine in engines]
    plans = {
        "urgent alone, gateway": Plan(through, [urgent(rate)], WARM_S + seconds),
        "urgent and batch, gateway": Plan(through, [urgent(rate), BATCH], WARM_S + seconds),
        "urgent and batch, no gateway": Plan(straight, [urgent(rate), BATCH], WARM_S + seconds),
        "batch alone, no gateway": Plan(straight, [BATCH], WARM_S + seconds),
    }
    return {name: (plan, play(plan)) for name, plan in plans.items()}


class Ratios(NamedTuple):
    """What the scenes come to."""

    loaded: tuple[float, float]
    """The median and the 99th percentile of the urgent's first tokens, to those without load."""
    naive: tuple[float, float]
    """The same without the gateway."""
    batch: float
    """Batch tokens beside the urgent, to batch alone without the gateway."""


def measure(folder: Path, engines: Sequence[VllmServer], seconds: float, rate: float) -> Ratios:
    """Plays all scenes, and prints what they say."""
    with paced(engines), Gateway(folder, config(engines, SLOTS, health_timeout="10s")) as gateway:
        until(lambda: all(up(gateway, engine) for engine in engines))
        told = scenes(gateway, engines, seconds, rate)
        cuts = gateway.metric("tidegate_gateway_cut_total", tier="batch")
    print(f"\nsteps of {PACE[0]:g} ms and {PACE[1]:g} us a token, {2 * SLOTS} slots; batch was cut {cuts:.0f} times")
    for scene, (plan, heard) in told.items():
        print(f"\n{scene}\n{table(rows(plan, heard, WARM_S))}")
    quiet, loaded, naive, _ = (firsts(heard) for _, heard in told.values())
    (_, beside), (plan, alone) = told["urgent and batch, gateway"], told["batch alone, no gateway"]
    rates = [tokens_per_second(heard, crowd, WARM_S, plan.seconds) for heard, crowd in ((beside, 1), (alone, 0))]

    def ratios(values: Sequence[float]) -> tuple[float, float]:
        median, most = (quantile(values, share) / quantile(quiet, share) for share in (0.5, 0.99))
        return median, most

    found = Ratios(ratios(loaded), ratios(naive), rates[0] / rates[1])
    for name, (median, most) in (("with the gateway", found.loaded), ("without it", found.naive)):
        print(f"the urgent's first token beside batch, to that alone, {name}: p50 {median:.2f}, p99 {most:.2f}")
    print(f"batch beside the urgent, to batch alone without the gateway: {found.batch:.2f}")
    return found


def main() -> None:
    """Prints its figures."""
    seconds, rate = (float(word) for word in (sys.argv[1:] + ["40", "3"][len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as name, vllm_servers(Path(name), 2) as engines:
        measure(Path(name), engines, seconds, rate)


if __name__ == "__main__":
    main()
