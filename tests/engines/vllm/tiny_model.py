"""A tiny Llama with random weights and a tokenizer of words, as vLLM loads it; nothing is downloaded.

python tests/engines/vllm/tiny_model.py FOLDER [SPREAD]
"""

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

VOCABULARY = 512


def write(folder: Path, spread: float = 0.2) -> None:
    """Config, weights from a fixed seed, and a tokenizer `<unk> <s> </s> t3 … t511` split at white space.

    The wider the weights are spread, the clearer is the likeliest token, and the less outputs repeat themselves.
    """
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=32_768,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        initializer_range=spread,
    )
    LlamaForCausalLM(config).to(torch.float32).save_pretrained(folder)
    words = {"<unk>": 0, "<s>": 1, "</s>": 2} | {f"t{number}": number for number in range(3, VOCABULARY)}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<unk>"
    )
    fast.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    fast.save_pretrained(folder)


if __name__ == "__main__":
    write(Path(sys.argv[1]), *map(float, sys.argv[2:]))
