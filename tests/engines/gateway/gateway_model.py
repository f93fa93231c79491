"""A tiny Llama with random weights and a tokenizer of words, as files, the same for all servers; nothing is downloaded.

usage: gateway_model.py FOLDER
"""

import json
import sys
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

VOCABULARY = 512
LONGEST = 2_048
TEMPLATE = "{% for message in messages %}{{ message['content'] }} {% endfor %}"


def write(folder: Path) -> None:
    """Writes weights, config and tokenizer."""
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=LONGEST,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        # Wide enough that one token is clearly the likeliest: servers add in different orders.
        initializer_range=0.3,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).to(torch.float32).save_pretrained(folder)
    words = ["<unk>", "<s>", "</s>", *(f"t{token}" for token in range(3, VOCABULARY))]
    special = [
        {"id": token, "content": word, "special": True, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False}
        for token, word in enumerate(words[:3])
    ]  # fmt: skip
    vocabulary = {word: token for token, word in enumerate(words)}
    tokenizer = {
        "version": "1.0",
        "added_tokens": special,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    }
    about = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "chat_template": TEMPLATE,
        "model_max_length": LONGEST,
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps(about))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
