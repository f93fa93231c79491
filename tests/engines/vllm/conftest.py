"""What the tests inside vLLM share: a model, made once."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    subprocess.run([sys.executable, HERE / "tiny_model.py", folder], check=True, timeout=300)
    return folder
