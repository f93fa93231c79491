"""A Triton model whose requests wait, run and yield as tidegate says.

`execute` hands its requests to tidegate and returns at once, which a decoupled model may. A thread decides; one thread
for each slot generates tokens, a chunk at a time, and answers through the request's response sender. Who has to yield
stops after its chunk, keeps what it has, and goes on from there later, in any slot.

Parameters of a request: `tier` and `tenant` (strings), `max_tokens` (a number), `stats` (true: one answer with the
counters, nothing is generated), and with it `hold` (true: nothing at all is generated until `hold` is false, so that a
test can count on who came first). The engine is simulated: a chunk is a sleep, a token a function of those before it.
"""

import json
import queue
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import triton_python_backend_utils as triton

import tidegate

VOCABULARY = 32_000
TIERS = [
    {"name": "realtime", "reserve_ppm": 300_000, "hold_window": "0s"},
    {"name": "near-realtime", "hold_window": "0s"},
    {"name": "batch", "reserve_ppm": 50_000, "hold_window": "0s"},
]
FIRST_COME = [{"name": "all", "order": "fifo"}]


class TritonPythonModel:
    """What the backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Starts the threads."""
        settings = {
            name: value["string_value"] for name, value in json.loads(args["model_config"])["parameters"].items()
        }
        self._tiered = settings["order"] == "tiers"
        self._engine = Engine(
            TIERS if self._tiered else FIRST_COME,
            slots=int(settings["slots"]),
            chunk_tokens=int(settings["chunk_tokens"]),
            chunk_s=int(settings["chunk_ms"]) / 1e3,
        )

    def execute(self, requests: list[Any]) -> None:
        """Takes requests; each is answered later, or at once if it is refused."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                self._take(request, sender)
            except (tidegate.Error, TypeError, ValueError) as refusal:
                _fail(sender, f"{type(refusal).__name__}: {refusal}")

    def _take(self, request: Any, sender: Any) -> None:
        asked = json.loads(request.parameters() or "{}")
        if asked.get("stats"):
            if "hold" in asked:
                self._engine.hold(asked["hold"])
            stats = np.array([json.dumps(self._engine.stats()).encode()], dtype=np.object_)
            sender.send(triton.InferenceResponse([triton.Tensor("STATS", stats)]))
            sender.send(flags=triton.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
            return
        prompt = triton.get_input_tensor_by_name(request, "PROMPT").as_numpy().tolist()
        job = Job(sender, prompt, int(asked.get("max_tokens", 16)))
        if job.max_tokens < 1:
            raise ValueError(f"max_tokens is {job.max_tokens}, and has to be 1 or more")
        tier = asked.get("tier", "batch") if self._tiered else "all"
        self._engine.submit(job, tenant=str(asked.get("tenant", "default")), tier=tier)

    def finalize(self) -> None:
        """Answers those that are left, and ends the threads."""
        self._engine.close()


@dataclass
class Job:
    """A request, and how far it is."""

    sender: Any
    prompt: list[int]
    max_tokens: int
    tokens: list[int] = field(default_factory=list)
    request: int = 0
    stop_attempt: int | None = None
    """The attempt that is to stop after its chunk."""


class Engine:
    """Slots that generate tokens, and a scheduler that says who has one."""

    def __init__(self, tiers: list[dict[str, Any]], *, slots: int, chunk_tokens: int, chunk_s: float) -> None:
        config = tidegate.Config(dimensions=["slots"], tiers=tiers, min_run="0s")
        self._sched = tidegate.Scheduler(config, now_ns=time.monotonic_ns())
        self._chunk_tokens = chunk_tokens
        self._chunk_s = chunk_s
        self._jobs: dict[int, Job] = {}
        self._yielded = 0
        self._closed = False
        self._flows = threading.Event()
        self._flows.set()
        # The scheduler has a lock of its own. This one keeps what is said to it and what is noted here together.
        self._changed = threading.Condition()
        self._inboxes: dict[int, queue.SimpleQueue[tuple[Job, int] | None]] = {}
        for _ in range(slots):
            worker = self._sched.worker_add([1], now_ns=time.monotonic_ns())
            self._inboxes[worker] = queue.SimpleQueue()
        # Daemons: a server that is killed waits for none of them.
        self._threads = [
            threading.Thread(target=self._serve, args=(inbox,), daemon=True) for inbox in self._inboxes.values()
        ]
        self._threads.append(threading.Thread(target=self._decide, daemon=True))
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job, *, tenant: str, tier: str) -> None:
        """Lets a job wait for its turn. Raises `tidegate.Error`."""
        with self._changed:
            job.request = self._sched.submit(
                tenant=tenant,
                tier=tier,
                demand=[1],
                prompt_tokens=len(job.prompt),
                output_tokens=job.max_tokens,
                yielding="checkpoint",
                now_ns=time.monotonic_ns(),
            )
            self._jobs[job.request] = job
            self._changed.notify()

    def stats(self) -> dict[str, Any]:
        """The counters, and what is held."""
        with self._changed:
            self._sched.check_invariants()
            stats = self._sched.stats()
            in_use = {tier: self._sched.in_use(tier)["slots"] for tier in self._sched.config.tiers}
            names = ("submitted", "completed", "failed", "cancelled", "dropped", "live")
            by_reason = {reason.value: count for reason, count in stats.by_reason.items() if count}
            counts = {name: getattr(stats, name) for name in names}
            return {
                **counts,
                "jobs": len(self._jobs),
                "yielded": self._yielded,
                "in_use": in_use,
                "by_reason": by_reason,
            }

    def hold(self, on: bool) -> None:
        """Lets no slot generate, or all of them again."""
        if on:
            self._flows.clear()
        else:
            self._flows.set()

    def close(self) -> None:
        """Stops all threads; what is not done is answered with an error."""
        self._flows.set()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for inbox in self._inboxes.values():
            inbox.put(None)
        for thread in self._threads:
            thread.join(timeout=5)
        for job in self._jobs.values():
            _fail(job.sender, "the model is unloaded")

    def _decide(self) -> None:
        """Does what the scheduler wants, whenever something has changed or is due."""
        with self._changed:
            while not self._closed:
                for action in self._sched.poll(now_ns=time.monotonic_ns()):
                    match action:
                        case tidegate.Start(request, worker, attempt):
                            self._inboxes[worker].put((self._jobs[request], attempt))
                        case tidegate.Preempt(victim, attempt):
                            self._jobs[victim].stop_attempt = attempt
                        case tidegate.Spare(victim):
                            self._jobs[victim].stop_attempt = None
                        case tidegate.Drop(request, reason):
                            _fail(self._jobs.pop(request).sender, reason.value)
                self._drop_those_gone()
                due = self._sched.poll_timeout()
                # Triton tells of no cancellation: it has to be asked, of those that wait too.
                patience = self._chunk_s if self._jobs else None
                if due is not None:
                    until_due = max(0, due - time.monotonic_ns()) / 1e9
                    patience = until_due if patience is None else min(until_due, patience)
                self._changed.wait(patience)

    def _drop_those_gone(self) -> None:
        for job in list(self._jobs.values()):
            if job.sender.is_cancelled() and self._sched.state(job.request) in {"queued", "parked"}:
                self._cancel(job)

    def _cancel(self, job: Job) -> None:
        self._sched.cancel(job.request, now_ns=time.monotonic_ns())
        del self._jobs[job.request]
        job.sender.send(flags=triton.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def _serve(self, inbox: "queue.SimpleQueue[tuple[Job, int] | None]") -> None:
        """A slot: generates for one job after the other."""
        while (given := inbox.get()) is not None:
            job, attempt = given
            while self._goes_on(job, attempt) and not self._closed:
                self._flows.wait()
                time.sleep(self._chunk_s)
                chunk = [next_token(job) for _ in range(min(self._chunk_tokens, job.max_tokens - len(job.tokens)))]
                tensor = triton.Tensor("TOKENS", np.array(chunk, dtype=np.int32))
                job.sender.send(triton.InferenceResponse([tensor]))

    def _goes_on(self, job: Job, attempt: int) -> bool:
        """Whether the job has this slot for another chunk; if not, the scheduler knows by then."""
        with self._changed:
            now = time.monotonic_ns()
            if job.sender.is_cancelled():
                self._cancel(job)
            elif len(job.tokens) == job.max_tokens:
                self._sched.complete(
                    job.request, attempt, prompt_tokens=len(job.prompt), output_tokens=len(job.tokens), now_ns=now
                )
                del self._jobs[job.request]
                job.sender.send(flags=triton.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
            elif job.stop_attempt == attempt:
                kept = len(job.prompt) + len(job.tokens)
                self._sched.preempted(job.request, attempt, tokens_kept=kept, now_ns=now)
                self._yielded += 1
            else:
                self._sched.progress(job.request, attempt, output_tokens=len(job.tokens), in_use=[1], now_ns=now)
                return True
            self._changed.notify()
            return False


def next_token(job: Job) -> int:
    """Generates one more: the same tokens come of the same prompt, however often it was stopped."""
    last = job.tokens[-1] if job.tokens else sum(job.prompt)
    token = (last * 1_103 + len(job.prompt) + len(job.tokens) + 12_345) % VOCABULARY
    job.tokens.append(token)
    return token


def _fail(sender: Any, message: str) -> None:
    response = triton.InferenceResponse(error=triton.TritonError(message))
    sender.send(response, flags=triton.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
