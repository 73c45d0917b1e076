"""The matrix products one GPU computes in a step: a model's shapes, cut as its engine cuts them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from enova.core.engine.gpu_card import GpuCard
from enova.core.engine.model_card import Attention, AttentionKind, ModelCard
from enova.core.engine.numbers import Numbers
from enova.core.engine.setup import EngineSetup


class Product(NamedTuple):
    """A product of [tokens, k] and [k, n]."""

    times: float
    """How often in a step: the number of layers that have it."""
    n: float
    k: float
    weights: Numbers


def products_of(setup: EngineSetup) -> tuple[Product, ...]:
    """Return the products every token of a step goes through, but for experts and the output head."""
    model, tensor = setup.model, setup.tensor_parallel
    products = [
        Product(entry.layers * product.times, *product[1:])
        for entry in model.attention
        for product in _attention(model, entry, tensor)
    ]
    experts = model.experts
    dense_layers = model.layers - (experts.layers if experts else 0)
    if dense_layers:
        products += _mlp(model, model.intermediate_size / tensor, dense_layers)
    if experts:
        products.append(Product(experts.layers, experts.count, model.hidden_size, experts.router))
        if experts.shared_intermediate_size:
            products += _mlp(model, experts.shared_intermediate_size / tensor, experts.layers)
    return tuple(products)


def head_of(setup: EngineSetup) -> Product:
    """Return the output head, which only sequences that get a token go through."""
    model = setup.model
    return Product(1, model.vocab_size / setup.tensor_parallel, model.hidden_size, model.formats.embedding)


def computed_in(weights: Numbers, activations: Numbers, gpu: GpuCard) -> Numbers:
    """Return the format in which a GPU multiplies weights: their own where both sides and the hardware have it.

    Otherwise kernels such as Marlin widen the weights on the way, and only memory traffic is saved.
    """
    if weights in _WEIGHT_ONLY:
        return Numbers.BF16
    if weights is Numbers.NVFP4:
        return weights if weights in gpu.flops else Numbers.BF16
    if weights in _EIGHT_BITS:
        base = Numbers.INT8 if weights is Numbers.INT8 else Numbers.FP8
        if base not in gpu.flops or activations in _WIDE:
            return Numbers.BF16
        return weights
    return Numbers.FP32 if weights is Numbers.FP32 else Numbers.BF16


_WIDE = frozenset({Numbers.BF16, Numbers.FP16, Numbers.FP32})
_EIGHT_BITS = frozenset({Numbers.FP8, Numbers.FP8_BLOCK, Numbers.INT8})
_WEIGHT_ONLY = frozenset({Numbers.INT4, Numbers.INT4_G32, Numbers.MXFP4})


def _attention(model: ModelCard, entry: Attention, tensor: int) -> Iterator[Product]:
    hidden, weights = model.hidden_size, model.formats.attention
    heads = entry.heads / tensor
    kv_heads = max(1.0, entry.kv_heads / tensor)
    latent = model.latent
    if entry.kind is AttentionKind.LINEAR:
        yield Product(1, 2 * kv_heads * entry.head_dim + 2 * heads * entry.head_dim_v, hidden, weights)
        yield Product(1, hidden, heads * entry.head_dim_v, weights)
    elif latent is None:
        yield Product(1, heads * entry.head_dim + kv_heads * (entry.head_dim + entry.head_dim_v), hidden, weights)
        yield Product(1, hidden, heads * entry.head_dim_v, weights)
    else:
        # The compressions are whole on every GPU; what a head takes from the latent and gives back to it is
        # multiplied in at decode ("absorbed"), two products of kv_rank values for each head.
        query_dim = heads * (latent.nope_dim + latent.rope_dim)
        yield Product(1, (latent.q_rank or 0) + latent.cached_width, hidden, weights)
        yield Product(1, query_dim, latent.q_rank or hidden, weights)
        yield Product(1, heads * latent.nope_dim, latent.kv_rank, weights)
        yield Product(1, heads * latent.v_dim, latent.kv_rank, weights)
        yield Product(1, hidden, heads * latent.v_dim, weights)


def _mlp(model: ModelCard, width: float, layers: int) -> list[Product]:
    weights = model.formats.mlp
    return [
        Product(layers, (2 if model.gated else 1) * width, model.hidden_size, weights),
        Product(layers, model.hidden_size, width, weights),
    ]
