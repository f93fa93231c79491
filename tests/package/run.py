"""Installs the C library into a folder of its own, and builds and runs programs from there by pkg-config and CMake."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import steps
from steps import VERSION
from toolchain import AT_MOST_S, ROOT, output

CONSUMER = Path(__file__).resolve().parent / "consumer"
WORK = steps.WORK / "c"
PREFIX = WORK / "prefix"
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
LANGUAGES = {"c": ["cc", "-std=c99"], "cpp": ["c++", "-std=c++17"]}
SAYS = "ok\n"


def abi_version() -> str:
    """The number in the header."""
    (version,) = re.findall(r"^#define TIDEGATE_ABI_VERSION (\d+)$", (ROOT / "include/tidegate.h").read_text(), re.M)
    return str(version)


def dynamic(file: Path, tag: str) -> set[str]:
    """What the dynamic section of a library or program names by this tag."""
    return set(re.findall(rf"\({tag}\).*\[(.+)\]", output("readelf", "-d", file)))


def installed_files() -> None:
    """All that a host needs is there, and nothing else."""
    found = {str(file.relative_to(PREFIX)) for file in PREFIX.rglob("*") if not file.is_dir()}
    headers = {str(file.relative_to(ROOT)) for file in (ROOT / "include").rglob("*.h*")}
    (whole_name,) = (PREFIX / "lib").glob("libtidegate.so.*.*.*")
    libraries = ["libtidegate.a", "libtidegate.so", f"libtidegate.so.{abi_version()}", whole_name.name]
    package = ["tidegate-config.cmake", "tidegate-config-version.cmake"]
    others = [f"lib/{name}" for name in libraries] + [f"share/cmake/tidegate/{name}" for name in package]
    notices = ["LICENSE-APACHE", "LICENSE-MIT", "LICENSE-THIRD-PARTY", "tidegate-ffi.cdx.json"]
    others += [f"share/doc/tidegate/{name}" for name in notices]
    assert found == {*headers, *others, "lib/pkgconfig/tidegate.pc"}, sorted(found)


def shared_library() -> None:
    """Its soname is the version of the ABI, and it exports the golden list."""
    library = PREFIX / "lib/libtidegate.so"
    assert dynamic(library, "SONAME") == {f"libtidegate.so.{abi_version()}"}
    listing = output("nm", "-D", "--defined-only", library)
    names = [line.split()[-1] for line in listing.splitlines()]
    assert names == (ROOT / "ffi/tests/symbols.txt").read_text().split()


def pkg_config(*what: str) -> list[str]:
    """The words that pkg-config gives for the library."""
    return output("pkg-config", *what, "tidegate", env={"PKG_CONFIG_PATH": str(PREFIX / "lib/pkgconfig")}).split()


def built_by_pkg_config() -> Iterator[tuple[Path, str]]:
    """Programs in C and C++, with the shared library and with the static one."""
    assert pkg_config("--modversion") == [VERSION]
    for language, compiler in LANGUAGES.items():
        for kind in ("shared", "static"):
            if kind == "shared":
                libraries = [*pkg_config("--libs"), f"-Wl,-rpath,{PREFIX}/lib"]
            else:
                words = pkg_config("--static", "--libs")
                libraries = ["-l:libtidegate.a" if word == "-ltidegate" else word for word in words]
            program = WORK / f"{language}-{kind}"
            source = CONSUMER / f"main.{language}"
            output(*compiler, *STRICT, *pkg_config("--cflags"), source, *libraries, "-o", program)
            yield program, kind


def configure(prefix: Path, *options: str, source: Path = CONSUMER) -> bool:
    """Whether CMake finds what the consumer asks for."""
    build = WORK / "build"
    shutil.rmtree(build, ignore_errors=True)
    command = ["cmake", "-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}", *options]
    return subprocess.run(command, capture_output=True, check=False, timeout=AT_MOST_S).returncode == 0


def built_by_cmake(prefix: Path) -> Iterator[tuple[Path, str]]:
    """The same programs, and those that leave the choice to BUILD_SHARED_LIBS."""
    for chosen, shared in (("shared", "ON"), ("static", "OFF")):
        assert configure(prefix, f"-DBUILD_SHARED_LIBS={shared}"), "CMake does not find the package"
        output("cmake", "--build", WORK / "build")
        for language in LANGUAGES:
            for kind in ("shared", "static", "tidegate"):
                yield WORK / "build" / f"{language}-{kind}", chosen if kind == "tidegate" else kind


def needs_of_the_static_library() -> None:
    """CMake's list of them is the one that cargo-c has from rustc, and wrote for pkg-config."""
    package = (ROOT / "ffi/cmake/tidegate-config.cmake").read_text()
    (by_cmake,) = re.findall(r"^  set\(_tidegate_static_needs (.+)\)$", package, re.M)
    by_pkg_config = set(pkg_config("--static", "--libs-only-l")) - {"-ltidegate", "-lc"}  # compilers bring libc
    assert {f"-l{name}" for name in by_cmake.split()} == by_pkg_config, sorted(by_pkg_config)


def cmake_refuses(prefix: Path) -> None:
    """Another version, and a library that was not installed."""
    asks = WORK / "asks"
    asks.mkdir(exist_ok=True)
    lists = "cmake_minimum_required(VERSION 3.15)\nproject(asks C)\nfind_package(tidegate {} REQUIRED)\n"
    major, minor, patch = map(int, VERSION.split("."))
    for version, serves in {
        "": True,
        VERSION: True,
        f"{VERSION} EXACT": True,
        f"{major}.{minor}.{patch + 1}": False,
        f"{major}.{minor + 1}": False,
        f"{major + 1}.0": False,
    }.items():
        (asks / "CMakeLists.txt").write_text(lists.format(version))
        assert configure(prefix, source=asks) == serves, f"find_package(tidegate {version})"
    (prefix / "lib/libtidegate.a").unlink()
    (asks / "CMakeLists.txt").write_text(lists.format(""))
    assert configure(prefix, source=asks), "the shared library alone is a package"
    assert not configure(prefix), "the consumer asks for the static library, which is not there"


def runs(program: Path, kind: str) -> None:
    """The program runs, with the library that it was to have."""
    assert output(program) == SAYS, program
    needs_us = f"libtidegate.so.{abi_version()}" in dynamic(program, "NEEDED")
    assert needs_us == (kind == "shared"), f"{program} has the wrong library"
    print(f"{program.relative_to(WORK)} runs")


def main() -> None:
    shutil.rmtree(WORK, ignore_errors=True)
    output("make", "--no-print-directory", "-C", ROOT, "install", f"PREFIX={PREFIX}", "PROFILE=dev", "DESTDIR=")
    installed_files()
    shared_library()
    for program, kind in built_by_pkg_config():
        runs(program, kind)
    needs_of_the_static_library()
    moved = PREFIX.rename(WORK / "moved")
    for program, kind in built_by_cmake(moved):
        runs(program, kind)
    cmake_refuses(moved)
    shutil.rmtree(moved)


main()
