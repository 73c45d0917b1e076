"""`enova models`."""

from __future__ import annotations

import json

from enova.cli.models import complete_model
from tests.cli.terminal import Machine


def test_all_models_are_listed(machine: Machine) -> None:
    shown = machine.enova("models")
    lines = shown.out.splitlines()

    assert lines[0].split() == ["MODEL", "PARAMETERS", "ACTIVE", "WEIGHTS", "FORMAT", "KV/TOKEN", "LENGTH"]
    assert len(lines) > 60
    assert (shown.code, shown.err) == (0, "")


def test_part_of_a_name_lists_those_that_have_it(machine: Machine) -> None:
    lines = machine.enova("models", "OpenAI/gpt").out.splitlines()[1:]

    assert [line.split() for line in lines] == [
        ["openai/gpt-oss-120b", "117", "B", "5.13", "B", "65.2", "GB", "mxfp4", "72", "KiB", "131072"],
        ["openai/gpt-oss-20b", "20.9", "B", "3.61", "B", "13.7", "GB", "mxfp4", "48", "KiB", "131072"],
    ]


def test_one_model_is_shown_in_full(machine: Machine) -> None:
    assert machine.enova("models", "openai/GPT-OSS-20b", "--offline").out == (
        "openai/gpt-oss-20b\n"
        "  architecture  GptOssForCausalLM\n"
        "  parameters    20.9 B, 3.61 B of them for each token\n"
        "  weights       13.7 GB, counted from the architecture\n"
        "  layers        24, 2880 wide, MLP of experts only\n"
        "  attention     12 layers that see the last 128 tokens: 64 heads, 8 for keys and values, 64 wide\n"
        "  attention     12 layers that see everything: 64 heads, 8 for keys and values, 64 wide\n"
        "  experts       24 layers, 4 of 32 for each token, 2880 wide\n"
        "  vocabulary    201088\n"
        "  formats       attention bf16, mlp bf16, experts mxfp4, embedding bf16, activations bf16\n"
        "  KV cache      24.0 KiB a token in bf16, 24.0 KiB a token of the window\n"
        "  length        131072 tokens\n"
    )


def test_latent_attention_shared_experts_and_towers_are_named(machine: Machine) -> None:
    shown = machine.enova("models", "moonshotai/Kimi-K2.5", "--offline").out

    assert "  attention     61 layers that see everything: 64 heads, latent of 576 values\n" in shown
    assert "  experts       60 layers, 8 of 384 for each token, 2048 wide, 2048 shared\n" in shown
    assert "  beside it     466 M parameters, for pictures and the like\n" in shown


def test_a_folder_is_read(machine: Machine) -> None:
    config = {
        "architectures": ["MiniMaxM1ForCausalLM"],
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "head_dim": 16,
        "attn_type_list": [0, 1],
        "vocab_size": 1000,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
    }
    machine.write("mine/config.json", json.dumps(config))

    shown = machine.enova("models", "mine").out

    assert "  attention     1 recurrent layers, a state of 4 KiB each\n" in shown
    assert "  vocabulary    1000, head tied to it\n" in shown
    assert "0.0 MiB a sequence" in shown


def test_programs_get_the_card_and_its_figures(machine: Machine) -> None:
    told = json.loads(machine.enova("models", "Qwen/Qwen3-8B", "-o", "json").out)
    [model] = told["models"]

    assert told["schema_version"] == 1
    assert (model["layers"], model["attention"][0]["kind"], model["formats"]["mlp"]) == (36, "full", "bf16")
    assert model["summary"]["kv_bytes_per_token"] == 36 * 8 * 256 * 2


def test_a_model_that_is_found_nowhere_is_answered_with_all_the_places(machine: Machine) -> None:
    shown = machine.enova("models", "org/nothing", "--offline")

    assert shown.code == 1
    assert shown.err.startswith("error: no model org/nothing was found: looked for org/nothing/config.json, in ")
    assert "and on the hub (not asked)" in shown.err


def test_names_are_completed() -> None:
    assert complete_model("openai/GPT") == ["openai/gpt-oss-120b", "openai/gpt-oss-20b"]
