"""A tiny random model in the GGUF format, made anew for each run of the tests: nothing is downloaded.

Its attention is *sharp*: queries and keys are so large that each head reads one cell and gives every other the weight
0, exactly. Where the cells of a sequence lie, and what else is in a batch, then changes no sum by even a bit, so tests
may compare outputs, and the logits behind them, bit for bit.
"""

import sys
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

VOCABULARY = 512
WIDTH = 64
BLOCKS = 3
HEADS = 4
KV_HEADS = 4
FEED_FORWARD = 128
CONTEXT = 2048

EVEN = WIDTH**-0.5
# Numbers of queries and keys are some 6000: their products differ by millions, and 16 bits still hold them.
SHARP = 6000 * EVEN


def write(path: Path, seed: int = 1) -> None:
    """Writes the model; the same seed gives the same bytes."""
    writer = gguf.GGUFWriter(path, "llama")
    _add_shape(writer)
    _add_vocabulary(writer)
    _add_weights(writer, np.random.default_rng(seed))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: gguf.GGUFWriter) -> None:
    writer.add_vocab_size(VOCABULARY)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(BLOCKS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_context_length(CONTEXT)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def _add_vocabulary(writer: gguf.GGUFWriter) -> None:
    """Three control tokens, the 256 bytes, and words that no prompt has: a prompt is one token for each byte."""
    control = ["<unk>", "<s>", "</s>"]
    octets = [f"<0x{byte:02X}>" for byte in range(256)]
    words = [f"tok{number}" for number in range(len(control) + len(octets), VOCABULARY)]
    writer.add_tokenizer_model("llama")
    writer.add_token_list([*control, *octets, *words])
    writer.add_token_scores([0.0] * VOCABULARY)
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.BYTE] * len(octets) + [gguf.TokenType.NORMAL] * len(words)
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def _add_weights(writer: gguf.GGUFWriter, random: np.random.Generator) -> None:
    def add(name: str, rows: int, columns: int, deviation: float) -> None:
        weights: npt.NDArray[np.float32] = random.normal(0.0, deviation, (rows, columns)).astype(np.float32)
        writer.add_tensor(name, weights)

    def add_ones(name: str) -> None:
        writer.add_tensor(name, np.ones(WIDTH, np.float32))

    kv_width = WIDTH // HEADS * KV_HEADS
    add("token_embd.weight", VOCABULARY, WIDTH, 1.0)
    add("output.weight", VOCABULARY, WIDTH, EVEN)
    add_ones("output_norm.weight")
    for block in range(BLOCKS):
        add_ones(f"blk.{block}.attn_norm.weight")
        add(f"blk.{block}.attn_q.weight", WIDTH, WIDTH, SHARP)
        add(f"blk.{block}.attn_k.weight", kv_width, WIDTH, SHARP)
        add(f"blk.{block}.attn_v.weight", kv_width, WIDTH, EVEN)
        add(f"blk.{block}.attn_output.weight", WIDTH, WIDTH, EVEN)
        add_ones(f"blk.{block}.ffn_norm.weight")
        add(f"blk.{block}.ffn_gate.weight", FEED_FORWARD, WIDTH, EVEN)
        add(f"blk.{block}.ffn_up.weight", FEED_FORWARD, WIDTH, EVEN)
        add(f"blk.{block}.ffn_down.weight", WIDTH, FEED_FORWARD, FEED_FORWARD**-0.5)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
