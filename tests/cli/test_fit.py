"""`enova fit`."""

from __future__ import annotations

import json

import pytest

from enova.core.observed import Unknown
from tests.cli.terminal import Machine

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


def test_it_shows_where_the_memory_goes(machine: Machine) -> None:
    shown = machine.enova("fit", "--model", LLAMA, "--gpu", "h100-sxm", "--vllm", "0.19.0")

    assert shown.out == (
        "meta-llama/Llama-3.1-8B-Instruct on h100-sxm, vLLM 0.19: fits\n"
        "  each GPU may use   71.27 GiB  of 79.19, gpu_memory_utilization 0.9\n"
        "  weights            14.99 GiB\n"
        "  activations         1.88 GiB  8,192 tokens and 1,024 sequences in a step\n"
        "  CUDA graphs         0.86 GiB  on top of what may be used\n"
        "  other               0.25 GiB  CUDA kernels, collectives\n"
        "  KV cache           54.15 GiB  27,723 blocks, 443,568 tokens\n"
        "  concurrency         3.38      sequences of 131,072 tokens (max_model_len)\n"
        "\n"
    )
    assert (shown.code, shown.err) == (0, "")


def test_what_does_not_fit_is_explained_and_exits_with_1(machine: Machine) -> None:
    shown = machine.enova("fit", "--model", LLAMA, "--gpu", "rtx-4090")

    assert "on rtx-4090, vLLM 0.32: does not fit\n" in shown.out
    assert "  because one sequence of 131,072 tokens needs 16.00 GiB of KV cache, and 4.95 are left\n" in shown.out
    assert "  try max_model_len: 39936, or tensor_parallel_size: 2\n" in shown.out
    assert shown.code == 1


def test_options_are_vllms_and_lengths_can_be_asked_about(machine: Machine) -> None:
    shown = machine.enova(
        *("fit", "--model", LLAMA, "--gpu", "rtx-4090", "--max-model-len", "auto", "--tp", "2"),
        *("--kv-cache-dtype", "fp8", "--prompt-tokens", "900", "--output-tokens", "100", "-o", "json"),
    )
    told = json.loads(shown.out)["fits"][0]

    assert shown.code == 0
    assert (told["fits"], told["tensor_parallel_size"], told["vllm"]) == (True, 2, "0.32")
    assert [entry["tokens"] for entry in told["concurrency"]] == [131_072, 1000]
    assert sum(told["memory_bytes"][part] for part in ("weights", "activations", "cuda_graphs", "other")) + told[
        "memory_bytes"
    ]["kv_cache"] == pytest.approx(told["memory_bytes"]["requested"], abs=5)


def test_specs_are_asked_about_for_every_gpu_they_allow(machine: Machine) -> None:
    path = machine.write(
        "specs/chat.yaml",
        f"metadata: {{name: chat}}\nmodel: {LLAMA}\nplacement: {{gpu_types: [h100-sxm, L4]}}\n"
        "engine: {max_model_len: 8192, cpu_offload_gb: 2}\n",
    )

    shown = machine.enova("fit")
    named = machine.enova("fit", path, "--gpu", "b200", "--max-model-len", "4096")

    assert f"chat: {LLAMA} on h100-sxm, vLLM 0.32: fits\n" in shown.out
    assert f"chat: {LLAMA} on l4, vLLM 0.32: fits\n" in shown.out
    assert "  note: not taken into account: cpu_offload_gb\n" in shown.out
    assert named.out.startswith(f"chat: {LLAMA} on b200, vLLM 0.32: fits\n")
    assert "sequences of 4,096 tokens (max_model_len)" in named.out


def test_without_a_gpu_named_it_is_those_of_this_host(machine: Machine) -> None:
    shown = machine.enova("fit", "--model", LLAMA)

    assert shown.out.count("on h100-sxm, vLLM 0.32: fits\n") == 1
    assert shown.code == 0


def test_on_a_host_without_any_one_must_be_named(machine: Machine) -> None:
    machine.host.gpus = ()
    shown = machine.enova("fit", "--model", LLAMA)

    assert shown.err == (
        "error: model: which GPU? There is none here\n"
        "hint: name one with --gpu or in placement.gpu_types; see `enova gpus`\n"
    )
    assert shown.code == 64


def test_gpus_that_cannot_be_looked_at_are_not_said_to_be_none(machine: Machine) -> None:
    machine.host.gpus = Unknown("the NVIDIA driver does not answer")
    shown = machine.enova("fit", "--model", LLAMA)

    assert shown.err == (
        "error: which GPU? the NVIDIA driver does not answer\n"
        "hint: name one with --gpu or in placement.gpu_types\n"
    )
    assert shown.code == 1


def test_memory_of_a_gpu_can_be_given(machine: Machine) -> None:
    arguments = ("fit", "--model", LLAMA, "--gpu", "h100-sxm", "--max-model-len", "4096", "-o", "json")
    told = json.loads(machine.enova(*arguments, "--gpu-memory", "20GiB").out)["fits"][0]

    assert told["memory_bytes"]["total"] == 20 * 1024**3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", LLAMA, "--gpu", "h100-sxm", "--tp", "0"), "error: tensor_parallel_size must be at least 1\n"),
        (("--model", LLAMA, "--gpu", "h100-sxm", "--gpu-memory", "20"), "error: --gpu-memory: "),
        (("chat.yaml", "--model", LLAMA, "--gpu", "h100-sxm"), "error: specs and --model do not go together\n"),
        (("--model", LLAMA, "--gpu", "h100-sxm", "--max-model-len", "long"), "error: max_model_len must be "),
    ],
)
def test_wrong_calls_say_what_to_do(machine: Machine, arguments: tuple[str, ...], message: str) -> None:
    shown = machine.enova("fit", *arguments)

    assert shown.err.startswith(message)
    assert "hint: " in shown.err or "must be" in shown.err
    assert (shown.code, shown.out) == (64, "")


def test_a_gpu_without_facts_is_told_with_its_nearest(machine: Machine) -> None:
    shown = machine.enova("fit", "--model", LLAMA, "--gpu", "h100-sxn")

    assert "h100-sxm" in shown.err
    assert shown.code == 1
