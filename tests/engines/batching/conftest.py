"""What the tests of continuous batching share: a model, and tidegate in the engine's table."""

import batching_run
import pytest
from transformers import LlamaForCausalLM

import tidegate.transformers


@pytest.fixture(scope="session")
def model() -> LlamaForCausalLM:
    return batching_run.tiny_model()


@pytest.fixture(autouse=True)
def _in_the_table() -> None:
    tidegate.transformers.register(batching_run.config_of_tiers(), clock=batching_run.counting_clock())
