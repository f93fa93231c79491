"""The queue that vLLM's scheduler takes requests from: those that tidegate started, and nobody else.

Its truth (`bool`) is the gate: vLLM admits as long as it is true. Its length counts all that wait. Requests whose
grammar is being compiled lie apart, and say themselves when they are ready: what waits for a grammar costs a step
nothing.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future

from vllm.v1.core.sched.request_queue import RequestQueue
from vllm.v1.request import Request, RequestStatus

from tidegate.vllm.gate import Entry, Gate, Stand

LOOKS = 4
"""Of parked requests that cannot say when they are ready, so many are looked at in a step; chosen arbitrarily."""


class Waiting(RequestQueue):
    """What vLLM sees of tidegate's queue."""

    def __init__(self, gate: Gate, submit: Callable[[Entry], None], may_be_taken: Callable[[Entry], bool]) -> None:
        self._gate = gate
        self._submit = submit
        self._may_be_taken = may_be_taken
        self._waiting: dict[str, Request] = {}
        self._head: Entry | None = None
        self._ready: deque[str] = deque()  # also filled by the threads that compile grammars
        self._silent: deque[str] = deque()  # parked, and nobody will say when they are ready
        self.taken: list[Entry] = []
        """What vLLM took in this step."""

    def add_request(self, request: Request) -> None:
        """A request comes, or comes back from a pause of its client."""
        name = request.request_id
        self._waiting[name] = request
        entry = self._gate.entries.get(name)
        if entry is None:
            entry = self._gate.entries[name] = Entry(request)
        elif entry.stand is Stand.RUNNING:
            self._gate.stopped(entry, output=request.num_output_tokens, blocks=entry.demand, again=None)
            return
        if request.status in {RequestStatus.WAITING, RequestStatus.PREEMPTED}:
            self._submit(entry)
        else:
            self._park(entry)

    def _park(self, entry: Entry) -> None:
        name = entry.request.request_id
        compiled = getattr(entry.request.structured_output_request, "_grammar", None)
        if isinstance(compiled, Future):
            compiled.add_done_callback(lambda _: self._ready.append(name))
        else:
            self._silent.append(name)

    def parked_that_may_be_ready(self) -> list[Entry]:
        """Those whose grammar was compiled since the last call, and a few of those that never say so."""
        if not self._ready and not self._silent:
            return []
        names = [self._ready.popleft() for _ in range(len(self._ready))]
        names += [self._silent.popleft() for _ in range(min(LOOKS, len(self._silent)))]
        entries = (self._gate.entries.get(name) for name in names)
        return [entry for entry in entries if entry is not None and entry.stand is Stand.PARKED]

    def look_again(self, entry: Entry) -> None:
        """It was looked at, and was not ready."""
        self._silent.append(entry.request.request_id)

    def __bool__(self) -> bool:
        """Whether vLLM may admit one more."""
        self._head = next((entry for entry in self._gate.granted if self._may_be_taken(entry)), None)
        return self._head is not None

    def peek_request(self) -> Request:
        """The one that is admitted next."""
        return self._next().request

    def _next(self) -> Entry:
        if not self or self._head is None:
            raise IndexError("tidegate admits nobody now")
        return self._head

    def pop_request(self) -> Request:
        """Takes the one that was peeked at."""
        entry = self._next()
        self._gate.take(entry)
        self.taken.append(entry)
        self._head = None
        del self._waiting[entry.request.request_id]
        return entry.request

    def prepend_request(self, request: Request) -> None:
        """A request was preempted, or passed over."""
        self._waiting[request.request_id] = request

    def prepend_requests(self, requests: Iterable[Request]) -> None:
        """Requests were passed over in this step."""
        for request in requests:
            self._waiting[request.request_id] = request

    def remove_request(self, request: Request) -> None:
        """A request leaves."""
        self.remove_requests((request,))

    def remove_requests(self, requests: Iterable[Request]) -> None:
        """Requests leave, those that are not here among them."""
        for request in requests:
            self._waiting.pop(request.request_id, None)

    def __contains__(self, request: object) -> bool:
        return isinstance(request, Request) and request.request_id in self._waiting

    def __len__(self) -> int:
        """How many wait, whether they may be admitted or not."""
        return len(self._waiting)

    def __iter__(self) -> Iterator[Request]:
        """All that wait, in no order that means anything."""
        return iter(self._waiting.values())
