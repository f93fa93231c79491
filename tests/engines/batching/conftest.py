"""What the tests of continuous batching share: a model, and tidegate in the engine's table."""

import os

import pytest

# Nothing is looked for elsewhere: the model is made here. Before the first import of transformers.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import batching_run
from transformers import LlamaForCausalLM

import tidegate.transformers


@pytest.fixture(scope="session")
def model() -> LlamaForCausalLM:
    return batching_run.tiny_model()


@pytest.fixture(autouse=True)
def _in_the_table() -> None:
    tidegate.transformers.register(batching_run.config_of_tiers(), clock=batching_run.counting_clock())
