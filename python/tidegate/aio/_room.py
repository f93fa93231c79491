"""What a gate and its grants share: the scheduler, its turns, the clock, and who is inside.

A turn polls one round and tells the grants. However many ask for one, there is one turn in an iteration of the loop,
and one timer for `poll_timeout`; no task and no thread. Nothing here knows what a grant does with what it is told.

An exception may cut any line here: a signal raises wherever it finds the main thread. So actions go from the scheduler
into a queue without a line of Python in between, leave it after they were told, and telling one twice does nothing.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import chain, starmap
from typing import TYPE_CHECKING

from tidegate import _errors
from tidegate._errors import Error
from tidegate._tidegate import (
    Abort,
    AlsoLost,
    Config,
    Drop,
    LeaseWanted,
    Preempt,
    Scheduler,
    Spare,
    Start,
    Stuck,
)
from tidegate.aio._errors import ClockError, Closed, GateFull, WrongLoop, over_quota

if TYPE_CHECKING:
    from tidegate import Action
    from tidegate.aio._grant import Grant

ONCE = ((),)
"""The arguments of one call without arguments, for `starmap`: what it returns is kept without a line of Python."""
LATEST_NS = 2**64 - 1
SHORTEST_WAIT_NS = 1_000_000
"""Of the timer: as exact as loops are, and no loop without a pause, whatever the clock says."""


class Room:
    """Everything of one gate that is not its face."""

    def __init__(
        self,
        config: Config,
        clock_ns: Callable[[], int],
        max_waiting: int | None,
        on_lease_wanted: Callable[[LeaseWanted], object] | None,
        on_also_lost: Callable[[AlsoLost], object] | None,
    ) -> None:
        try:
            self.loop = asyncio.get_running_loop()
        except RuntimeError:
            raise WrongLoop("a gate is made inside a running event loop") from None
        self.grants: dict[int, Grant] = {}
        """Those that wait and those inside, by request."""
        self.lobby: set[int] = set()
        """The requests of those that have not been inside yet."""
        self.shut: str | None = None
        """Why nothing new is taken."""
        self.closed: Closed | None = None
        """Why nobody starts any more."""
        self._clock_ns = clock_ns
        self._max_waiting = max_waiting
        self._on_lease_wanted = on_lease_wanted
        self._on_also_lost = on_also_lost
        self._latest_ns = 0
        self.scheduler = Scheduler(config, now_ns=self.now())
        self._actions: deque[Action] = deque()
        self._context = contextvars.copy_context()
        self._armed: list[bool] = []
        """Not empty if a turn is to come."""
        self._is_wanted = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at_ns = 0
        self._watched: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def here(self) -> None:
        """Raises `WrongLoop` unless this is the gate's loop, and its thread."""
        if asyncio._get_running_loop() is not self.loop:
            raise WrongLoop("a gate is called from the event loop that it was made in, and from its thread")

    def now(self) -> int:
        """What the clock says, never less than before. Raises `ClockError`."""
        try:
            told = self._clock_ns()
        except Exception as error:
            raise ClockError("the clock failed") from error
        if not isinstance(told, int) or not 0 <= told <= LATEST_NS:
            raise ClockError("the clock's answer is no number of nanoseconds below 2^64")
        self._latest_ns = max(told, self._latest_ns)
        return self._latest_ns

    def now_anyhow(self) -> int:
        """As `now`, for what has to be said whatever the clock does: its last good answer, if it has none."""
        try:
            return self.now()
        except ClockError as error:
            self.loop.call_exception_handler({"message": f"tidegate.aio: {error}", "exception": error})
            return self._latest_ns

    def enter(self, grant: "Grant") -> None:
        """Submits the request of a grant. Raises what `submit` does, `Closed`, `GateFull` and `ClockError`."""
        if self.shut is not None:
            raise Closed(self.shut)
        if self._is_full() and self._is_wanted:
            self._turn()  # whose turn has only not come yet does not wait
        if self._max_waiting is not None and self._is_full():
            message = f"{self._max_waiting} wait at the gate already"
            raise GateFull(message, scope="gate", tier=None, tenant=None, unit="requests", limit=self._max_waiting)
        submit = partial(self.scheduler.submit, **grant._spec, now_ns=self.now())
        try:
            grant._ids.extend(starmap(submit, ONCE))
        except _errors.OverQuota as refused:
            raise over_quota(refused, self._latest_ns) from None
        self.lobby.add(grant.request)
        self.grants[grant.request] = grant
        self.soon()

    def _is_full(self) -> bool:
        return self._max_waiting is not None and len(self.lobby) >= self._max_waiting

    def leave(self, grant: "Grant") -> None:
        """Forgets a grant whose request has ended, or never was. Twice is as good as once."""
        for request in grant._ids:
            self.lobby.discard(request)
            self.grants.pop(request, None)
            self.soon()
            self._look_at_watched()

    def soon(self) -> None:
        """Has a turn in the next iteration of the loop."""
        self._is_wanted = True
        if self._armed or self.loop.is_closed():
            return
        # No line of Python unarms, and what a turn that was cut in its first line left is for the second.
        for callback in (self._armed.clear, self._turn, self._turn):
            self.loop.call_soon(callback, context=self._context)
        self._armed.append(True)

    def _turn(self) -> None:
        if not self._is_wanted:
            return
        try:
            self._is_wanted = False
            now_ns = self.now_anyhow()
            try:
                poll = partial(self.scheduler.poll, now_ns=now_ns)
                self._actions.extend(chain.from_iterable(starmap(poll, ONCE)))
            except Error as error:  # a bug in the scheduler: it answers nobody any more
                self._end_all(error)
                return
            while self._actions:
                self._tell(self._actions[0])
                self._actions.popleft()
            self._look_at_watched()
            self._set_timer(now_ns)
        except BaseException:
            self.soon()
            raise

    def _tell(self, action: "Action") -> None:
        match action:
            case LeaseWanted():
                self._hand_on("on_lease_wanted", self._on_lease_wanted, action)
            case Preempt(request) | Spare(request) | Stuck(request) | Start(request) | Abort(request) | Drop(request):
                if grant := self.grants.get(request):
                    grant._told(action)
            case AlsoLost():
                # The blocks know: whoever told of the worker had all look where they stand.
                self._hand_on("on_also_lost", self._on_also_lost, action)

    def _hand_on(self, name: str, hand: Callable[..., object] | None, told: object) -> None:
        if hand is None:
            return
        try:
            hand(told)
        except Exception as error:  # a lease is wished for again, and who died is dead
            message = f"tidegate.aio: {name} failed"
            self.loop.call_exception_handler({"message": message, "exception": error})

    def _set_timer(self, now_ns: int) -> None:
        wake_at_ns = self.scheduler.poll_timeout()
        if wake_at_ns is None or self.closed is not None:
            return
        # One whose time has come may have been cut, and will not be heard of again.
        ahead = self._timer is not None and self._timer.when() > self.loop.time()
        if ahead and self._timer_at_ns <= wake_at_ns:
            return
        self._stop_timer()
        pause_ns = max(wake_at_ns - now_ns, SHORTEST_WAIT_NS)
        self._timer_at_ns = wake_at_ns
        self._timer = self.loop.call_later(pause_ns / 1e9, self._ring, context=self._context)

    def _ring(self) -> None:
        # Loops ring early by up to their resolution (uvloop by a millisecond): then the timer seems to be ahead still.
        self._timer = None
        self.soon()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Takes nothing new, and lets nobody start any more. Those inside are asked to stop."""
        self.closed = Closed("the gate is closed")
        self.shut = str(self.closed)
        self._stop_timer()
        for grant in list(self.grants.values()):
            if grant._is_waiting:
                grant._end(self.closed)
            else:
                grant._ask()

    def _end_all(self, error: Error) -> None:
        for grant in list(self.grants.values()):
            grant._end(error)

    async def watch(self, condition: Callable[[], bool], within: float | None) -> bool:
        """Waits for what comes when a grant leaves or moves, at most so many seconds. Whether it came."""
        if condition():
            return True
        came: asyncio.Future[None] = self.loop.create_future()
        watched = (condition, came)
        self._watched.append(watched)
        try:
            await asyncio.wait([came], timeout=within)
        finally:
            self._watched.remove(watched)
        return condition()

    def _look_at_watched(self) -> None:
        for condition, came in self._watched:
            if not came.done() and condition():
                came.set_result(None)

    def is_used(self, worker: int) -> bool:
        """Whether somebody has a place on the worker. O(grants)."""
        return any(grant._is_on(worker) for grant in self.grants.values())

    def look_at_all(self) -> None:
        """Has each grant look whether it still has its place. O(grants)."""
        for grant in list(self.grants.values()):
            grant._look()
