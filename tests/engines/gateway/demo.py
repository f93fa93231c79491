"""Redis, two vLLM servers, two replicas of the gateway and a mixed load: a table by tier and tenant, and a picture.

usage: TIDEGATE_ENGINE=FOLDER demo.py FOLDER [SECONDS]     (`make gateway-demo`)
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gateway.load import Crowd, Heard, Plan, play, rows, table, write_picture
from gateway_world import TIERS, Gateway, Program, sha256, up
from redis_server import RedisServer
from vllm_server import SLOTS, paced, vllm_servers
from waiting import until

CONFIG = f"""
lease_replicas = 2
{TIERS}
[gateway]
health_timeout = "10s"

[[tenants]]
name = "acme"

[[tenants]]
name = "globex"
tokens = {{ amount = 300, period = "1s", burst = 600 }}
leased = true
over_quota = "wait"

[[keys]]
sha256 = "{sha256("acme-key")}"
tenant = "acme"

[[keys]]
sha256 = "{sha256("globex-key")}"
tenant = "globex"
"""
CROWDS = (
    Crowd(tier="realtime", tenant="acme", key="acme-key", rate=4, prompt=200, output=8),
    Crowd(tier="near-realtime", tenant="acme", key="acme-key", rate=4, prompt=50, output=32),
    Crowd(tier="batch", tenant="acme", key="acme-key", clients=24, output=64),
    Crowd(tier="batch", tenant="globex", key="globex-key", clients=24, output=64),
)


@contextmanager
def replicas(folder: Path, engines: Sequence[Program], store: RedisServer) -> Iterator[list[Gateway]]:
    """Two, each of which has half of every engine, and of the rest what the other one leaves."""
    with ExitStack() as stack:
        started = []
        share = f'slots = {SLOTS // 2}\nmax_slots = {SLOTS}\nload = "/metrics"\n'
        for number in range(2):
            place = folder / f"replica-{number}"
            place.mkdir(exist_ok=True)
            tables = [f'[[engines]]\nurl = "{engine.url}"\n{share}' for engine in engines]
            redis = f'[redis]\nurl = "redis://127.0.0.1:{store.port}"\nreplica = "{number}"\n'
            started.append(stack.enter_context(Gateway(place, "\n".join([CONFIG, redis, *tables]))))
        until(lambda: all(up(gateway, engine) for gateway in started for engine in engines))
        yield started


def load(gateways: Sequence[Gateway], seconds: float) -> tuple[Plan, Heard]:
    """The mixed load, on both of them."""
    plan = Plan([gateway.url for gateway in gateways], CROWDS, seconds, processes=2)
    return plan, play(plan)


def main() -> None:
    """Prints the table, and where the picture is."""
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 60
    folder.mkdir(parents=True, exist_ok=True)
    with (
        RedisServer() as store,
        vllm_servers(folder, 2) as engines,
        paced(engines),
        replicas(folder, engines, store) as gateways,
    ):
        print(f"two engines, two replicas: {', '.join(gateway.url for gateway in gateways)}; {seconds:.0f} s of load")
        plan, heard = load(gateways, seconds)
        cuts = sum(gateway.metric("tidegate_gateway_cut_total", tier="batch") for gateway in gateways)
    print(table(rows(plan, heard, min(5, seconds / 4))))
    picture = folder / "load.svg"
    write_picture(picture, plan, heard)
    print(f"batch was cut {cuts:.0f} times; the picture: {picture}")


if __name__ == "__main__":
    main()
