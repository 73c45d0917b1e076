"""What vLLM's profiling run takes beside the weights: activations at their peak, libraries, CUDA graphs.

At start-up vLLM runs `max_num_batched_tokens` tokens through the model and samples for `max_num_seqs` sequences at
once; what that takes is kept free of KV cache (vllm/v1/worker/gpu_model_runner.py, `profile_run`). Activations are
counted tensor by tensor, as its code allocates them; constants that no code tells are fitted, as said beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

from enova.core.engine.model_card import ModelCard
from enova.core.engine.numbers import Numbers
from enova.core.engine.setup import EngineSetup
from enova.core.engine.versions import behaviour_of

_MIB = 1 << 20
_GIB = 1 << 30

MULTIPROCESSORS = 132
"""Rows of the buffer that vLLM's top-k kernel keeps, one a multiprocessor; of an H100, others differ little."""
PIXELS_PER_TOKEN = {"Gemma3ForConditionalGeneration": 56 * 56}
"""Pixels of an image behind one token of the language model, where not 28 x 28 (patches of 14, merged by 2)."""
LATENT_WORKSPACE_TOKENS = 65_536
"""Of the context that prefill with latent attention unpacks at once, at most."""

GRAPHS_FITTED_SIZES = 51
"""The sizes that CUDA graphs were captured for in the starts that their memory is fitted to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overheads:
    """What no code tells, fitted to real starts: of vLLM 0.19 on H100 unless said otherwise.

    `benchmarks/memory_left_out.py` fits them anew, with any model left out.
    """

    hidden_copies: float = 3.8
    """Hidden states alive beside the MLP's own, where a layer needs most."""
    libraries_bytes: float = 0.25 * _GIB
    """Kernels loaded while profiling, one GPU."""
    libraries_elsewhere_bytes: float = 0.60 * _GIB
    """The same on other than Hopper GPUs; of a single start on an RTX 4090."""
    libraries_of_many_bytes: float = 0.07 * _GIB
    """The same where collectives ran before vLLM looks at the memory first."""
    collectives_bytes: float = 1.97 * _GIB
    """What NCCL takes at the first all-reduce over NVLink."""
    collectives_per_doubling_bytes: float = 0.06 * _GIB
    pcie_collectives_bytes: float = 0.13 * _GIB
    """The same without NVLink; of one log, 16 x RTX 3090, vLLM 0.8 (vllm-project/vllm, pull request 14447)."""
    graphs_bytes: float = 0.40 * _GIB
    graphs_per_layer_bytes: float = 0.0145 * _GIB


OVERHEADS = Overheads()


def activation_bytes(setup: EngineSetup, overheads: Overheads = OVERHEADS) -> tuple[float, ...]:
    """Return the peak of activations on one GPU of each pipeline stage."""
    stages = setup.pipeline_parallel
    held = _workspace_of_products(setup) + _workspace_of_experts(setup)
    peaks = []
    for stage in range(stages):
        peak = _forward(setup, overheads)
        if stage == stages - 1:
            peak = max(peak, _sampling(setup))
        if stage == 0:
            peak += _images(setup)
        if stages > 1:
            # Hidden state and residual, received or to be sent.
            peak += 2 * _hidden(setup)
        peaks.append(held + peak)
    return tuple(peaks)


def other_bytes(setup: EngineSetup, overheads: Overheads = OVERHEADS) -> float:
    """Return what is neither weights nor PyTorch's: kernels, and buffers of collectives."""
    capability = setup.gpu.compute_capability
    on_hopper = capability is not None and capability[0] == 9
    ranks = setup.tensor_parallel * (setup.data_parallel if setup.model.experts else 1)
    if setup.gpus == 1:
        return overheads.libraries_bytes if on_hopper else overheads.libraries_elsewhere_bytes
    if ranks == 1:
        return overheads.libraries_of_many_bytes
    if not setup.gpu.link.startswith("nvlink"):
        return overheads.libraries_of_many_bytes + overheads.pcie_collectives_bytes
    doublings = ranks.bit_length() - 1
    collectives = overheads.collectives_bytes + overheads.collectives_per_doubling_bytes * doublings
    return overheads.libraries_of_many_bytes + collectives


def graph_bytes(setup: EngineSetup, overheads: Overheads = OVERHEADS) -> float:
    """Return what CUDA graphs take on one GPU."""
    layers = -(-setup.model.layers // setup.pipeline_parallel)
    whole = overheads.graphs_bytes + overheads.graphs_per_layer_bytes * layers
    return whole * len(setup.cudagraph_sizes) / GRAPHS_FITTED_SIZES


def _sampling(setup: EngineSetup) -> float:
    """Logits in the model's format and in fp32, probabilities, random numbers: for all sequences at once."""
    model, known = setup.model, behaviour_of(setup.vllm)
    rows = min(setup.max_num_seqs, setup.max_num_batched_tokens)
    width = _width(model)
    lean = known.lean_sampler_experts if model.experts else known.lean_sampler_dense
    logits = float(rows * model.vocab_size * width)
    if not lean:
        copies = 2 if width == 4 else 3
        logits += 4 * model.vocab_size * (copies * rows + min(rows, MULTIPROCESSORS))
    return logits + _hidden(setup) + 2 * rows * model.hidden_size * width


def _forward(setup: EngineSetup, overheads: Overheads) -> float:
    """One layer at its widest: the MLP's input and gate, its activation, and the hidden states around it."""
    model = setup.model
    wide = max(model.intermediate_size, model.experts.shared_intermediate_size if model.experts else 0)
    matrices = 3 if model.gated else 2
    peak = matrices * setup.max_num_batched_tokens * wide / setup.tensor_parallel * _width(model)
    if model.latent:
        tokens = min(8 * setup.max_model_len, LATENT_WORKSPACE_TOKENS)
        heads = model.attention[0].heads / setup.tensor_parallel
        peak = max(peak, tokens * heads * (model.latent.nope_dim + model.latent.v_dim) * _width(model))
    return peak + overheads.hidden_copies * _hidden(setup)


def _workspace_of_products(setup: EngineSetup) -> float:
    """PyTorch's workspace for cuBLAS, by compute capability."""
    capability = setup.gpu.compute_capability
    return 32.0 * _MIB if capability and capability[0] >= 9 else 8.125 * _MIB


def _workspace_of_experts(setup: EngineSetup) -> float:
    """Two buffers, kept from the first step on: what goes up for every token and expert, and what comes down.

    Kernels for MXFP4 make do with one (vllm/model_executor/layers/fused_moe, `workspace_shapes`).
    """
    model, experts = setup.model, setup.model.experts
    if experts is None:
        return 0.0
    inner: float = experts.intermediate_size
    if not setup.expert_parallel:
        inner /= setup.tensor_parallel * setup.data_parallel
    up, down = max(2 * inner, model.hidden_size), max(inner, model.hidden_size)
    widths = inner if model.formats.experts is Numbers.MXFP4 else up + down
    return setup.data_parallel * setup.max_num_batched_tokens * experts.per_token * widths * 2


def _images(setup: EngineSetup) -> float:
    """Pixels of as many images as one step holds, and what the vision tower made of them."""
    model = setup.model
    if not model.vision_parameters:
        return 0.0
    pixels = PIXELS_PER_TOKEN.get(model.architecture, 28 * 28)
    return setup.max_num_batched_tokens * (3 * pixels + model.hidden_size) * 2


def _hidden(setup: EngineSetup) -> float:
    return setup.max_num_batched_tokens * setup.model.hidden_size * _width(setup.model)


def _width(model: ModelCard) -> float:
    return 4.0 if model.formats.embedding is Numbers.FP32 else 2.0
