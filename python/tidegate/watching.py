"""Looks at a file now and then, and says when it is another: written in place, renamed over, or behind another link.

A mounted ConfigMap is a link to a link to a folder, and a new version moves the middle one: what is looked at is what
the path leads to. A file that somebody is still writing is not told: only one that was the same in two looks in a row.
Who writes in place and pauses for longer in the middle has a half file read; renaming a whole one over it has not.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

__all__ = ["FileWatch"]

_log = logging.getLogger(__name__)

_END_S = 60.0
"""How long the end of a block waits for a look that is under way."""


class Refusals:
    """Which refusals of a file are news: what cannot be read is tried at each look, and told of once."""

    def __init__(self) -> None:
        self._unread = ""

    @staticmethod
    def is_unread(error: Exception) -> bool:
        """Whether a file could not be read, whatever is in it."""
        return isinstance(error.__cause__, OSError)

    def is_news(self, error: Exception) -> bool:
        """Whether to tell of a refusal."""
        unread = str(error) if self.is_unread(error) else ""
        known, self._unread = self._unread, unread
        return not unread or unread != known

    def forget(self) -> None:
        """It could be read."""
        self._unread = ""


class FileWatch:
    """Calls `changed` when the file at `path` is another, from a thread of its own while it is entered.

    It looks every `every_s` seconds.

    The first version that it finds counts as another too, so that nothing is missed between the reading of a file and
    the beginning of the watch. A file that is not there any more is another. What `changed` raises is logged. If it
    returns `False`, what there is could not be read now, and it is called again with the next look.
    """

    def __init__(self, path: str | os.PathLike[str], changed: Callable[[], object], *, every_s: float = 2.0) -> None:
        if not 0 < every_s <= threading.TIMEOUT_MAX:
            raise ValueError(f"every_s: {every_s} is not above zero, or longer than a thread can wait")
        self._path = path
        self._changed = changed
        self._every_s = every_s
        self._told: tuple[int, ...] | None = None
        self._seen: tuple[int, ...] | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def check(self) -> bool:
        """Looks once. Returns whether `changed` was called: when a version is found for the second time in a row."""
        found = self._version()
        is_settled, self._seen = found == self._seen, found
        if not is_settled or found == self._told:
            return False
        self._told = found
        if self._changed() is False and found:  # one that is not there is another once it is
            self._told = None
        return True

    async def run(self) -> None:
        """Looks until it is cancelled, in this task."""
        while True:
            await asyncio.sleep(self._every_s)
            self._check_safely()

    def __enter__(self) -> Self:
        """Begins to look, in a thread."""
        if self._thread is not None:
            raise RuntimeError("it is entered already")
        self._ended.clear()
        self._thread = threading.Thread(target=self._look, name="tidegate-watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Looks no more, once a look that is under way is over."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_END_S)
            self._thread = None

    def _look(self) -> None:
        while not self._ended.wait(self._every_s):
            self._check_safely()

    def _check_safely(self) -> None:
        try:
            self.check()
        except Exception:
            # A watch that ends unseen is worse than one that goes on.
            _log.exception("%s has changed, and what was to be done then failed", self._path)

    def _version(self) -> tuple[int, ...]:
        try:
            found = os.stat(self._path)
        except OSError:
            return ()
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size
