"""What artefacts say of themselves: their version, the code of others in them; and that their archives are whole."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import contents
import licences
import pytest
import sbom
from toolchain import ROOT, output

import tidegate

# Links, or copies where a file system has none: each to the file of the same name in that folder.
COPIES = {
    "core/GUIDE.md": "docs",
    "core/LICENSE-APACHE": ".",
    "core/LICENSE-MIT": ".",
    "core/tests/fixtures/LIMITS.md": "docs",
    "core/tests/fixtures/every_verb.journal": "tests",
    "python/LICENSE-APACHE": ".",
    "python/LICENSE-MIT": ".",
    "python/LICENSE-THIRD-PARTY": ".",
}


def manifest(folder: str) -> dict:
    return tomllib.loads((ROOT / folder / "Cargo.toml").read_text())


def test_all_say_the_same_version() -> None:
    workspace = manifest(".")["workspace"]
    version = workspace["package"]["version"]
    for folder in workspace["members"]:
        assert manifest(folder)["package"]["version"] == {"workspace": True}, folder
    for name in ("tidegate", "tidegate-deploy"):
        assert workspace["dependencies"][name]["version"] == f"={version}"
    assert tidegate.__version__ == version
    (macro,) = re.findall(r'^#define TIDEGATE_VERSION "(.+)"$', (ROOT / "include/tidegate.h").read_text(), re.MULTILINE)
    assert macro == version
    cmake = (ROOT / "ffi/cmake/tidegate-config-version.cmake").read_text()
    assert f'set(PACKAGE_VERSION "{version}")' in cmake
    # What is being written has no number yet; below it stands what was released, the newest first.
    released = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[0] in ("Unreleased", version)
    assert all(name < version for name in released[1:]) or released[:2] == ["Unreleased", version]


def test_all_say_the_same_version_of_the_abi() -> None:
    (macro,) = re.findall(
        r"^#define TIDEGATE_ABI_VERSION (\d+)$", (ROOT / "include/tidegate.h").read_text(), re.MULTILINE
    )
    assert manifest("ffi")["package"]["metadata"]["capi"]["library"]["version"].split(".")[0] == macro


def test_the_page_of_licences_is_what_the_lock_file_says() -> None:
    page = (ROOT / "LICENSE-THIRD-PARTY").read_text()
    assert page.startswith(licences.crates()), "make notices"
    (version,) = re.findall(r"^The Rust standard library (\S+),", page, re.MULTILINE)
    if version == contents.toolchain():
        assert page == f"{licences.crates()}\n{licences.standard()}", "make notices"


@pytest.mark.parametrize("package", contents.ARTEFACTS.values())
def test_a_bill_of_materials_is_what_the_lock_file_says(package: str) -> None:
    """But for the toolchain, which may be a newer one here."""

    def crates(bill: str) -> tuple[list[dict], dict]:
        parsed = json.loads(bill)
        return [part for part in parsed["components"] if part["name"] != "std"], parsed["metadata"]

    assert crates(sbom.page(package).read_text()) == crates(sbom.bill(package)), "make notices"


def test_a_crate_without_a_licence_is_not_passed_over() -> None:
    assert contents.of_others(f"tidegate v0.1.0 ({ROOT}/core)|") is None
    assert contents.of_others("serde v1.0.228|MIT OR Apache-2.0") == contents.Crate(
        "serde", "1.0.228", "MIT OR Apache-2.0"
    )
    for source in ("", " (https://example.org/x#1)"):
        with pytest.raises(SystemExit, match=r"bare 0\.1\.0 names no licence"):
            contents.of_others(f"bare v0.1.0{source}|")


def test_a_bill_of_materials_is_the_same_on_every_machine() -> None:
    for package in contents.ARTEFACTS.values():
        bill = json.loads(sbom.page(package).read_text())
        names = [part["purl"] for part in bill["components"]]
        assert len(set(names)) == len(names) > 20
        assert bill["dependencies"] == [{"ref": package, "dependsOn": names}]
        assert not {"serialNumber", "timestamp"} & {*bill, *bill["metadata"]}
        assert str(ROOT) not in sbom.page(package).read_text()


def test_a_crate_without_its_licence_is_not_passed_over() -> None:
    with pytest.raises(SystemExit, match=r"nobody 1\.0\.0 brings no MIT licence"):
        contents.required("nobody 1.0.0", {"LICENSE-APACHE": "Apache License"})
    texts = {"LICENSE-MIT": contents.MIT, "LICENSE-APACHE": "Apache License", "NOTICE": "by somebody"}
    assert contents.required("somebody 1.0.0", texts) == [contents.MIT, "by somebody"]


@pytest.mark.parametrize("copy", COPIES)
def test_what_an_archive_needs_from_elsewhere_is_the_same_there(copy: str) -> None:
    original = ROOT / COPIES[copy] / Path(copy).name
    assert (ROOT / copy).read_bytes() == original.read_bytes()


def test_the_crate_reads_nothing_that_its_archive_has_not() -> None:
    command = ["cargo", "package", "--locked", "--list", "--allow-dirty", "--package", "tidegate"]
    listed = set(output(*command).split())
    assert {"GUIDE.md", "LICENSE-MIT", "LICENSE-APACHE", "README.md", "tests/fixtures/every_verb.journal"} <= listed
    assert "tests/house.rs" not in listed, "it looks at the crates beside it"
    outside = subprocess.run(
        ["grep", "-rnE", r'include_(str|bytes)!\("(\.\./){2,}|CARGO_MANIFEST_DIR"\), "/\.\.', "core/src", "core/tests"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert outside.stdout == "", "a crate alone cannot read that"
