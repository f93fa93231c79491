"""Kubernetes manifests: valid for the schemas of Kubernetes, and the same through the command and through Python."""

import copy
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

import tidegate
from tidegate import kubernetes
from tidegate.deployment import Deployment

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "docs/examples/kubernetes").glob("*.yaml"))
AUTOSCALING = ROOT / "docs/examples/autoscaling"
VERSIONS = ["1.25", kubernetes_validate.latest_version()]


def objects(text: str) -> Iterator[dict[str, Any]]:
    yield from (item for item in yaml.safe_load_all(text) if item is not None)


def test_the_validator_would_find_a_fault() -> None:
    (good, *_) = objects((ROOT / "docs/examples/kubernetes/10-priority-classes.yaml").read_text())
    bad = copy.deepcopy(good)
    bad["valeu"] = bad.pop("value")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(bad, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_valid(path: Path, version: str) -> None:
    found = list(objects(path.read_text()))
    assert found
    for item in found:
        kubernetes_validate.validate(item, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_autoscalers_are_valid_and_ask_the_same(version: str) -> None:
    adapter, scaler = objects((AUTOSCALING / "hpa.yaml").read_text())
    for item in (adapter, scaler):
        kubernetes_validate.validate(item, version, strict=True)
    (rule,) = yaml.safe_load(adapter["data"]["config.yaml"])["externalRules"]
    (metric,) = scaler["spec"]["metrics"]
    assert metric["external"]["metric"]["name"] == rule["name"]["as"]
    # No schema of KEDA's own kinds is packaged: what it shares with the other is that.
    (keda,) = objects((AUTOSCALING / "keda.yaml").read_text())
    (trigger,) = keda["spec"]["triggers"]
    assert trigger["metadata"]["query"] == rule["metricsQuery"]
    assert keda["spec"]["scaleTargetRef"] == scaler["spec"]["scaleTargetRef"]
    targets = [item for path in EXAMPLES for item in objects(path.read_text()) if item["kind"] == "Deployment"]
    assert scaler["spec"]["scaleTargetRef"]["name"] in {item["metadata"]["name"] for item in targets}


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_written_is_valid_and_says_the_same(version: str) -> None:
    toml = kubernetes.import_files(EXAMPLES).toml
    written = kubernetes.export(toml)
    kinds = []
    for item in objects(written.yaml):
        kubernetes_validate.validate(item, version, strict=True)
        kinds.append(item["kind"])
    assert kinds == ["PriorityClass"] * 3 + ["ConfigMap"] * 2 + ["ResourceQuota"] * 3
    again = kubernetes.import_texts([("written.yaml", written.yaml)])
    assert Deployment.parse(again.toml) == Deployment.parse(toml)
    plugin = next(item for item in objects(written.yaml) if item["metadata"]["name"] == "nvidia-device-plugin")
    (theirs,) = objects((ROOT / "docs/examples/kubernetes/20-device-plugin.yaml").read_text())
    assert yaml.safe_load(plugin["data"]["config.yaml"]) == yaml.safe_load(theirs["data"]["config.yaml"])


def test_python_and_the_command_are_one(program: Path) -> None:
    folder = ROOT / "docs/examples/kubernetes"
    done = subprocess.run(
        [program, "config", "from-k8s", folder], capture_output=True, text=True, check=True, timeout=60
    )
    found = kubernetes.import_files([folder])
    assert found.toml == done.stdout
    lines = [
        ": ".join(filter(None, ["tidegate", note.file, note.line and f"line {note.line}", note.about, note.message]))
        for note in found.notes
    ]
    assert lines == done.stderr.splitlines()


def test_faults_have_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "class.yaml"
    path.write_text("apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: a}\nvalue: high\n")
    with pytest.raises(tidegate.ManifestError) as caught:
        kubernetes.import_files([tmp_path])
    assert caught.value.faults == ((str(path), 4, "PriorityClass a: value", "is no whole number"),)
    path.write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(tidegate.ManifestError) as caught:
        kubernetes.import_files([path])
    assert caught.value.faults[0][:2] == (str(path), 2)
    with pytest.raises(tidegate.ConfigError):
        kubernetes.export("dimensions = []")
