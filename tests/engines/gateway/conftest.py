"""Two real engine servers with one model, started once."""

from collections.abc import Iterator, Sequence

import pytest
from vllm_server import VllmServer, vllm_servers


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[VllmServer]]:
    with vllm_servers(tmp_path_factory.mktemp("vllm"), 2) as started:
        yield started
