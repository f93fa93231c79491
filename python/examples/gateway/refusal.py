"""What a client is told that gets no completion: a status, and why, in the protocol's form."""

import json
import math

import tidegate
from tidegate.aio import Aborted, Closed, Dropped, OverQuota, QueueTimeout

RETRY_AFTER = 1.0
"""Seconds, where nobody knows when it is worth another try; chosen arbitrarily."""


class Refusal(Exception):
    """Ends a request. Before its answer has begun it is the answer, after that the last event of the stream."""

    def __init__(
        self, status: int, code: str, message: str, *, retry_after: float | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        """What programs read: the gate that refused."""
        self.retry_after = retry_after
        """Seconds after which it is worth another try."""
        self.param = param
        """The field of the body that is at fault."""

    def document(self) -> dict[str, object]:
        """As the protocol says errors."""
        kind = "invalid_request_error" if self.status < 500 and self.status != 429 else "server_error"
        kind = "rate_limit_error" if self.status == 429 else kind
        return {"error": {"message": str(self), "type": kind, "code": self.code, "param": self.param}}

    def body(self) -> bytes:
        """The same as bytes."""
        return json.dumps(self.document()).encode()

    def headers(self) -> dict[str, str]:
        """What goes with the status; whole seconds, as the header wants them."""
        headers = {"x-tidegate-gate": self.code}
        if self.retry_after is not None:
            headers["retry-after"] = str(max(1, math.ceil(self.retry_after)))
        return headers


class Passed(Exception):
    """An engine refused what the client asked: its answer is the client's."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"the engine answered {status}")
        self.status = status
        self.body = body


def refusal(error: tidegate.Error) -> Refusal:
    """What a client is told of an answer of the scheduler or its gate: which gate it was, and when to come again."""
    retry_after: float | None = RETRY_AFTER
    match error:
        case OverQuota():
            status, code, retry_after = 429, f"quota-{error.limit}", error.retry_after or RETRY_AFTER
        case tidegate.QueueFull():
            status, code = 429 if error.scope == "tenant" else 503, f"queue-full-{error.scope}"
        case QueueTimeout():
            status, code = 503, "queue-timeout"
        case Closed():
            status, code = 503, "draining"
        case Dropped() | Aborted():
            status, code = 502, f"dropped-{error.reason}"
        case tidegate.TierTooUrgent():
            status, code, retry_after = 403, "tier-too-urgent", None
        case tidegate.NeverFits() | tidegate.NeverAllowed() | tidegate.LimitExceeded():
            status, code, retry_after = 400, "never-fits", None
        case _:
            status, code, retry_after = 500, "internal", None
    return Refusal(status, code, str(error) if status != 500 else type(error).__name__, retry_after=retry_after)
