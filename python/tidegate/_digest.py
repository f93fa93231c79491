"""The canonical bytes of an action, and the digest over them, as `docs/JOURNAL.md` says."""

import struct

from tidegate import (
    Abort,
    Action,
    AlsoLost,
    Drop,
    LeaseWanted,
    Preempt,
    QuotaLimit,
    Reason,
    Spare,
    Start,
    Stuck,
    YieldMode,
)

KIND_NUMBER = {Start: 1, Preempt: 2, Spare: 3, Abort: 4, Drop: 5, Stuck: 6, LeaseWanted: 7, AlsoLost: 8}
REASON_NUMBER = {reason: number for number, reason in enumerate(Reason, start=1)}
LIMIT_NUMBER = {limit: number for number, limit in enumerate(QuotaLimit, start=1)}
MODE_NUMBER = {YieldMode.RESTART: 0, YieldMode.CHECKPOINT: 1}
WORDS = struct.Struct("<8Q")
MASK = 2**64 - 1


def action_bytes(now_ns: int, action: Action) -> bytes:
    """Gives the canonical bytes of an action that a poll at `now_ns` returned."""
    kind = KIND_NUMBER[type(action)] + 256 * REASON_NUMBER[action.reason]
    match action:
        case Start(request, worker, attempt, resume_tokens):
            return WORDS.pack(now_ns, kind, request, attempt, worker, resume_tokens, 0, 0)
        case Preempt(victim, attempt, mode, beneficiary, confirm_by_ns):
            kind += 65536 * MODE_NUMBER[mode]
            return WORDS.pack(now_ns, kind, victim, attempt, 0, 0, beneficiary or 0, confirm_by_ns)
        case Drop(request):
            return WORDS.pack(now_ns, kind, request, 0, 0, 0, 0, 0)
        case Abort(request, attempt) | Spare(request, attempt) | Stuck(request, attempt):
            return WORDS.pack(now_ns, kind, request, attempt, 0, 0, 0, 0)
        case AlsoLost(worker, by):
            return WORDS.pack(now_ns, kind, 0, 0, worker, 0, by, 0)
        case LeaseWanted(tenant, limit, seq, tokens, returned):
            return WORDS.pack(now_ns, kind, tenant, LIMIT_NUMBER[limit], 0, tokens, seq, returned & MASK)


class Digest:
    """A chain over the words of actions: SplitMix64's finalizer, with the constants of variant 13."""

    def __init__(self) -> None:
        self.value = 0x9E3779B97F4A7C15

    def update(self, words: bytes) -> None:
        """Appends the canonical bytes of one action."""
        value = self.value
        for word in WORDS.unpack(words):
            value ^= word
            value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & MASK
            value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK
            value ^= value >> 31
        self.value = value

    def __str__(self) -> str:
        return f"{self.value:016x}"
