"""Describe each kind of attention in one row, for all code that distinguishes kinds.

A new kind is a file in `model/attention`, a row here and a paragraph in the book; measurements,
plans, figures, ablations and the command line read the rows. A row names its layer's class, so that
this module does not load TensorFlow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

MINIMUM_BLOCKS = 5
"""Fewest blocks that hold BigBird's two global blocks and a window of three between them."""


class LayerSizes(Protocol):
    """Declare the sizes of a layer that parameter counts need; `config.ModelConfig` has them."""

    @property
    def channels(self) -> int:
        """Return the width of the transformer."""

    @property
    def num_heads(self) -> int:
        """Return the number of attention heads."""

    @property
    def key_size(self) -> int:
        """Return the query and key size per head of dense attention."""

    @property
    def num_relative_position_features(self) -> int:
        """Return the number of relative position features of dense attention."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttentionKind:
    """Describe a kind of attention.

    Attributes:
        label: Name in legends.
        color: Colour in every figure, with a contrast of at least 3 to a white and to a dark page,
            and distinguishable from all others under the three types of colour blindness.
        symbol: Plotly marker symbol, so that figures can be read without colour.
        pattern: Tokens that a token attends to in one layer: `full` (all), `bigbird` (global,
            window and random blocks), `window` (its own and the neighbouring blocks) or `hashed`
            (the tokens decide).
        minimum_blocks: Fewest blocks of `block_size` tokens; the kind takes whole blocks only. 0
            for a kind that takes any number of tokens.
        takes_enformers_weights: Whether the attention weights of a trained Enformer can initialise
            all of its variables.
        is_exact: Whether it computes dense attention, up to rounding.
        ablation: Name of the ablation that replaces Enformer's attention by this kind alone, or
            empty if no such ablation is compared.
        layer: Class of its layer, `module:class`, a `model.attention.layer.AttentionLayer`.
        num_parameters: Counts the parameters of one layer.
    """

    label: str
    color: str
    symbol: str
    pattern: str
    minimum_blocks: int = 0
    takes_enformers_weights: bool = True
    is_exact: bool = False
    ablation: str = ""
    layer: str
    num_parameters: Callable[[LayerSizes], int]


def attention_kind(name: str) -> AttentionKind:
    """Return the row of a kind.

    Args:
        name: A key of `KINDS`, as in `ModelConfig.attention` and in the column `attention` of the
            report's tables.

    Raises:
        ValueError: If the kind is unknown; the message lists the known kinds.
    """
    if name not in KINDS:
        raise ValueError(f"attention={name!r}, expected one of {', '.join(KINDS)}")
    return KINDS[name]


def _count_projections(sizes: LayerSizes, key_projections: int) -> int:
    """Count the parameters of projections to queries and keys, of value, and of output with bias.

    Args:
        sizes: The sizes of the layer.
        key_projections: Number of projections to queries and keys.
    """
    channels = sizes.channels
    key_channels = sizes.num_heads * sizes.key_size
    return key_projections * channels * key_channels + 2 * channels * channels + channels


def _count_enformer(sizes: LayerSizes) -> int:
    """Count the parameters of Enformer's projections, relative positions and two biases."""
    key_channels = sizes.num_heads * sizes.key_size
    positions = sizes.num_relative_position_features * key_channels
    return _count_projections(sizes, 2) + positions + 2 * key_channels


KINDS: dict[str, AttentionKind] = {
    "dense": AttentionKind(
        label="dense (Enformer)",
        color="#248bf2",
        symbol="circle",
        pattern="full",
        is_exact=True,
        layer="senformer.model.attention.dense:DenseAttention",
        num_parameters=_count_enformer,
    ),
    "tiled": AttentionKind(
        label="tiled",
        color="#50733f",
        symbol="square",
        pattern="full",
        is_exact=True,
        layer="senformer.model.attention.tiled:TiledAttention",
        num_parameters=_count_enformer,
    ),
    "bigbird": AttentionKind(
        label="bigbird (S-Enformer)",
        color="#d96c00",
        symbol="diamond",
        pattern="bigbird",
        minimum_blocks=MINIMUM_BLOCKS,
        takes_enformers_weights=False,
        layer="senformer.model.attention.bigbird:BigBirdAttention",
        num_parameters=lambda sizes: 4 * (sizes.channels**2 + sizes.channels),
    ),
    "bigbird_relative": AttentionKind(
        label="bigbird_relative",
        color="#a65b99",
        symbol="triangle-up",
        pattern="bigbird",
        minimum_blocks=MINIMUM_BLOCKS,
        layer="senformer.model.attention.bigbird_relative:BigBirdRelativeAttention",
        num_parameters=_count_enformer,
    ),
    "local": AttentionKind(
        label="local",
        color="#4ba569",
        symbol="bowtie",
        pattern="window",
        minimum_blocks=1,
        layer="senformer.model.attention.local:LocalAttention",
        num_parameters=_count_enformer,
    ),
    "performer": AttentionKind(
        label="performer",
        color="#c31ec3",
        symbol="triangle-down",
        pattern="full",
        ablation="Performer",
        layer="senformer.model.attention.performer:PerformerAttention",
        num_parameters=lambda sizes: (
            _count_projections(sizes, 2) + sizes.num_heads * sizes.key_size
        ),
    ),
    "linear": AttentionKind(
        label="linear",
        color="#871eff",
        symbol="cross",
        pattern="full",
        ablation="linear attention",
        layer="senformer.model.attention.linear:LinearAttention",
        num_parameters=lambda sizes: _count_projections(sizes, 2),
    ),
    "reformer": AttentionKind(
        label="reformer",
        color="#a54b0f",
        symbol="hourglass",
        pattern="hashed",
        minimum_blocks=2,
        ablation="Reformer",
        layer="senformer.model.attention.reformer:ReformerAttention",
        num_parameters=lambda sizes: _count_projections(sizes, 1),
    ),
}
"""All kinds by name, in the order of figures and tables."""
