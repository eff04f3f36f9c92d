"""The kinds of attention: a row each, for everything that has to tell one from another.

A new kind is a file in `model/attention` and a row here; then measurements, plans, figures and the
command line know it. No TensorFlow is loaded for it: a row names its layer, `model.attention` loads
that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

MINIMUM_BLOCKS = 5
"""Fewest blocks that hold BigBird's two global blocks and a window of three between them."""


class LayerSizes(Protocol):
    """The sizes of a layer, as `config.ModelConfig` has them."""

    @property
    def channels(self) -> int:
        """Width of the transformer."""

    @property
    def num_heads(self) -> int:
        """Attention heads."""

    @property
    def key_size(self) -> int:
        """Query and key size per head of Enformer's own attention."""

    @property
    def num_relative_position_features(self) -> int:
        """Relative positional features of Enformer's own attention."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttentionKind:
    """What the report asks of a kind of attention.

    Attributes:
        label: What a legend calls it.
        color: Its colour in every figure. Each has a contrast of at least 3 to a white and to a
            dark page, and any two stay apart under the three kinds of colour blindness.
        symbol: Its marker, a symbol of Plotly, so that no figure is read by colour alone.
        pattern: Which tokens a token attends to in one layer: `full` for all of them, `bigbird` for
            those of global, window and random blocks, `window` for those of its own block and its
            neighbours, or `hashed` for those that the tokens themselves decide.
        minimum_blocks: Fewest blocks of `block_size` tokens that it takes, and only whole ones; 0
            for a kind that takes any number of tokens.
        takes_enformers_weights: Whether all that it has is in a trained Enformer's attention, so
            that it can begin with that.
        is_exact: Whether it computes what Enformer's own attention does, but for rounding.
        layer: Where its layer is defined, `module:class`; see `model.attention.layer`.
        num_parameters: Parameters of one layer of given sizes.
    """

    label: str
    color: str
    symbol: str
    pattern: str
    minimum_blocks: int = 0
    takes_enformers_weights: bool = True
    is_exact: bool = False
    layer: str
    num_parameters: Callable[[LayerSizes], int]


def attention_kind(name: str) -> AttentionKind:
    """Look a kind up.

    Args:
        name: A key of `KINDS`, as in `ModelConfig.attention` and in the column `attention` of the
            report's tables.

    Raises:
        ValueError: If there is no such kind; the message lists those that there are.
    """
    if name not in KINDS:
        raise ValueError(f"attention={name!r}, expected one of {', '.join(KINDS)}")
    return KINDS[name]


def _enformer_parameters(sizes: LayerSizes) -> int:
    """Query and key of their own size, relative positions, two biases; a bias for the output."""
    channels = sizes.channels
    key_channels = sizes.num_heads * sizes.key_size
    projections = 2 * channels * key_channels + channels * channels
    positions = sizes.num_relative_position_features * key_channels + 2 * key_channels
    return projections + positions + channels * channels + channels


def _linear_parameters(sizes: LayerSizes) -> int:
    """Enformer's query, key, value, and output with its bias."""
    channels = sizes.channels
    key_channels = sizes.num_heads * sizes.key_size
    return 2 * channels * key_channels + 2 * channels * channels + channels


def _performer_parameters(sizes: LayerSizes) -> int:
    """The same, and Enformer's content bias."""
    return _linear_parameters(sizes) + sizes.num_heads * sizes.key_size


def _reformer_parameters(sizes: LayerSizes) -> int:
    """A query that is its own key, value, and output with its bias."""
    channels = sizes.channels
    return channels * sizes.num_heads * sizes.key_size + 2 * channels * channels + channels


def _bigbird_parameters(sizes: LayerSizes) -> int:
    """Four projections of the model's width, each with a bias."""
    return 4 * (sizes.channels * sizes.channels + sizes.channels)


KINDS: dict[str, AttentionKind] = {
    "dense": AttentionKind(
        label="dense (Enformer)",
        color="#248bf2",
        symbol="circle",
        pattern="full",
        is_exact=True,
        layer="senformer.model.attention.dense:DenseAttention",
        num_parameters=_enformer_parameters,
    ),
    "tiled": AttentionKind(
        label="tiled",
        color="#50733f",
        symbol="square",
        pattern="full",
        is_exact=True,
        layer="senformer.model.attention.tiled:TiledAttention",
        num_parameters=_enformer_parameters,
    ),
    "bigbird": AttentionKind(
        label="bigbird (S-Enformer)",
        color="#d96c00",
        symbol="diamond",
        pattern="bigbird",
        minimum_blocks=MINIMUM_BLOCKS,
        takes_enformers_weights=False,
        layer="senformer.model.attention.bigbird:BigBirdAttention",
        num_parameters=_bigbird_parameters,
    ),
    "bigbird_relative": AttentionKind(
        label="bigbird_relative",
        color="#a65b99",
        symbol="triangle-up",
        pattern="bigbird",
        minimum_blocks=MINIMUM_BLOCKS,
        layer="senformer.model.attention.bigbird_relative:BigBirdRelativeAttention",
        num_parameters=_enformer_parameters,
    ),
    "local": AttentionKind(
        label="local",
        color="#4ba569",
        symbol="bowtie",
        pattern="window",
        minimum_blocks=1,
        layer="senformer.model.attention.local:LocalAttention",
        num_parameters=_enformer_parameters,
    ),
    "performer": AttentionKind(
        label="performer",
        color="#c31ec3",
        symbol="triangle-down",
        pattern="full",
        layer="senformer.model.attention.performer:PerformerAttention",
        num_parameters=_performer_parameters,
    ),
    "linear": AttentionKind(
        label="linear",
        color="#871eff",
        symbol="cross",
        pattern="full",
        layer="senformer.model.attention.linear:LinearAttention",
        num_parameters=_linear_parameters,
    ),
    "reformer": AttentionKind(
        label="reformer",
        color="#a54b0f",
        symbol="hourglass",
        pattern="hashed",
        minimum_blocks=2,
        layer="senformer.model.attention.reformer:ReformerAttention",
        num_parameters=_reformer_parameters,
    ),
}
"""Every kind by its name, in the order in which figures and tables list them."""
