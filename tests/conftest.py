"""What the tests of several languages share: the programs, which are built before the time of the first test runs."""

from collections.abc import Callable
from pathlib import Path

import pytest
import toolchain


def pytest_collection_finish(session: pytest.Session) -> None:
    """A test has a bound that a build on a busy machine exceeds."""
    wanted = any("programs" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        toolchain.built()


@pytest.fixture(scope="session")
def programs() -> Callable[[str], Path]:
    """A program or an example by its name. Whoever uses what is built asks for this."""
    return toolchain.program


@pytest.fixture(scope="session")
def program(programs: Callable[[str], Path]) -> Path:
    """The program `tidegate`."""
    return programs("tidegate")
