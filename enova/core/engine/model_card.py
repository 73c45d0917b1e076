"""What a model consists of, as far as its speed and memory go."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from enova.core.engine.numbers import Numbers


class AttentionKind(StrEnum):
    """What a layer looks back at."""

    FULL = "full"
    SLIDING = "sliding"
    """The last `window_tokens`; also chunked-local attention, which never sees more than its chunk."""
    LINEAR = "linear"
    """A recurrent state of fixed size (Mamba, gated delta net); no KV cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """`layers` layers whose attention is alike. Head counts are those of the whole model, before any split."""

    layers: int
    kind: AttentionKind = AttentionKind.FULL
    heads: int
    kv_heads: int
    head_dim: int
    head_dim_v: int
    window_tokens: int | None = None
    """Set for SLIDING only."""
    state_bytes: int = 0
    """LINEAR only: bytes of one sequence's state in one layer."""
    sparse_tokens: int | None = None
    """Attention to the best k tokens only, of those an indexer picked (DeepSeek sparse attention)."""
    shares_cache: bool = False
    """Reads the KV cache of an earlier layer of its kind and has none of its own (Gemma 4 E4B)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """Multi-head latent attention: keys and values are cached compressed, once for all heads."""

    q_rank: int | None
    """None: queries are not compressed."""
    kv_rank: int
    nope_dim: int
    rope_dim: int
    v_dim: int

    @property
    def cached_width(self) -> int:
        """Return the values cached for each token and layer; the same on every rank of tensor parallelism."""
        return self.kv_rank + self.rope_dim


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """A mixture of experts, in `layers` of the layers; the others have the dense MLP."""

    layers: int
    count: int
    per_token: int
    intermediate_size: int
    """Of one expert."""
    shared_intermediate_size: int = 0
    """Of the experts every token visits, all together."""
    router: Numbers = Numbers.BF16
    """What the router is multiplied in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Formats:
    """How the parts of the weights are stored; what is quantised differs: of gpt-oss only the experts are."""

    attention: Numbers
    mlp: Numbers
    """Dense MLPs and shared experts."""
    experts: Numbers
    embedding: Numbers
    """Embedding and output head."""
    activations: Numbers
    """What GEMMs compute in: FP8 for FP8 weights with dynamic activations, BF16 for weight-only formats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A model's architecture, as read from its `config.json` or from Enova's own facts."""

    name: str
    architecture: str
    """The class named in `config.json`, for example LlamaForCausalLM."""
    layers: int
    hidden_size: int
    intermediate_size: int
    """Of the dense MLP, 0 where every layer has experts."""
    gated: bool = True
    """SwiGLU and its kin have three matrices, others two."""
    norms_all_heads: bool = False
    """Queries and keys are normed over all heads: GPUs that have some heads each exchange sums in every layer."""
    vocab_size: int
    tied_embeddings: bool
    attention: tuple[Attention, ...]
    """Every layer belongs to exactly one entry; entries in the order of their first layer."""
    latent: Latent | None = None
    experts: Experts | None = None
    formats: Formats
    kv_cache: Numbers | None = None
    """What the files ask the KV cache to be kept in; None: the format of what is not quantised."""
    max_model_len: int
    """Positions the model was made for."""
    parameters: int | None = None
    """As stored, from safetensors metadata; None: computed from the architecture."""
    weight_bytes: int | None = None
    """As stored, from safetensors metadata; None: computed from the architecture."""
    vision_parameters: int = 0
    """Parameters beside the language model that are loaded with it (vision tower, projector, per-layer tables)."""

    @property
    def window_tokens(self) -> int | None:
        """Return the window of the sliding layers, None if there are none."""
        return next((entry.window_tokens for entry in self.attention if entry.window_tokens), None)
