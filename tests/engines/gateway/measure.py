"""What the urgent and batch get of two vLLM servers with the gateway before them, and without it, in one run.

usage: TIDEGATE_ENGINE=FOLDER PYTHONPATH=tests:python/examples measure.py [SECONDS [RATE]]

The engines' steps last as those of a GPU would (`paced_worker`), so that first tokens say who waited for whom, and not
who had the CPU. Prints a table for each scene, and the ratios.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gateway.load import Crowd, Heard, Plan, play, quantile, rows, table, tokens_per_second
from gateway_world import Gateway, Program, config, until, up
from vllm_server import PACE, SLOTS, vllm_servers

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


def main() -> None:
    """Prints its figures."""
    seconds, rate = (float(word) for word in (sys.argv[1:] + ["40", "3"][len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as name, vllm_servers(Path(name), 2, PACE) as engines:
        text = config(engines, SLOTS, health_timeout="10s")
        with Gateway(Path(name), text) as gateway:
            until(lambda: all(up(gateway, engine) for engine in engines))
            told = scenes(gateway, engines, seconds, rate)
            cuts = gateway.metric("tidegate_gateway_cut_total", tier="batch")
    print(
        f"steps of at least {PACE[0]:g} ms and {PACE[1]:g} us for each token; {2 * SLOTS} slots; batch cut {cuts:.0f}x"
    )
    for scene, (plan, heard) in told.items():
        print(f"\n{scene}\n{table(rows(plan, heard, WARM_S))}")
    quiet, loaded, naive, _ = (firsts(heard) for _, heard in told.values())
    (_, beside), (plan, alone) = told["urgent and batch, gateway"], told["batch alone, no gateway"]
    rates = [tokens_per_second(heard, crowd, WARM_S, plan.seconds) for heard, crowd in ((beside, 1), (alone, 0))]
    for share in (0.5, 0.99):
        ratios = [quantile(values, share) / quantile(quiet, share) for values in (loaded, naive)]
        print(
            f"p{share * 100:.0f} of the first token, to that without load: {ratios[0]:.2f}; no gateway {ratios[1]:.1f}"
        )
    print(f"batch beside the urgent, to batch alone: {rates[0] / rates[1]:.2f}")


if __name__ == "__main__":
    main()
