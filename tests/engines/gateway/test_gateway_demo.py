"""The demo, and the urgent beside batch with the gateway and without, for a few seconds each."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import demo
import measure
from gateway.load import rows, table, write_picture
from redis_server import RedisServer
from vllm_server import SLOTS, VllmServer
from waiting import until


def test_a_short_demo(servers: Sequence[VllmServer], tmp_path: Path) -> None:
    with RedisServer() as store, demo.replicas(tmp_path, servers, store) as gateways:
        plan, heard = demo.load(gateways, 6)
        told = rows(plan, heard, 0)
        print("\n" + table(told))
        assert all(row["whole"] for row in told)
        assert not any(row["failed"] for row in told)
        for gateway in gateways:
            assert gateway.total("tidegate_ended_requests_total", end="completed") > 0
            assert gateway.live() == 0
        # Nobody asks any more: each may have all of every engine, as those say themselves.
        slots = "tidegate_engine_slots"
        until(lambda: all(g.metric(slots, engine=server.url) == SLOTS for g in gateways for server in servers))
    write_picture(tmp_path / "load.svg", plan, heard)
    circles = ElementTree.parse(tmp_path / "load.svg").getroot().findall("{http://www.w3.org/2000/svg}circle")
    assert len(circles) == sum(one.first_after is not None for one in heard.asked)


def test_the_urgent_do_not_wait_for_batch(servers: Sequence[VllmServer], tmp_path: Path) -> None:
    # How much a busy machine adds is not the gateway's; that they do not stand in the engines' queues is.
    found = measure.measure(tmp_path, servers, 6, 3)
    assert found.loaded[0] < found.naive[0] / 2
