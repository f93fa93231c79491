"""No test of an engine can hang: `pytest.ini` bounds each, and this bounds what an engine has left at the end."""

import faulthandler
import sys

AT_MOST_S = 120


def pytest_sessionfinish() -> None:
    """A thread that was left over must not keep the process for ever."""
    faulthandler.dump_traceback_later(AT_MOST_S, exit=True, file=sys.__stderr__)
