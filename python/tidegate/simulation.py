"""Replays of workloads, as a function: what these requests would have seen under this config.

    result = tidegate.simulate(config, "azure-conv:conv.csv", workers=6)
    result["setups"]["tidegate"]["tiers"][0]["ttft_ms"]["p99"]
    result.tiers()  # a pandas DataFrame where pandas is installed, else a list of dicts

The work is done by the program `tidegate`, in a process of its own: a wheel that servers load carries no simulator, and
nothing here holds the interpreter. Build it with `cargo build --release -p tidegate-sim`; it is looked for in `binary`,
in the environment variable `TIDEGATE_BINARY` and in `PATH`.
"""

import contextlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

from tidegate._errors import Error
from tidegate._tidegate import Config

__all__ = ["Simulation", "SimulationError", "simulate"]

FIELDS = ("arrival_s", "tier", "tenant", "prompt_tokens", "output_tokens")
INTERRUPTED = 130
"""The program's exit status when it was broken off; its report is partial then."""

LAST_WORDS_S = 30
"""How long it may take to stop after Ctrl-C before it is killed."""


class SimulationError(Error):
    """The program is not there, or did not do what it was asked: `status` is its exit status, 2 for bad input."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Simulation(dict[str, Any]):
    """The report of `tidegate replay --json` (`docs/SIMULATOR.md` has its keys), with two views of it as tables."""

    @property
    def is_partial(self) -> bool:
        """Whether it was stopped before its end."""
        return bool(self.get("partial", False))

    def setups(self) -> Any:
        """A row for each set-up. A pandas DataFrame where pandas is installed, else a list of dicts."""
        rows = [{"setup": name, **_flat(setup, leave_out=("tiers",))} for name, setup in self["setups"].items()]
        return _frame(rows)

    def tiers(self) -> Any:
        """A row for each set-up and tier, in the same form."""
        setups = self["setups"].items()
        return _frame([{"setup": name, **_flat(tier)} for name, setup in setups for tier in setup["tiers"]])


def simulate(
    config: Config | Mapping[str, Any] | None = None,
    trace: str | Sequence[str] | Iterable[Mapping[str, Any]] | None = None,
    *,
    model: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    setups: Sequence[str] = (),
    scale: float | None = None,
    seed: int | None = None,
    report: str | os.PathLike[str] | None = None,
    timeline: str | os.PathLike[str] | None = None,
    progress: bool = True,
    timeout_s: float | None = None,
    binary: str | os.PathLike[str] | None = None,
) -> Simulation:
    """Replays a trace, and returns the report.

    `config` is a `Config` or what `Config(**config)` takes; the default set-up without it. `trace` is `KIND:PATH` as on
    the command line, several of them, or rows with the keys `arrival_s`, `tier`, `tenant`, `prompt_tokens` and
    `output_tokens` (a DataFrame will do); the built-in workload without it. `model` is an id or a file of
    `tidegate fit`. `workers`, `setups`, `scale`, `seed`, `report` and `timeline` are the flags of these names.
    `progress` shows a bar where tqdm is installed. `timeout_s` ends a replay that takes longer, with a
    `SimulationError`. `binary` is the program.

    After Ctrl-C the program is waited for, and the `KeyboardInterrupt` goes on.

    Raises `SimulationError`; `ConfigError` for a config that cannot be.
    """
    program = _program(binary)
    with tempfile.TemporaryDirectory(prefix="tidegate-") as name:
        folder = Path(name)
        command = [program, "replay", "--json", "--progress"]
        if config is not None:
            whole = config if isinstance(config, Config) else Config(**config)
            (folder / "config.toml").write_text(whole.to_toml(), encoding="utf-8")
            command += ["--config", str(folder / "config.toml")]
        for each in _traces(trace, folder):
            command += ["--trace", each]
        for setup in setups:
            command += ["--setup", setup]
        given = {
            "model": model,
            "workers": workers,
            "scale": scale,
            "seed": seed,
            "report": report,
            "timeline": timeline,
        }
        for flag, value in given.items():
            if value is not None:
                command += [f"--{flag}", os.fspath(value) if isinstance(value, os.PathLike) else str(value)]
        status, written, said = _run(command, folder, progress=progress, timeout_s=timeout_s)
    if status in (0, INTERRUPTED) and written:
        return Simulation(json.loads(written))
    raise SimulationError(said or f"{program} ended with status {status}", status)


def _program(binary: str | os.PathLike[str] | None) -> str:
    named = os.fspath(binary) if binary is not None else os.environ.get("TIDEGATE_BINARY", "tidegate")
    found = shutil.which(named)
    if found is None:
        how = (
            "cargo build --release -p tidegate-sim builds it; name it by binary= or TIDEGATE_BINARY, or have it in PATH"
        )
        raise SimulationError(f"no program {named!r}: {how}")
    return found


def _traces(trace: str | Sequence[str] | Iterable[Mapping[str, Any]] | None, folder: Path) -> list[str]:
    if trace is None:
        return []
    if isinstance(trace, str):
        return [trace]
    to_dict: Callable[[str], list[Mapping[str, Any]]] | None = getattr(trace, "to_dict", None)
    rows = to_dict("records") if to_dict is not None else list(trace)
    names = [row for row in rows if isinstance(row, str)]
    if names:
        if len(names) < len(rows):
            raise TypeError("trace: some are KIND:PATH and some are rows")
        return names
    path = folder / "rows.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            if not isinstance(row, Mapping):
                raise TypeError(f"trace: {type(row).__name__} is neither KIND:PATH nor a row")
            # Columns of a DataFrame are not always numbers of Python; their text is one.
            file.write(json.dumps({key: row[key] for key in FIELDS if key in row}, default=str) + "\n")
    return [f"jsonl:{path}"]


def _run(command: list[str], folder: Path, *, progress: bool, timeout_s: float | None) -> tuple[int, str, str]:
    """Runs the program; its status, what it printed, and its last words."""
    said: list[str] = []
    with (folder / "out").open("w+", encoding="utf-8") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
        timer = threading.Timer(timeout_s, process.kill) if timeout_s is not None else None
        if timer is not None:
            timer.start()
        try:
            assert process.stderr is not None
            _listen(process.stderr, said, progress=progress)
            status = process.wait()
        except KeyboardInterrupt:
            # It heard the same Ctrl-C, and writes what it has.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LAST_WORDS_S)
            raise
        finally:
            if timer is not None:
                timer.cancel()
            process.kill()
            process.wait()
            if process.stderr is not None:
                process.stderr.close()
        out.seek(0)
        printed = out.read()
    if timeout_s is not None and status < 0:
        raise SimulationError(f"it did not end within {timeout_s} s", status)
    return status, printed, "\n".join(said).removeprefix("tidegate: ")


def _listen(lines: IO[str], said: list[str], *, progress: bool) -> None:
    """Shows `progress DONE OF` as a bar, and keeps what else is said."""
    bar: Any = None
    try:
        for line in lines:
            match line.split():
                case ["progress", done, steps]:
                    if bar is None and progress:
                        bar = _bar(int(steps))
                    if bar is not None:
                        bar.update(max(int(done) - bar.n, 0))
                case _:
                    said.append(line.rstrip("\n"))
    finally:
        if bar is not None:
            bar.close()


def _bar(steps: int) -> Any:
    """A bar of tqdm, or nothing where it is not installed."""
    try:
        tqdm = importlib.import_module("tqdm")
    except ImportError:
        return None
    return tqdm.tqdm(total=steps, unit=" requests", file=sys.stderr)


def _frame(rows: list[dict[str, Any]]) -> Any:
    try:
        pandas = importlib.import_module("pandas")
    except ImportError:
        return rows
    return pandas.DataFrame(rows)


def _flat(value: Mapping[str, Any], prefix: str = "", leave_out: tuple[str, ...] = ()) -> dict[str, Any]:
    """Objects within objects as keys with underscores: `ttft_ms_p99`."""
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        if key in leave_out:
            continue
        if isinstance(inner, Mapping):
            flat.update(_flat(cast("Mapping[str, Any]", inner), f"{prefix}{key}_"))
        else:
            flat[prefix + key] = inner
    return flat
