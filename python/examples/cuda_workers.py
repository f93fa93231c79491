"""Three tiers of real PyTorch work on one device: a random transformer, prompts and tokens, in worker threads.

    python cuda_workers.py [--help]

The same requests are served three times: in the order of arrival, by a queue of priorities, and by tidegate, which
keeps a share for the urgent tier, lends it while nobody there needs it, and takes it back in the middle of a request.
Whoever yields keeps its KV cache and goes on later, on any worker. On a GPU each tier has a stream of its own priority;
on a CPU the same code runs a smaller model.

All threads share one `tidegate.SharedScheduler`: whoever submits and the workers leave what they have to say in its
intake and go on, and one thread polls, tells workers what starts and who is to yield, and sleeps in between. What
leaving something took is printed too, and how long it was from a worker's last word to its next request.
"""

import argparse
import contextlib
import heapq
import itertools
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

import tidegate

TIERS = ("realtime", "near-realtime", "batch")
RESERVES = {"realtime": 300_000, "batch": 50_000}
VOCABULARY = 1_024
# A prompt is computed in pieces of so many tokens, between which a request can yield.
PIECE = 128
PATIENCE_S = 120.0


class Transformer(torch.nn.Module):
    """A decoder of random weights that keeps its keys and values in a cache."""

    def __init__(self, width: int, blocks: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.embed = torch.nn.Embedding(VOCABULARY, width)
        self.joint = torch.nn.ModuleList(torch.nn.Linear(width, 3 * width) for _ in range(blocks))
        self.out = torch.nn.ModuleList(torch.nn.Linear(width, width) for _ in range(blocks))
        self.up = torch.nn.ModuleList(torch.nn.Linear(width, 4 * width) for _ in range(blocks))
        self.down = torch.nn.ModuleList(torch.nn.Linear(4 * width, width) for _ in range(blocks))
        self.norm = torch.nn.LayerNorm(width)

    def cache(self, tokens: int) -> torch.Tensor:
        """Room for the keys and values of so many tokens."""
        width = self.embed.embedding_dim
        shape = (len(self.joint), 2, self.heads, tokens, width // self.heads)
        return torch.zeros(shape, dtype=self.embed.weight.dtype, device=self.embed.weight.device)

    def forward(self, tokens: torch.Tensor, cache: torch.Tensor, past: int) -> torch.Tensor:
        """Takes some tokens more, and returns the likeliest next one, on the device."""
        count = len(tokens)
        here, seen = slice(past, past + count), slice(0, past + count)
        mask = torch.ones(count, past + count, dtype=torch.bool, device=tokens.device).tril(past)
        x = self.embed(tokens)
        for block, joint in enumerate(self.joint):
            query, key, value = joint(self.norm(x)).view(count, 3, self.heads, -1).permute(1, 2, 0, 3)
            cache[block, 0, :, here], cache[block, 1, :, here] = key, value
            seen_keys, seen_values = cache[block, :, :, seen]
            mixed = torch.nn.functional.scaled_dot_product_attention(query, seen_keys, seen_values, attn_mask=mask)
            x = x + self.out[block](mixed.transpose(0, 1).reshape(count, -1))
            x = x + self.down[block](torch.nn.functional.gelu(self.up[block](self.norm(x))))
        return (self.norm(x[-1]) @ self.embed.weight.T).argmax()


@dataclass
class Work:
    """A request, and how far it is."""

    number: int
    tier: int
    prompt: torch.Tensor
    output: int
    after_s: float
    """When it comes, from the beginning."""
    done: int = 0
    """Tokens that are in the cache."""
    cache: torch.Tensor | None = None
    tokens: list[torch.Tensor] = field(default_factory=list)
    came_at: float = 0.0
    first_at: float = 0.0
    ended_at: float = 0.0
    request: int = 0
    stop_attempt: int | None = None

    def fresh(self) -> "Work":
        """The same request, of which nothing is done."""
        return Work(self.number, self.tier, self.prompt, self.output, self.after_s)


class Device:
    """A device, its streams, and the model on it."""

    def __init__(self, name: str) -> None:
        self.cuda = name == "cuda"
        self.name = torch.cuda.get_device_name() if self.cuda else f"CPU, {torch.get_num_threads()} thread a worker"
        torch.manual_seed(1)
        width, blocks, heads = (2_048, 16, 16) if self.cuda else (128, 2, 4)
        dtype = torch.bfloat16 if self.cuda else torch.float32
        self.model = Transformer(width, blocks, heads).to(name, dtype).eval()
        self.place = torch.device(name)

    def stream(self, tier: int) -> Any:
        """A stream whose priority is the tier's, for one request; nothing on a CPU."""
        if not self.cuda:
            return contextlib.nullcontext()
        # Lower numbers are more urgent, and 0 is the least.
        _, most_urgent = torch.cuda.Stream.priority_range()
        return torch.cuda.stream(torch.cuda.Stream(priority=min(0, most_urgent + tier)))

    def step(self, work: Work) -> None:
        """Computes a piece of the prompt, or a token; when it returns, the device is done with it."""
        if work.cache is None:
            work.cache = self.model.cache(len(work.prompt) + work.output)
        prompt_left = work.prompt[work.done : work.done + PIECE]
        taken = prompt_left if len(prompt_left) else work.tokens[-1].view(1)
        following = self.model(taken, work.cache, work.done)
        work.done += len(taken)
        if work.done >= len(work.prompt):
            work.tokens.append(following)
        if self.cuda:
            torch.cuda.current_stream().synchronize()
        if len(work.tokens) == 1 and not work.first_at:
            work.first_at = time.monotonic()


class Order:
    """Who is next: what the three ways to serve differ in."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._closed = False

    def submit(self, work: Work) -> None:
        """Takes a request."""
        raise NotImplementedError

    def take(self, worker: int) -> tuple[Work, int] | None:
        """Waits for what this worker is to run, and under which attempt; `None` at the end."""
        raise NotImplementedError

    def goes_on(self, work: Work, attempt: int) -> bool:  # noqa: ARG002
        """Asked after each step: whether it keeps its worker."""
        return True

    def ended(self, work: Work, attempt: int) -> None:
        """Hears that it has all its tokens."""

    def close(self) -> None:
        """Ends every `take`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class ByKey(Order):
    """A queue: the least key first, and nobody yields."""

    def __init__(self, key: Callable[[Work], int]) -> None:
        super().__init__()
        self._key = key
        self._heap: list[tuple[int, int, Work]] = []
        self._numbers = itertools.count()

    def submit(self, work: Work) -> None:
        """Puts it into the queue."""
        with self._changed:
            heapq.heappush(self._heap, (self._key(work), next(self._numbers), work))
            self._changed.notify()

    def take(self, worker: int) -> tuple[Work, int] | None:  # noqa: ARG002
        """Waits for the first of the queue."""
        with self._changed:
            while not self._heap and not self._closed:
                self._changed.wait(PATIENCE_S)
            return (heapq.heappop(self._heap)[2], 0) if self._heap else None


class ByTidegate(Order):
    """Who is next, and who yields, by tidegate; each worker thread is a worker of one slot."""

    def __init__(self, workers: int) -> None:
        super().__init__()
        tiers = [{"name": tier, "reserve_ppm": RESERVES.get(tier, 0), "hold_window": "0s"} for tier in TIERS]
        config = tidegate.Config(dimensions=["slots"], tiers=tiers, min_run="0s")
        self._shared = tidegate.SharedScheduler(config, now_ns=time.monotonic_ns())
        self.sched = self._shared.scheduler
        self._tenant = self.sched.tenant_set("all", now_ns=time.monotonic_ns())
        self._workers = [self.sched.worker_add([1], now_ns=time.monotonic_ns()) for _ in range(workers)]
        self._given: dict[int, tuple[Work, int]] = {}
        self._by_number: dict[int, Work] = {}
        self._by_request: dict[int, Work] = {}
        self.calls_ns: list[int] = []
        """What each call that submits or reports took."""
        self.turns_ns: list[int] = []
        """How long after its last word a worker had its next request, where one waited for it."""
        self._error: BaseException | None = None
        self._engine = threading.Thread(target=self._poll_until_closed, daemon=True)
        self._engine.start()

    def submit(self, work: Work) -> None:
        """Lets it wait for its turn."""
        self._by_number[work.number] = work
        self._say(
            self._shared.submit,
            tenant=self._tenant,
            tier=work.tier,
            demand=[1],
            prompt_tokens=len(work.prompt),
            output_tokens=work.output,
            yielding="checkpoint",
            tag=work.number,
        )

    def take(self, worker: int) -> tuple[Work, int] | None:
        """Waits for a `Start` on this worker."""
        number, came_at = self._workers[worker], time.perf_counter_ns()
        with self._changed:
            while number not in self._given and not self._closed:
                self._changed.wait(PATIENCE_S)
            if self._error is not None:
                raise RuntimeError("the thread that polls has failed") from self._error
            self.turns_ns.append(time.perf_counter_ns() - came_at)
            return self._given.pop(number, None)

    def goes_on(self, work: Work, attempt: int) -> bool:
        """No, once there was a `Preempt`."""
        if work.stop_attempt != attempt:
            return True
        self._say(self._shared.preempted, work.request, attempt, tokens_kept=work.done)
        return False

    def ended(self, work: Work, attempt: int) -> None:
        """Settles what it took."""
        del self._by_request[work.request]
        self._say(
            self._shared.complete, work.request, attempt, prompt_tokens=len(work.prompt), output_tokens=work.output
        )

    def close(self) -> None:
        """Ends every `take`, and the thread that polls."""
        super().close()
        self._shared.wake()
        self._engine.join(PATIENCE_S)

    def _say(self, call: Callable[..., int], *arguments: int, **fields: Any) -> None:
        began = time.perf_counter_ns()
        while True:
            try:
                call(*arguments, **fields, now_ns=time.monotonic_ns())
                break
            except tidegate.Busy:
                time.sleep(0.001)  # the intake is full: until the next poll
        self.calls_ns.append(time.perf_counter_ns() - began)

    def _poll_until_closed(self) -> None:
        try:
            # Looked at between a poll and the sleep: a poll takes up what it was woken for.
            while not self._closed:
                self._shared.wait(self.sched.poll_timeout(), now_ns=time.monotonic_ns())
                self._obey()
            self._obey()
        except BaseException as error:
            self._error = error
            super().close()
            raise

    def _obey(self) -> None:
        for outcome in self._shared.poll(now_ns=time.monotonic_ns()):
            match outcome:
                case tidegate.Accepted(_, number, request):
                    work = self._by_request[request] = self._by_number.pop(number)
                    work.request = request
                case tidegate.Refused():
                    raise outcome.error
                case tidegate.Start(request, worker, attempt):
                    with self._changed:
                        self._given[worker] = self._by_request[request], attempt
                        self._changed.notify_all()
                case tidegate.Preempt(victim, attempt):
                    # Who has ended in the meantime has said so: that counts as an answer.
                    if victim in self._by_request:
                        self._by_request[victim].stop_attempt = attempt
                case tidegate.Spare(victim):
                    if victim in self._by_request:
                        self._by_request[victim].stop_attempt = None


def requests_of(device: Device, batch: int, urgent: int, spacing_s: float) -> list[Work]:
    """Batch work at once; then requests of the other tiers, far between."""

    def work(tier: int, prompt: int, output: int, after_s: float) -> Work:
        number = next(numbers)
        tokens = torch.arange(number, number + prompt, device=device.place) % VOCABULARY
        return Work(number, tier, tokens, output, after_s)

    numbers = itertools.count()
    works = [work(2, 192, 64, 0.0) for _ in range(batch)]
    works += [work(1, 64, 24, (4 * turn + 2) * spacing_s) for turn in range(urgent // 4)]
    works += [work(0, 32, 8, (turn + 1) * spacing_s) for turn in range(urgent)]
    return sorted(works, key=lambda work: work.after_s)


def serve(device: Device, works: list[Work], order: Order, workers: int) -> dict[str, Any]:
    """Serves all of them, and tells how long they took."""
    busy_s = [0.0] * workers
    left = threading.Semaphore(0)
    failed: list[BaseException] = []

    def work_off(worker: int) -> None:
        try:
            with torch.inference_mode():
                while (given := order.take(worker)) is not None:
                    began = time.monotonic()
                    if _run(device, order, *given):
                        left.release()
                    busy_s[worker] += time.monotonic() - began
        except BaseException as error:
            failed.append(error)
            left.release(len(works))
            raise

    # Daemons: whoever gives up waits for none of them.
    threads = [threading.Thread(target=work_off, args=(worker,), daemon=True) for worker in range(workers)]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    for work in works:
        time.sleep(max(0.0, began + work.after_s - time.monotonic()))
        work.came_at = time.monotonic()
        order.submit(work)
    for _ in works:
        if not left.acquire(timeout=PATIENCE_S) or failed:
            raise RuntimeError("a worker failed, or did not answer in time") from (failed[0] if failed else None)
    elapsed_s = time.monotonic() - began
    order.close()
    for thread in threads:
        thread.join(timeout=PATIENCE_S)
    tokens = sum(len(work.prompt) + work.output for work in works)
    return {
        "tiers": {TIERS[tier]: _times(works, tier) for tier in sorted({work.tier for work in works})},
        "seconds": elapsed_s,
        "tokens_per_second": tokens / elapsed_s,
        "busy": sum(busy_s) / (workers * elapsed_s),
        "outputs": [torch.stack(work.tokens).tolist() for work in sorted(works, key=lambda work: work.number)],
    }


def _run(device: Device, order: Order, work: Work, attempt: int) -> bool:
    """Runs it until it is done (true) or has to yield."""
    with device.stream(work.tier):
        while len(work.tokens) < work.output:
            device.step(work)
            if len(work.tokens) < work.output and not order.goes_on(work, attempt):
                return False
    work.ended_at = time.monotonic()
    work.cache = None
    order.ended(work, attempt)
    return True


def _times(works: list[Work], tier: int) -> dict[str, float]:
    first = sorted(1e3 * (work.first_at - work.came_at) for work in works if work.tier == tier)
    whole = sorted(1e3 * (work.ended_at - work.came_at) for work in works if work.tier == tier)
    return {"first_token_ms_p99": _p99(first), "latency_ms_p50": whole[len(whole) // 2], "latency_ms_p99": _p99(whole)}


def _p99(values: list[float]) -> float:
    return values[min(len(values) - 1, int(0.99 * len(values)))]


def compare(device: Device, *, workers: int, batch: int, urgent: int) -> dict[str, Any]:
    """Serves the same requests in each order."""
    # By this machine's own pace, with all workers busy, an urgent request comes every so many steps.
    warm = [Work(n, 2, torch.arange(32, device=device.place), 32, 0.0) for n in range(2 * workers)]
    spacing_s = 24 * serve(device, warm, ByKey(lambda _: 0), workers)["seconds"] / 64
    works = requests_of(device, batch, urgent, spacing_s)
    tidegate_order = ByTidegate(workers)
    orders: dict[str, Order] = {
        "first come": ByKey(lambda _: 0),
        "priority queue": ByKey(lambda work: work.tier),
        "tidegate": tidegate_order,
    }
    runs = {name: serve(device, [work.fresh() for work in works], order, workers) for name, order in orders.items()}
    outputs = [run.pop("outputs") for run in runs.values()]
    stats = tidegate_order.sched.stats()
    calls, turns = sorted(tidegate_order.calls_ns), sorted(tidegate_order.turns_ns)
    return {
        "device": device.name,
        "workers": workers,
        "runs": runs,
        "same_outputs": all(output == outputs[0] for output in outputs),
        "completed": stats.completed,
        "live": stats.live,
        "reclaims": stats.by_reason[tidegate.Reason.RECLAIM],
        "call_us_p50": calls[len(calls) // 2] / 1e3,
        "call_us_p99": _p99([call / 1e3 for call in calls]),
        "turn_us_p50": turns[len(turns) // 2] / 1e3,
    }


def main() -> None:
    """Compares, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=default)
    parser.add_argument("--workers", type=int, default=4 if default == "cuda" else 2, help="threads, a slot each")
    parser.add_argument("--batch", type=int, default=16, help="requests of the batch tier, at once")
    parser.add_argument("--urgent", type=int, default=24, help="requests of the realtime tier, one after the other")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    asked = parser.parse_args()
    if min(asked.workers, asked.batch, asked.urgent // 4) < 1:
        parser.error("--workers and --batch have to be 1 or more, --urgent 4 or more")
    if asked.device == "cpu":
        torch.set_num_threads(1)
    told = compare(Device(asked.device), workers=asked.workers, batch=asked.batch, urgent=asked.urgent)
    if asked.json:
        print(json.dumps(told))
        return
    print(f"{told['device']}; {told['workers']} workers; outputs the same in all three: {told['same_outputs']}")
    columns = ("P0 p50", "P0 p99", "P1 p99", "P2 p99")
    print(f"{'':15}{'P0 first token':>16}{''.join(f'{name:>10}' for name in columns)}{'busy':>7}{'tokens/s':>10}")
    for name, run in told["runs"].items():
        first, second, third = run["tiers"].values()
        print(
            f"{name:15}{first['first_token_ms_p99']:13.1f} ms{first['latency_ms_p50']:7.1f} ms"
            f"{first['latency_ms_p99']:7.1f} ms{second['latency_ms_p99']:7.0f} ms{third['latency_ms_p99']:7.0f} ms"
            f"{run['busy']:7.0%}{run['tokens_per_second']:10.0f}"
        )
    print(
        f"{told['reclaims']} batch requests yielded and went on; a call of tidegate took {told['call_us_p50']:.0f} us "
        f"(p99 {told['call_us_p99']:.0f} us), and a worker had its next request after {told['turn_us_p50']:.0f} us"
    )


if __name__ == "__main__":
    main()
