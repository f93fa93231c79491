"""Two real engine servers with one model, started once."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import tiny_model
from vllm_server import VllmServer


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[VllmServer]]:
    folder = tmp_path_factory.mktemp("vllm")
    model = folder / "model"
    tiny_model.write(model, spread=0.3)  # servers add in different orders
    with ExitStack() as stack:
        started = [stack.enter_context(VllmServer(model, folder / f"{number}.log")) for number in range(2)]
        for server in started:
            server.wait_until_healthy()
        yield started
