"""What the tests of the Triton model share: a server."""

from collections.abc import Iterator

import pytest
from triton_server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("triton")) as started:
        yield started
