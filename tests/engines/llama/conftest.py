"""What the tests of the llama.cpp host share: the program and a model, made once."""

from pathlib import Path

import llama_model
import pytest
from llama_run import Host, build_host


@pytest.fixture(scope="session")
def program() -> Path:
    return build_host()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    llama_model.write(path)
    return path


@pytest.fixture(scope="module")
def host(program: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Host:
    return Host(program, model, tmp_path_factory.mktemp("run"))
