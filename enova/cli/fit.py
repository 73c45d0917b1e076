"""`enova fit`: whether models fit on GPUs, how much KV cache is left, and what to change."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from enova.cli import setups
from enova.cli.options import Color, Paths, TextOrJson
from enova.cli.session import session_of


def fit(
    ctx: typer.Context,
    paths: Paths = None,
    model: setups.Model = None,
    gpu: setups.Gpus = None,
    gpu_memory: setups.GpuMemory = None,
    vllm: setups.Vllm = None,
    tensor_parallel_size: setups.Tensor = None,
    pipeline_parallel_size: setups.Pipeline = None,
    data_parallel_size: setups.Data = None,
    enable_expert_parallel: setups.Experts = None,
    max_model_len: setups.Length = None,
    max_num_seqs: setups.Seqs = None,
    max_num_batched_tokens: setups.Batched = None,
    gpu_memory_utilization: setups.Utilization = None,
    kv_cache_dtype: setups.KvDtype = None,
    dtype: setups.Dtype = None,
    quantization: setups.Quantization = None,
    prompt_tokens: Annotated[
        int, typer.Option("--prompt-tokens", min=0, help="Prompt of the sequences to count as well.")
    ] = 0,
    output_tokens: Annotated[
        int, typer.Option("--output-tokens", min=0, help="Output of the sequences to count as well.")
    ] = 0,
    output: TextOrJson = "text",
    color: Color = "auto",
) -> int:
    """Show whether a model fits on a GPU, how much KV cache that leaves, and what to change.

    Needs no GPU. Asks about specs, or about --model and --gpu; options replace what specs say. Exits with 0 if
    everything fits, 1 if something does not, and 64 if called wrongly.

    \b
    Examples:
      $ enova fit specs/chat.yaml
      $ enova fit --model meta-llama/Llama-3.1-70B-Instruct --gpu h100-sxm --tp 4
      $ enova fit --model Qwen/Qwen3-32B --gpu l40s --gpu h100-sxm --prompt-tokens 2000 --output-tokens 500
    """
    from enova.core.engine.fit import fit_of
    from enova.core.engine.service_setup import unmodelled
    from enova.render.fit import Judged, fits_as_json, fits_text

    session = session_of(ctx)
    length = int(max_model_len) if max_model_len and max_model_len.isdecimal() else max_model_len
    asked = setups.setups(
        session,
        paths,
        model=model,
        gpus=gpu,
        gpu_memory=gpu_memory,
        engine={
            "version": vllm,
            "tensor_parallel_size": tensor_parallel_size,
            "pipeline_parallel_size": pipeline_parallel_size,
            "data_parallel_size": data_parallel_size,
            "enable_expert_parallel": enable_expert_parallel,
            "max_model_len": length,
            "max_num_seqs": max_num_seqs,
            "max_num_batched_tokens": max_num_batched_tokens,
            "gpu_memory_utilization": gpu_memory_utilization,
            "kv_cache_dtype": kv_cache_dtype,
            "dtype": dtype,
            "quantization": quantization,
        },
    )
    judged = [
        Judged(one.service.name if one.named else None, fit_of(one.setup), unmodelled(one.service))
        for one in asked
    ]
    tokens = prompt_tokens + output_tokens
    if output == "json":
        session.stdout.write(json.dumps(fits_as_json(judged, tokens), indent=2, ensure_ascii=False) + "\n")
    else:
        session.show(fits_text(judged, tokens), color)
    return 0 if all(one.fit.starts for one in judged) else 1
