"""From an HTTP request to the decision: vLLM's server with tidegate's scheduler, and the `openai` client."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import openai
import psutil
import pytest
from waiting import held_port, port_of

HERE = Path(__file__).parent
READY_S, ANSWER_S, ENDS_S = 900, 300, 60
"""Far more than it takes, also on a busy machine."""
ENDLESS = 30_000
"""Tokens, half a minute of them and more: what is to run while something else happens must not end by itself."""

CONFIG = """
[[tiers]]
name = "realtime"
reserve_ppm = 500_000
[[tiers]]
name = "batch"
[tenants.acme]
weight = 3
"""


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(f"the server is not ready:\n{log.read_text()[-4_000:]}")


@dataclass
class Server:
    """One that serves, until its block ends."""

    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def serving(model: Path, folder: Path) -> Iterator[Server]:
    (folder / "tidegate.toml").write_text(CONFIG)
    log = folder / "log"
    environment = os.environ | {
        "TIDEGATE_CONFIG": str(folder / "tidegate.toml"),
        "PYTHONPATH": os.pathsep.join([str(HERE), os.environ["PYTHONPATH"]]),
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "OMP_NUM_THREADS": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
    }
    # What `vllm serve` starts; the command itself does not find its version in the package for CPUs.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model]
    command += ["--scheduler-cls", "checked.Checked", "--served-model-name", "tiny", "--dtype", "float32"]
    command += ["--enforce-eager", "--max-model-len", "32768", "--max-num-seqs", "2", "--block-size", "32"]
    with log.open("wb") as output, held_port() as held:
        port = port_of(held)
        command += ["--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, cwd=folder, start_new_session=True
        )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until_ready(address, process, log)
            yield Server(address, process)
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """As an operator does; what has not ended then, and what it left behind, is killed."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=ENDS_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=60)


@pytest.fixture(scope="module")
def url(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(model, tmp_path_factory.mktemp("serve")) as server:
        yield server.url


@pytest.fixture
def client(url: str) -> openai.OpenAI:
    return client_of(url)


def client_of(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=ANSWER_S, max_retries=0)


def ask(client: openai.OpenAI, output: int, **wishes: str | int) -> object:
    return client.completions.create(
        model="tiny",
        prompt="t5 t6 t7 t8",
        max_tokens=output,
        temperature=0.0,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"vllm_xargs": wishes, "ignore_eos": True},
    )


def tokens_of(stream: object) -> int:
    """What the server says at the end: on a busy machine several tokens come in one piece."""
    *_, last = stream
    return last.usage.completion_tokens


def requests_there(url: str) -> dict[str, float]:
    with urllib.request.urlopen(f"{url}/metrics", timeout=ANSWER_S) as answer:
        lines = answer.read().decode().splitlines()
    counts = {}
    for kind in ("running", "waiting"):
        counts[kind] = sum(float(line.split()[-1]) for line in lines if line.startswith(f"vllm:num_requests_{kind}{{"))
    return counts


def until_there(url: str, **wanted: int) -> None:
    until = time.monotonic() + ANSWER_S
    counts = None
    while counts != wanted and time.monotonic() < until:
        with suppress(OSError):  # it may take its time to answer
            counts = requests_there(url)
        time.sleep(0.05)
    assert counts == wanted


def test_realtime_overtakes_batch(client: openai.OpenAI, url: str) -> None:
    with ExitStack() as streams:
        for _ in range(4):
            streams.enter_context(ask(client, ENDLESS, tier="batch", tenant="acme"))
        until_there(url, running=2, waiting=2)
        assert tokens_of(ask(client, 4, tier="realtime", tenant="globex", deadline_ms=60_000)) == 4
        # None of the four has ended; one may wait again, because its slot is held for the next urgent one.
        assert sum(requests_there(url).values()) >= 4


def test_clients_that_leave_leave_nothing_behind(client: openai.OpenAI, url: str) -> None:
    for _ in range(3):
        streams = [ask(client, 900, tier="batch") for _ in range(2)]
        next(iter(streams[0]))
        for stream in streams:
            stream.close()
    until = time.monotonic() + ANSWER_S
    while (counts := requests_there(url)) != {"running": 0, "waiting": 0} and time.monotonic() < until:
        for _ in ask(client, 4, tier="realtime"):  # a step, after which the engine tells its counts
            pass
    assert counts == {"running": 0, "waiting": 0}


def test_a_wish_that_cannot_be_is_answered_and_the_engine_goes_on(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIError):
        for _ in ask(client, 4, tier="no such tier"):
            pass
    assert tokens_of(ask(client, 4, tier="realtime")) == 4


def test_a_scheduler_that_is_killed_in_the_middle_hangs_nobody_and_the_next_knows_of_nothing(
    model: Path, tmp_path: Path
) -> None:
    with serving(model, tmp_path) as server, ThreadPoolExecutor(3) as threads:
        client = client_of(server.url)
        processes = psutil.Process(server.process.pid).children(recursive=True)
        (engine,) = [process for process in processes if "EngineCore" in "".join(process.cmdline())]

        def read(tier: str) -> int:
            told = 0
            with suppress(openai.APIError, httpx.HTTPError):
                told = sum(1 for _ in ask(client, 900, tier=tier))
            return told

        running = ask(client, 900, tier="batch")
        next(iter(running))
        engine.suspend()  # it does not end before it is killed
        waiting = [threads.submit(read, tier) for tier in ("batch", "realtime")]
        time.sleep(1)  # for them to get there; if they do not, they are refused
        engine.kill()
        with suppress(openai.APIError, httpx.HTTPError):
            for _ in running:
                pass
        assert [future.result(timeout=ANSWER_S) for future in waiting] == [0, 0]
        server.process.wait(timeout=ANSWER_S)
        assert psutil.wait_procs(processes, timeout=ANSWER_S)[1] == []
    with serving(model, tmp_path) as server:
        assert tokens_of(ask(client_of(server.url), 4, tier="realtime")) == 4
        assert requests_there(server.url) == {"running": 0, "waiting": 0}
