"""Puts the file in TIDEGATE_CONFIG in force again when it has changed: between two steps, whole or not at all.

The engine's own thread looks, so that nothing changes under a step: a `stat` now and then, and a parse of the file once
it is another. An engine that has nothing to do looks with its next step. It knows nothing of requests.
"""

from collections.abc import Callable
from dataclasses import replace

from vllm.logger import init_logger

import tidegate
from tidegate.deployment import Deployment, InForce
from tidegate.vllm.settings import Settings, SettingsError
from tidegate.watching import FileWatch, Refusals

logger = init_logger(__name__)

S = 1_000_000_000


class Reload:
    """The settings in force, and the file that they are from.

    `core` was made with `settings`; `now_ns` gives the time of the step.
    """

    def __init__(self, settings: Settings, core: tidegate.Scheduler, *, now_ns: Callable[[], int]) -> None:
        self.settings = settings
        self._path = Settings.path()
        self._now_ns = now_ns
        self._look_at_ns = 0
        self._refusals = Refusals()
        self._watch: FileWatch | None = None
        if self._path is not None and settings.watch_every_s > 0:
            self._in_force = InForce(core, self._without_fleet(settings), clock_ns=now_ns)
            self._watch = FileWatch(self._path, self._read_again, every_s=settings.watch_every_s)

    def look(self) -> None:
        """Looks at the file, if it is time. One with a fault, or that cannot apply, is logged and changes nothing."""
        if self._watch is not None and self._now_ns() >= self._look_at_ns:
            self._look_at_ns = self._now_ns() + int(self.settings.watch_every_s * S)
            self._watch.check()

    @staticmethod
    def _without_fleet(settings: Settings) -> Deployment:
        """Devices and workers are other hosts': an engine is one worker by itself."""
        return replace(settings.deployment, devices=(), workers=())

    def _read_again(self) -> bool:
        """False: it could not be read now, and is to be tried again."""
        try:
            found = Settings.load(self._path)
            self._refusals.forget()
            if found == self.settings:
                return True
            if found.watch_every_s != self.settings.watch_every_s:
                raise SettingsError("vllm.watch_every_s: it is read at the start alone")
            kept = self._in_force.change(self._without_fleet(found))
        except (tidegate.Error, SettingsError) as error:
            if self._refusals.is_news(error):
                logger.error("%s is not in force, what was before is: %s", self._path, error)
            return not self._refusals.is_unread(error)
        self.settings = found
        logger.info("%s has changed, and is in force", self._path)
        for name, why in kept.items():
            logger.warning("tenant %s is not forgotten before the file changes again: %s", name, why)
        return True
