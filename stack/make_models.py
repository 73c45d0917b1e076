# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy>=1.26", "tokenizers>=0.20"]
# ///
"""Make tiny Llama models with random weights, which real vLLM loads and serves on a CPU.

    uv run --script stack/make_models.py FOLDER

FOLDER/tiny has weights (5 MB) and is for functional tests; FOLDER/small is a config alone, slow enough to queue
on, and wants `--load-format dummy`. What tiny generates is noise, but visible noise (letters, digits and signs),
and it never ends by itself: an answer is as long as was asked. The same files come out every time.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

VOCABULARY = 512
# Sorted, so that every machine gives a byte the same id.
TOKENS = ["<s>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
SPECIAL_TOKENS = TOKENS[:3]
PRINTABLE = [id_ for id_, token in enumerate(TOKENS) if len(token) == 1 and "!" <= token <= "~"]
CHAT_TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


def main(folder: Path) -> None:
    """Write both models under the folder."""
    tiny = config(hidden=256, intermediate=512, layers=4, heads=4, kv_heads=2)
    small = config(hidden=768, intermediate=2048, layers=12, heads=12, kv_heads=4)
    for name, model in {"tiny": tiny, "small": small}.items():
        target = folder / name
        target.mkdir(parents=True, exist_ok=True)
        write_json(target / "config.json", model)
        write_tokenizer(target)
    write_weights(folder / "tiny" / "model.safetensors", tiny)
    for path in (folder, *folder.rglob("*")):
        # An engine without privileges, whoever it runs as, must be able to read them.
        path.chmod(0o755 if path.is_dir() else 0o644)


def config(*, hidden: int, intermediate: int, layers: int, heads: int, kv_heads: int) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": VOCABULARY,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": hidden // heads,
        "max_position_embeddings": 4096,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "torch_dtype": "bfloat16",
    }


def write_tokenizer(folder: Path) -> None:
    """Write a tokenizer in which one byte is one token, so that text length is token count."""
    ids = {token: id_ for id_, token in enumerate(TOKENS)}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL_TOKENS)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "model_max_length": 4096,
            "clean_up_tokenization_spaces": False,
            "chat_template": CHAT_TEMPLATE,
        },
    )


def write_weights(path: Path, model: dict[str, object]) -> None:
    """Write the parameters as one safetensors file: header length, JSON header, then the numbers."""
    rng = np.random.default_rng(0)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data = bytearray()
    for name, shape in shapes(model):
        values = np.ones(shape, np.float32) if len(shape) == 1 else rng.normal(0, 0.02, shape).astype(np.float32)
        if name == "lm_head.weight":
            # All other tokens get a logit of 0, far below the best of these.
            values = np.zeros(shape, np.float32)
            values[PRINTABLE] = rng.normal(0, 0.25, (len(PRINTABLE), shape[1]))
        begin = len(data)
        # bfloat16 is the upper half of a float32; numpy has no such type, the file format does.
        data += (values.view(np.uint32) >> 16).astype("<u2").tobytes()
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, len(data)]}
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + data)


def shapes(model: dict[str, object]) -> list[tuple[str, tuple[int, ...]]]:
    """Return the parameters of a Llama, by the names its loader expects."""
    hidden, inner, vocabulary = (int(str(model[k])) for k in ("hidden_size", "intermediate_size", "vocab_size"))
    kv = int(str(model["num_key_value_heads"])) * int(str(model["head_dim"]))
    result: list[tuple[str, tuple[int, ...]]] = [("model.embed_tokens.weight", (vocabulary, hidden))]
    for layer in range(int(str(model["num_hidden_layers"]))):
        at = f"model.layers.{layer}"
        result += [
            (f"{at}.self_attn.q_proj.weight", (hidden, hidden)),
            (f"{at}.self_attn.k_proj.weight", (kv, hidden)),
            (f"{at}.self_attn.v_proj.weight", (kv, hidden)),
            (f"{at}.self_attn.o_proj.weight", (hidden, hidden)),
            (f"{at}.mlp.gate_proj.weight", (inner, hidden)),
            (f"{at}.mlp.up_proj.weight", (inner, hidden)),
            (f"{at}.mlp.down_proj.weight", (hidden, inner)),
            (f"{at}.input_layernorm.weight", (hidden,)),
            (f"{at}.post_attention_layernorm.weight", (hidden,)),
        ]
    return [*result, ("model.norm.weight", (hidden,)), ("lm_head.weight", (vocabulary, hidden))]


def write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_models.py FOLDER")
    main(Path(sys.argv[1]))
