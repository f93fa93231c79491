"""Builds `ffi/examples/llama_host`, gives it requests, and reads what came of them."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from toolchain import ROOT, library

SOURCE = ROOT / "ffi/examples/llama_host"
# The host's step is 10 ms.
STEPS_PER_SECOND = 100
ENDED = {"completed", "failed", "refused"}


def engine_folder() -> Path:
    """Where `make test-engines` has put llama.cpp and the tools that build with it."""
    return Path(os.environ["TIDEGATE_ENGINE"])


def build_host() -> Path:
    """Builds the host beside libtidegate, with the sanitizers on, and returns the program."""
    shared = library("tidegate-ffi", ".so", ".dylib")
    folder = shared.parent / "llama_host"
    engine = engine_folder()
    tidegate = shared.parent / "llama_host_needs"
    install(shared, tidegate)
    settings = {
        "CMAKE_BUILD_TYPE": "RelWithDebInfo",
        "CMAKE_CXX_FLAGS": "-fsanitize=address,undefined -fno-sanitize-recover=all",
        "CMAKE_MAKE_PROGRAM": engine / "venv/bin/ninja",
        "CMAKE_PREFIX_PATH": f"{engine / 'llama.cpp'};{tidegate}",
    }
    cmake = engine / "venv/bin/cmake"
    options = [f"-D{name}={value}" for name, value in settings.items()]
    subprocess.run([cmake, "-G", "Ninja", "-S", SOURCE, "-B", folder, *options], check=True)
    subprocess.run([cmake, "--build", folder], check=True)
    return folder / "llama_host"


def install(library: Path, prefix: Path) -> None:
    """Links to all that a C++ host needs of tidegate, where `make install` would put it."""
    needed = {
        prefix / "include": ROOT / "include",
        prefix / "lib" / library.name: library,
        prefix / "share/cmake/tidegate": ROOT / "ffi/cmake",
    }
    for place, source in needed.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(source)


class Ask(NamedTuple):
    """A line of a workload: who asks for what, and in which step."""

    arrives: int
    tier: str
    tenant: str
    max_output: int
    seed: int
    prompt: str

    def line(self) -> str:
        return " ".join(["request", *(str(field) for field in self)])


class Limit(NamedTuple):
    """Tokens that a tenant may use."""

    per_second: int
    burst: int


@dataclass
class Request:
    """What came of a request; the fields are those of the host's report."""

    number: int
    tier: str
    tenant: str
    phase: str
    answer: str
    arrives: int
    started: int | None
    first_token: int | None
    ended: int
    preemptions: int
    restored: int
    refilled: int
    prompt_tokens: int
    logits_digest: str
    output: list[int]

    def steps_until_start(self) -> int:
        assert self.started is not None
        return self.started - self.arrives

    def steps_until_first_token(self) -> int:
        assert self.first_token is not None
        return self.first_token - self.arrives

    def result(self) -> tuple[str, list[int], str]:
        """All that must not depend on what else ran, or on where and when."""
        return self.phase, self.output, self.logits_digest


@dataclass
class Run:
    """What a run of the host came to. The requests are in the order in which they were asked."""

    requests: list[Request]
    counts: dict[str, int]
    tenants: dict[str, dict[str, int]]
    printed: str

    @classmethod
    def read(cls, report: Path, printed: str) -> "Run":
        """Reads a report, in which every request must have ended."""
        told = json.loads(report.read_text())
        requests = sorted((Request(**request) for request in told["requests"]), key=lambda request: request.number)
        assert all(request.phase in ENDED and request.ended is not None for request in requests)
        return cls(requests, told["counts"], {tenant.pop("name"): tenant for tenant in told["tenants"]}, printed)

    def of_tier(self, tier: str) -> list[Request]:
        return [request for request in self.requests if request.tier == tier]

    def results(self) -> list[tuple[str, list[int], str]]:
        return [request.result() for request in self.requests]


class Host:
    """The program, a model, and a folder for its files."""

    def __init__(self, program: Path, model: Path, folder: Path) -> None:
        self.program = program
        self.model = model
        self.folder = folder

    def call(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.program, *arguments], capture_output=True, text=True, timeout=300, check=False)

    def serve(self, asks: list[Ask], *options: str, limits: dict[str, Limit] | None = None) -> Run:
        """Serves these requests."""
        workload = self.folder / "workload.txt"
        limited = limits or {}
        names = sorted({ask.tenant for ask in asks})
        tenants = [" ".join(["tenant", name, *map(str, limited.get(name, ()))]) for name in names]
        workload.write_text("\n".join([*tenants, *(ask.line() for ask in asks)]) + "\n")
        return self.serve_file(workload, *options)

    def serve_file(self, workload: Path, *options: str) -> Run:
        """Serves a workload, all of whose requests must end, with tidegate's invariants checked after each step."""
        report = self.folder / "report.json"
        files = ["--model", self.model, "--workload", workload, "--report", report]
        ended = self.call(*files, "--check", "--no-flash-attention", *options)
        assert ended.returncode == 0, ended.stderr
        return Run.read(report, ended.stdout)
