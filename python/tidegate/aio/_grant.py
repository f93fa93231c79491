"""The place of one request: waiting for it, holding it, giving it back, and how its request ends.

A grant waits, then holds its place, then has ended; in between it may wait again (`yield_`, `decline`), or hold a place
that the scheduler counts no more (its worker was lost). Whatever cuts the block, its request ends once: by the end of
the block, or else by the end of the task that opened it. It does not know who else waits.
"""

import asyncio
import operator
from collections.abc import Generator, Iterable, Mapping
from enum import Enum
from typing import Any, TypeAlias, cast

from tidegate._enums import Decline, Reason, RequestState
from tidegate._errors import AlreadyTerminal, BadArgument, Error, StaleAttempt, WrongState
from tidegate._tidegate import Abort, Drop, Preempt, Spare, Start, Stuck
from tidegate.aio._errors import Aborted, NotHeld, PlaceLost, dropped
from tidegate.aio._room import Room

Amounts: TypeAlias = Mapping[str, int] | Iterable[int]
MAX_TOKENS = 1 << 40
"""As many as the scheduler takes."""


class Stage(Enum):
    """Where a grant stands."""

    WAITING = "waiting"
    HELD = "held"
    LOST = "lost"
    """The block runs, and its request waits again or was started elsewhere."""
    ENDED = "ended"


class Ending(Enum):
    """What the scheduler is told of the end."""

    COMPLETE = "complete"
    FAIL = "fail"
    CANCEL = "cancel"


class Preempted:
    """Whether the block is asked to give its place back: true or false, and to be awaited."""

    __slots__ = ("_changed", "_is_over", "_is_set", "action")

    def __init__(self) -> None:
        self.action: Preempt | Abort | None = None
        """What the scheduler asked for last; `None` where the place is gone unasked."""
        self._is_set = False
        self._is_over = False
        self._changed: asyncio.Event | None = None

    def __bool__(self) -> bool:
        return self._is_set

    def __await__(self) -> Generator[Any, None, bool]:
        """Waits until the block is asked to, which is true, or has ended, which is false."""
        return self._wait().__await__()

    def __repr__(self) -> str:
        return f"<Preempted {self.action!r}>" if self._is_set else "<Preempted: no>"

    async def _wait(self) -> bool:
        while not self._is_set and not self._is_over:
            if self._changed is None or self._changed.is_set():
                self._changed = asyncio.Event()
            await self._changed.wait()
        return self._is_set

    def _ask(self, action: Preempt | Abort | None) -> None:
        self.action = action
        self._is_set = True
        self._wake()

    def _spare(self) -> None:
        self._is_set = False
        self.action = None

    def _end(self) -> None:
        self._is_over = True
        self._wake()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()


class Grant:
    """A place that a block holds. Made by `Gate.admit`; its methods are called inside the block."""

    __slots__ = (
        "_abort",
        "_aside",
        "_ended_by",
        "_ids",
        "_in_use",
        "_is_told",
        "_owner",
        "_room",
        "_spec",
        "_stage",
        "_usage",
        "_woken",
        "attempt",
        "overdue",
        "preempted",
        "reason",
        "resume_tokens",
        "worker",
    )

    def __init__(self, room: Room, spec: dict[str, Any]) -> None:
        self.preempted = Preempted()
        """Whether the block should stop, and `await self.yield_()`; to be awaited too."""
        self.worker = -1
        """On which worker the place is; `yield_` may change it."""
        self.attempt = 0
        """The number of the start, as the scheduler's verbs take it."""
        self.resume_tokens = 0
        """Tokens of context to go on from: what `yield_` kept."""
        self.reason: Reason | None = None
        """Why it was started."""
        self.overdue = False
        """Whether it was asked to stop and did not in time (`confirm_after`)."""
        self._spec = spec
        """What the scheduler is told at the submission."""
        self._ids: list[int] = []
        """The request's id, once there is one."""
        self._room = room
        self._stage = Stage.WAITING
        self._owner: asyncio.Task[Any] | None = None
        self._woken: asyncio.Future[None] | None = None
        self._aside: Start | None = None
        """The start of a place that the block does not know of yet."""
        self._abort: Aborted | None = None
        self._ended_by: Error | None = None
        self._is_told = False
        """Whether the block has seen why it holds nothing any more."""
        self._in_use: Amounts = spec["demand"]
        self._usage = {"prompt_tokens": spec["prompt_tokens"], "cached_tokens": 0, "output_tokens": 0}

    def __repr__(self) -> str:
        request = self._ids[0] if self._ids else None
        return f"<Grant request={request} worker={self.worker} {self._stage.value}>"

    @property
    def request(self) -> int:
        """The request's id, for the questions of the scheduler. Raises `NotHeld` before the block."""
        if not self._ids:
            raise NotHeld("the grant has no request yet")
        return self._ids[0]

    @property
    def lost(self) -> bool:
        """Whether the block runs without a place: `yield_` waits for another one, or says why there is none."""
        return self._stage is Stage.LOST or self._ended_by is not None

    def check(self) -> None:
        """Raises `PlaceLost`, `Aborted` or `NotHeld` if there is no place to run in."""
        self._room.here()
        if self._stage is Stage.WAITING:
            raise NotHeld("the grant waits for its place")
        if error := self._abort or self._gone():
            self._is_told = True
            raise error

    def started(self, *, cached_tokens: int = 0, in_use: Amounts | None = None) -> None:
        """The engine took it. Optional: the first `progress` implies it. Afterwards `decline` is refused.

        `in_use` is what it holds now, its demand if not given. Raises as `progress`.
        """
        self._tell_use("started", in_use, cached_tokens=cached_tokens)

    def progress(self, *, output_tokens: int, in_use: Amounts | None = None) -> None:
        """What the request has generated over its life, and holds now; what it held before if not given.

        Raises `ReportError` for numbers that no request has, and what `check` raises.
        """
        self._tell_use("progress", in_use, output_tokens=output_tokens)

    def used(
        self, *, prompt_tokens: int | None = None, cached_tokens: int | None = None, output_tokens: int | None = None
    ) -> None:
        """What the end of the block shall tell of its usage; the prompt's tokens are those of `admit` otherwise.

        Raises `BadArgument` for a number that is none of tokens, `TypeError` for what is no whole number.
        """
        told = {"prompt_tokens": prompt_tokens, "cached_tokens": cached_tokens, "output_tokens": output_tokens}
        known = {name: tokens for name, tokens in told.items() if tokens is not None}
        for name, tokens in known.items():
            try:
                known[name] = operator.index(tokens)
            except TypeError:
                raise TypeError(f"{name} is a {type(tokens).__name__}, not a whole number") from None
            if not 0 <= known[name] <= MAX_TOKENS:
                raise BadArgument(f"{name} is not from 0 to {MAX_TOKENS}")
        self._usage.update(known)

    async def yield_(self, *, tokens_kept: int = 0) -> int:
        """Gives the place back and waits for the next one, maybe on another worker. Returns `resume_tokens`.

        To be called once the engine has stopped, with the tokens of context that it kept. Also without being asked.
        Whoever gives up waiting here gives up the request. Raises `Dropped`, `Aborted`, `PlaceLost`, `Closed`,
        `NotHeld`.
        """
        self._room.here()
        if self._stage is not Stage.LOST:
            self._report("preempted", {"tokens_kept": tokens_kept}, finds_loss=False)
        return await self._wait_again()

    async def decline(self, *, why: Decline | str = "other") -> int:
        """The engine does not take it: waits for a place elsewhere. Returns `resume_tokens`.

        The third time in a row it is dropped. Raises `WrongState` after a report of it, else as `yield_`.
        """
        self._room.here()
        if self._stage is not Stage.LOST:
            self._report("declined", {"why": why}, finds_loss=False)
        return await self._wait_again()

    async def _open(self) -> None:
        """Submits the request, and waits until it is started."""
        self._room.here()
        if self._owner is not None:
            raise NotHeld("a grant is entered once")
        self._owner = asyncio.current_task()
        try:
            if self._owner is not None:
                self._owner.add_done_callback(self._owner_ended)
            self._room.enter(self)
            await self._place()
        except BaseException:
            self._settle(Ending.CANCEL)
            raise

    def _close(self, error: BaseException | None) -> None:
        """Ends the request as the block ended. Raises why there was no place, if the block did not hear of it."""
        gone = self._gone()
        is_stopped = self._abort is not None and self._is_told
        if error is None and not is_stopped:
            refused = self._settle(Ending.COMPLETE)
            if not self._is_told and (why := gone or refused):
                raise why
        else:
            is_failure = error is None or isinstance(error, Exception)
            self._settle(Ending.FAIL if is_failure else Ending.CANCEL)

    def _told(self, action: Preempt | Spare | Stuck | Start | Abort | Drop) -> None:
        """Hears what the scheduler wants. Twice is as good as once."""
        match action:
            case Start():
                self._start(action)
            case Drop():
                self._end(dropped(action.reason))
            case _ if self._aside is not None and action.attempt == self._aside.attempt:
                self._refuse_aside(action)
            case _ if self._stage is not Stage.HELD or action.attempt != self.attempt:
                return
            case Preempt():
                self.preempted._ask(action)
            case Abort():
                self._abort = Aborted(f"to be stopped for good: {action.reason}", reason=action.reason)
                self.preempted._ask(action)
            case Spare():
                if self._room.closed is None:
                    self.preempted._spare()
            case Stuck():
                self.overdue = True

    def _end(self, error: Error) -> None:
        """Ends the grant, for the reason that its block is told, and its request if it has not ended."""
        if self._stage is not Stage.ENDED:
            self._ended_by = error
            self.preempted._ask(None)
            self._settle(Ending.CANCEL)

    def _ask(self) -> None:
        """Asks the block to stop, for the gate."""
        self.preempted._ask(None)

    def _look(self) -> None:
        """Hears whether the scheduler still counts it as running: of a worker that was lost it says nothing."""
        if self._stage not in (Stage.HELD, Stage.LOST):
            return
        try:
            state = self._room.scheduler.state(self.request)
        except AlreadyTerminal:
            return  # its `Drop` is to come
        if state in (RequestState.QUEUED, RequestState.PARKED):
            self._aside = None
            self._lose()

    def _is_on(self, worker: int) -> bool:
        """Whether it has a place on the worker."""
        held = self.worker if self._stage is Stage.HELD else -1
        return worker in (held, self._aside.worker if self._aside is not None else -1)

    @property
    def _is_waiting(self) -> bool:
        """Whether a task waits for its place."""
        return self._stage is Stage.WAITING

    def _start(self, start: Start) -> None:
        known = self.attempt if self._aside is None else self._aside.attempt
        if self._stage is Stage.WAITING and start.attempt > known:
            self._take(start)
        elif self._stage is not Stage.ENDED and start.attempt > known:
            self._aside = start
            self._lose()
        self._wake()

    def _take(self, start: Start) -> None:
        self.worker, self.resume_tokens, self.reason = start.worker, start.resume_tokens, start.reason
        self.preempted._spare()
        self._room.lobby.discard(self.request)
        self.overdue = self._is_told = False
        # No signal comes between two lines that call nothing.
        self.attempt = start.attempt
        self._stage = Stage.HELD

    def _lose(self) -> None:
        self._stage = Stage.LOST
        self.preempted._ask(None)

    def _gone(self) -> Error | None:
        """Why there is no place, if there is none."""
        if self._stage is Stage.LOST:
            return PlaceLost("the worker was lost while the block ran")
        if self._stage is Stage.ENDED:
            return self._ended_by or NotHeld("the block has ended")
        return None

    def _refuse_aside(self, action: Preempt | Spare | Stuck | Abort) -> None:
        """Gives back a place that the block never knew of."""
        start, self._aside = self._aside, None
        if isinstance(action, Abort):
            self._end(Aborted(f"stopped for good: {action.reason}", reason=action.reason))
        elif isinstance(action, Preempt) and start is not None:
            self._room.scheduler.preempted(self.request, start.attempt, now_ns=self._room.now_anyhow())
            self._room.soon()
        else:
            self._aside = start

    def _tell_use(self, verb: str, in_use: Amounts | None, **tokens: int) -> None:
        units = self._in_use if in_use is None else amounts(in_use)
        self._report(verb, {**tokens, "in_use": units})
        self._in_use = units
        self._usage.update(tokens)

    def _report(self, verb: str, fields: Mapping[str, object], *, finds_loss: bool = True) -> None:
        """Says something of the place, which must be there. `finds_loss`: raises if it turns out to be gone."""
        self.check()
        say = getattr(self._room.scheduler, verb)
        try:
            say(self.request, self.attempt, **fields, now_ns=self._room.now_anyhow())
        except (StaleAttempt, WrongState) as refused:
            self._look()
            if self._stage is Stage.HELD and isinstance(refused, WrongState):
                raise
            self._lose()
            if finds_loss:
                self.check()
        except AlreadyTerminal:
            self._end(PlaceLost("its request has ended"))
            self.check()
        else:
            if not finds_loss:
                self.preempted._spare()
                self._stage = Stage.WAITING
        self._room.soon()

    async def _wait_again(self) -> int:
        try:
            await self._place()
        except BaseException:
            self._is_told = True
            self._settle(Ending.CANCEL)
            raise
        return self.resume_tokens

    async def _place(self) -> None:
        """Waits until there is a place, or none will ever be."""
        while self._stage is not Stage.HELD:
            if self._stage is Stage.ENDED:
                raise self._ended_by or NotHeld("the block has ended")
            if self._room.closed is not None:
                raise self._room.closed
            if self._stage is Stage.LOST:
                self._stage = Stage.WAITING
                if self._aside is not None:
                    self._take(self._aside)
                    self._aside = None
            else:
                self._woken = self._room.loop.create_future()
                await self._woken

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def _settle(self, ending: Ending) -> Error | None:
        """Ends the request, if it has not ended, and the grant. What the scheduler refused is returned."""
        refused = None
        if self._ids and self._stage is not Stage.ENDED:
            try:
                self._end_request(ending)
            except Error as error:
                refused = error
        self._room.leave(self)
        self._stage = Stage.ENDED
        self.preempted._end()
        self._wake()
        if self._owner is not None:
            self._owner.remove_done_callback(self._owner_ended)
        return refused

    def _end_request(self, ending: Ending) -> None:
        sched, now_ns = self._room.scheduler, self._room.now_anyhow()
        refused: Error | None = None
        if self._stage is Stage.HELD and ending is not Ending.CANCEL:
            try:
                if ending is Ending.COMPLETE:
                    sched.complete(self.request, self.attempt, **self._usage, now_ns=now_ns)
                else:
                    sched.failed(self.request, self.attempt, now_ns=now_ns)
            except AlreadyTerminal:
                return
            except (StaleAttempt, WrongState):
                refused = PlaceLost("the worker was lost while the block ran")
            except Error as error:
                refused = error
            else:
                return
        try:
            sched.cancel(self.request, now_ns=now_ns)
        except AlreadyTerminal:
            return
        finally:
            if refused is not None:
                raise refused

    def _owner_ended(self, _task: asyncio.Task[Any]) -> None:
        """The task has ended and the block has not: something cut it where it begins or ends."""
        self._settle(Ending.CANCEL)


def amounts(given: Amounts) -> Amounts:
    """The same, to be read more than once. What is no amounts goes on as it is, to be refused by the scheduler."""
    if isinstance(given, Mapping):
        return dict(cast("Mapping[str, int]", given))
    try:
        return tuple(number for number, _ in zip(given, range(MOST_DIMENSIONS), strict=False))
    except TypeError:
        return given


MOST_DIMENSIONS = 64
"""More than any config has, so that what never ends is refused too."""
