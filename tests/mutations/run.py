"""Puts the faults of `mutations.toml` into a copy of the core, one at a time, and says which tests notice."""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/MUTATIONS.md"
MARK = "<!-- What follows is written by `make mutations ARGS=--page`. -->\n"
WORK = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute() / "mutations"
TREE, RESULTS = WORK / "tree", WORK / "results.json"
TRACES = ROOT.parent / "shared"  # what tests of the simulator read, where it is
SIMULATED = {path.stem for path in (ROOT / "sim/tests").glob("*.rs")}
LIMIT_S = 300  # of one run of cargo: some faults make a test run for ever
ENDLESS, DEAD = "runs for ever", "the process dies"
# Fast enough to run, and built anew in seconds; the same random cases for every fault.
ENV = {key: value for key, value in os.environ.items() if key != "CI"} | {
    "CARGO_TARGET_DIR": str(WORK / "build"),
    "CARGO_INCREMENTAL": "1",
    "CARGO_PROFILE_RELEASE_LTO": "false",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
    "PROPTEST_CASES": "400",
    "PROPTEST_RNG_SEED": "1",
    "PROPTEST_MAX_SHRINK_TIME": "1",
}


@dataclass
class Mutation:
    """A fault: texts of a file below `core/src`, each there once, and what stands in their places."""

    group: str
    file: str
    what: str
    old: str | list[str]
    new: str | list[str]
    breaks: str
    shown_by: list[str] = field(default_factory=list)
    survives: str = ""

    def __post_init__(self) -> None:
        self.key = json.dumps([self.file, self.old, self.new, self.shown_by])
        text = (ROOT / "core/src" / self.file).read_text()
        old, new = ([one] if isinstance(one, str) else one for one in (self.old, self.new))
        if faults := [one for one in old if text.count(one) != 1]:
            raise SystemExit(f"{self.file}: not there once: {faults}")
        names = re.findall(r"\bfn (\w+)", text[: text.index(old[0]) + len(old[0])])
        self.where = " ".join(f"`{name}`" for name in [self.file, *names[-1:]])
        for one, other in zip(old, new, strict=True):
            text = text.replace(one, other)
        self.mutated = text


def copy_tree() -> None:
    """Makes the tree to be broken the same as the checkout, and touches nothing that is the same already."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout.decode()
    copies = {TREE / name: ROOT / name for name in listed.split("\0") if (ROOT / name).is_file()}
    for stale in {path for path in TREE.rglob("*") if path.is_file()} - set(copies):
        stale.unlink()
    for copy, source in copies.items():
        if not copy.exists() or copy.read_bytes() != source.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
    if TRACES.is_dir() and not (beside := WORK / TRACES.name).exists():
        beside.symlink_to(TRACES)


def failures(*arguments: str, package: str = "tidegate") -> list[str]:
    """The tests of a package that fail of those that cargo is told to run, as `suite::test`."""
    command = ["cargo", "test", "--release", "--package", package, "--no-fail-fast", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=TREE, env=ENV, start_new_session=True, **pipes) as running:
        try:
            output, _ = running.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            return [ENDLESS]
    if "could not compile" in output:
        raise SystemExit(output[-4000:])
    found, suite = [], ""
    for line in output.splitlines():
        if begins := re.match(r"\s*Running (?:unittests )?(?:tests|src)/(\w+)\.rs", line):
            suite = begins[1]
        elif fails := re.match(r"test (\S+) (?:- should panic )?\.\.\. FAILED", line):
            found.append(f"{suite}::{fails[1]}")
    return sorted(found) or [DEAD] * (running.returncode != 0)


def package_of(test: str) -> str:
    """The package of a test that is named as `suite::test`."""
    return "tidegate-sim" if test.split("::", maxsplit=1)[0] in SIMULATED else "tidegate"


def caught_by(mutation: Mutation) -> list[str]:
    """The tests that notice: the comparison and those that should; where none does, all that do."""
    caught = failures("--test", "against_reference")
    for package in ("tidegate", "tidegate-sim"):
        names = [name for name in mutation.shown_by if package_of(name) == package]
        if suites := sorted({name.split("::")[0] for name in names}):
            where = [flag for suite in suites for flag in (["--lib"] if suite == "lib" else ["--test", suite])]
            exact = ["--", "--exact", *(name.split("::", 1)[1] for name in names)]
            caught += failures(*where, *exact, package=package)
    return caught or failures("--lib", "--tests")


def fault_of(mutation: Mutation, caught: list[str]) -> str:
    """What is wrong with the tests or the explanation, if anything is."""
    if blind := [name for name in mutation.shown_by if not {name, ENDLESS, DEAD} & set(caught)]:
        return f"not noticed by {', '.join(blind)}"
    wrong = "explained, and noticed" if caught else "nobody notices"
    return wrong if bool(caught) == bool(mutation.survives) else ""


def row(mutation: Mutation, caught: list[str]) -> str:
    """The mutation as a row of the page."""
    compared = [name for name in sorted(caught) if name.startswith("against_reference::")]
    names = compared[:1] + [name for name in caught if name not in compared]
    shown = ", ".join(f"`{name.split('::')[-1]}`" if "::" in name else name for name in names[:4])
    shown += f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f"| {mutation.where} | {mutation.what} | {mutation.breaks} | {shown or mutation.survives} |"


def main() -> None:
    """Runs what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="those of which some field contains the text")
    parser.add_argument("--resume", action="store_true", help="without those that earlier runs tried")
    parser.add_argument("--page", action="store_true", help="write docs/MUTATIONS.md when all were tried")
    options = parser.parse_args()
    listed = tomllib.loads(Path(__file__).with_name("mutations.toml").read_text())
    groups = {group: [Mutation(group, **fields) for fields in rows] for group, rows in listed.items()}
    mutations = [mutation for group in groups.values() for mutation in group]
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    asked = [one for one in mutations if options.only in str(one) and not (options.resume and one.key in results)]
    for number, mutation in enumerate(asked, 1):
        copy_tree()
        (TREE / "core/src" / mutation.file).write_text(mutation.mutated)
        results[mutation.key] = caught_by(mutation)
        RESULTS.write_text(json.dumps(results))
        print(f"{number}/{len(asked)} {row(mutation, results[mutation.key])}", flush=True)
    tried = [one for one in mutations if one.key in results]
    if options.page and tried == mutations:
        head = "\n| where | fault | breaks | noticed by |\n| --- | --- | --- | --- |\n"
        rows = {group: "\n".join(row(one, results[one.key]) for one in ones) for group, ones in groups.items()}
        tables = [f"\n## {group}\n{head}{table}\n" for group, table in rows.items()]
        PAGE.write_text(PAGE.read_text().partition(MARK)[0] + MARK + "".join(tables))
    faults = [f"{one.where}: {one.what}: {fault}" for one in tried if (fault := fault_of(one, results[one.key]))]
    sys.exit("\n".join(faults) or None)


if __name__ == "__main__":
    main()
