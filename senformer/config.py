"""What a model is: one frozen, validated dataclass, and the presets that the report uses."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Collection, Mapping
from typing import Any

from senformer.attention_kinds import attention_kind

BIN_SIZE_BP = 128
"""Base pairs per token: the stem and the six tower blocks each halve the sequence."""

POOLING_KINDS = ("attention", "max")
RANDOM_BLOCK_PLANS = ("published", "uniform")
GAMMA_SCALINGS = ("per_feature", "per_position")
COMPUTE_DTYPES = ("float32", "bfloat16")

TRAINABLE_SETS = ("attention", "all")
"""What a training changes: the attention layers' own variables, as in the study, or all."""

STARTS = ("new attention", "warm start")
"""Where the attention of a model made from Enformer starts: the study's new layers, or with those
of Enformer's own weights that it has a place for."""

_NUM_TOWER_BLOCKS = 6
_WIDTH_MULTIPLE = 128
_POSITIONAL_BASES = 6  # three functions, each symmetric and signed


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Everything that decides a model's function and its variables.

    Make one to build a model that no preset describes; start from `preset` otherwise.

    Attributes:
        channels: Width of the transformer, a multiple of 128 from 256 up. The stem has half of it.
        num_transformer_layers: Transformer blocks.
        num_heads: Attention heads; must divide `channels`.
        pooling: `attention` (a learned softmax over each pair of positions) or `max`.
        target_length: Bins of 128 bp that are predicted, the central ones of the sequence.
        tracks: Output tracks of each head.
        attention: Which kind of attention, a key of `attention_kinds.KINDS`.
        key_size: Query and key size per head of Enformer's own attention.
        relative_positions: Whether Enformer's own attention is told how far apart tokens are. The
            study's sparse attention is not; without, that is a change of its own.
        gamma_scaling: Scale of its gamma features; see `relative_position_features`.
        block_size: Tokens per block of the kinds that compute in blocks; of Reformer's chunks.
        num_random_blocks: Random key blocks per query block of BigBird's pattern; with 0, global
            blocks and window alone.
        random_block_plan: Where random blocks are drawn from, `published` or `uniform`.
        random_block_seed: Seed of what attention draws: random blocks, a Performer's directions, a
            Reformer's hashes; layer `i` draws with `random_block_seed + i`.
        dropout_rate: Dropout after attention and in the MLP; an eighth of it before the heads.
        attention_dropout_rate: Dropout on attention weights (Enformer's own attention only).
        positional_dropout_rate: Dropout on the positional features (likewise).
        compute_dtype: Type of activations and products, `float32` or `bfloat16`. Variables,
            normalisation, attention weights, heads and loss are float32 with either.

    Raises:
        ValueError: If a value is out of range; the message names it.

    Source: Avsec et al. 2021, Methods; google-deepmind/deepmind-research, `enformer/enformer.py`.
    """

    channels: int = 1536
    num_transformer_layers: int = 11
    num_heads: int = 8
    pooling: str = "attention"
    target_length: int = 896
    tracks: Mapping[str, int] = dataclasses.field(
        default_factory=lambda: {"human": 5313, "mouse": 1643}
    )
    attention: str = "dense"
    key_size: int = 64
    relative_positions: bool = True
    gamma_scaling: str = "per_feature"
    block_size: int = 64
    num_random_blocks: int = 3
    random_block_plan: str = "published"
    random_block_seed: int = 0
    dropout_rate: float = 0.4
    attention_dropout_rate: float = 0.05
    positional_dropout_rate: float = 0.01
    compute_dtype: str = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "tracks", dict(self.tracks))
        _validate(self)

    @property
    def stem_channels(self) -> int:
        """Channels of the stem, half of the transformer's."""
        return self.channels // 2

    @property
    def tower_channels(self) -> tuple[int, ...]:
        """Channels of the six tower blocks, exponentially spaced, rounded to multiples of 128."""
        growth = (self.channels / self.stem_channels) ** (1 / (_NUM_TOWER_BLOCKS - 1))
        return tuple(
            round(self.stem_channels * growth**i / _WIDTH_MULTIPLE) * _WIDTH_MULTIPLE
            for i in range(_NUM_TOWER_BLOCKS)
        )

    @property
    def value_size(self) -> int:
        """Value size per head."""
        return self.channels // self.num_heads

    @property
    def num_relative_position_features(self) -> int:
        """Relative positional features, the value size rounded down to a multiple of six."""
        return self.value_size // _POSITIONAL_BASES * _POSITIONAL_BASES

    @property
    def sequence_multiple_bp(self) -> int:
        """A sequence's length must be a multiple of this: a token, or a block of tokens."""
        in_blocks = attention_kind(self.attention).minimum_blocks > 0
        return BIN_SIZE_BP * (self.block_size if in_blocks else 1)

    @property
    def minimum_tokens(self) -> int:
        """Fewest tokens that the model takes."""
        minimum_blocks = attention_kind(self.attention).minimum_blocks
        return max(self.target_length, minimum_blocks * self.block_size)

    def num_tokens(self, sequence_length_bp: int) -> int:
        """Tokens of a sequence; ask before you load or simulate data of that length.

        Raises:
            ValueError: If the model does not take a sequence of this length.
        """
        if sequence_length_bp % self.sequence_multiple_bp:
            raise ValueError(
                f"sequence_length_bp={sequence_length_bp} must be a multiple of "
                f"{self.sequence_multiple_bp} bp for {self.attention} attention"
            )
        tokens = sequence_length_bp // BIN_SIZE_BP
        if tokens < self.minimum_tokens:
            raise ValueError(
                f"sequence_length_bp={sequence_length_bp} is {tokens} tokens, expected at least "
                f"{self.minimum_tokens} (target_length={self.target_length}, {self.attention})"
            )
        return tokens

    def replace(self, **changes: Any) -> ModelConfig:
        """A copy with some fields changed, validated again."""
        _reject_unknown_fields(changes)
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """The inverse of `to_dict`.

        Raises:
            ValueError: If a field is unknown or a value is out of range.
        """
        _reject_unknown_fields(values)
        return cls(**values)


def preset(name: str, **changes: Any) -> ModelConfig:
    """A named model, with some fields changed: `preset('enformer', target_length=448)`.

    `enformer` and `senformer` have the study's sizes; `_small` trains on a laptop's GPU, `_tiny`
    on two CPU cores in minutes, with blocks of 16 tokens so that short sequences have enough.

    Raises:
        ValueError: If the name or a field is unknown.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}, expected one of {', '.join(PRESETS)}")
    return PRESETS[name].replace(**changes)


def expect_one_of(name: str, value: str, choices: Collection[str]) -> None:
    """Refuse an argument that is none of its choices.

    Args:
        name: Of the argument.
        value: What was given.
        choices: What may be given.

    Raises:
        ValueError: If the value is not among the choices; the message lists them.
    """
    _expect(name, value, value in choices, f"one of {', '.join(choices)}")


def expect_whole(name: str, value: object, least: int) -> None:
    """Refuse a count that is no whole number, as `"256"` and `2.5` are none, or too small.

    Args:
        name: Of the argument.
        value: What was given.
        least: The smallest that makes sense.

    Raises:
        ValueError: If it is not a whole number of at least `least`.
    """
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    _expect(name, value, is_whole, f"a whole number of at least {least}")
    _expect(name, value, value >= least, f"at least {least}")  # type: ignore[operator]


def expect_number(name: str, value: object, below: float = math.inf) -> None:
    """Refuse a rate or an amount that is no number, not finite, negative, or too large.

    Args:
        name: Of the argument.
        value: What was given. A text such as `"1e-3"`, which YAML 1.1 takes for one where `1.0e-3`
            is a number, is refused.
        below: What it has to be less than.

    Raises:
        ValueError: If it is not a finite number from 0 to `below`.
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    _expect(name, value, is_number, "a number, such as 1.0e-3 (YAML takes 1e-3 for a text)")
    is_within = 0 <= value < below  # type: ignore[operator]
    expected = "a finite number of at least 0" if below == math.inf else f"in [0, {below:g})"
    _expect(name, value, is_within, expected)


def _validate(config: ModelConfig) -> None:
    for name in ("num_transformer_layers", "num_heads", "target_length", "key_size", "block_size"):
        expect_whole(name, getattr(config, name), 1)
    expect_whole("channels", config.channels, 1)
    expect_whole("num_random_blocks", config.num_random_blocks, 0)
    for head, count in config.tracks.items():
        expect_whole(f"tracks[{head!r}]", count, 1)
    _expect(
        "channels",
        config.channels,
        config.channels % _WIDTH_MULTIPLE == 0 and config.channels >= 2 * _WIDTH_MULTIPLE,
        f"a multiple of {_WIDTH_MULTIPLE}, at least {2 * _WIDTH_MULTIPLE}",
    )
    _expect(
        "num_heads",
        config.num_heads,
        config.channels % config.num_heads == 0 and config.value_size >= _POSITIONAL_BASES,
        f"a divisor of channels={config.channels} that leaves at least "
        f"{_POSITIONAL_BASES} channels per head",
    )
    _expect(
        "relative_positions",
        config.relative_positions,
        isinstance(config.relative_positions, bool),
        "True or False",
    )
    expect_one_of("pooling", config.pooling, POOLING_KINDS)
    attention_kind(config.attention)
    expect_one_of("gamma_scaling", config.gamma_scaling, GAMMA_SCALINGS)
    expect_one_of("random_block_plan", config.random_block_plan, RANDOM_BLOCK_PLANS)
    expect_one_of("compute_dtype", config.compute_dtype, COMPUTE_DTYPES)
    for name in ("dropout_rate", "attention_dropout_rate", "positional_dropout_rate"):
        expect_number(name, getattr(config, name), below=1)
    _expect("tracks", config.tracks, bool(config.tracks), "at least one head")


def _expect(name: str, value: object, is_valid: bool, expected: str) -> None:
    if not is_valid:
        raise ValueError(f"{name}={value!r}, expected {expected}")


def _reject_unknown_fields(values: Mapping[str, Any]) -> None:
    known = [field.name for field in dataclasses.fields(ModelConfig)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"unknown model option {unknown[0]!r}, expected one of {', '.join(known)}")


_SMALL = ModelConfig(channels=768, num_transformer_layers=4)
_TINY = ModelConfig(
    channels=256,
    num_transformer_layers=2,
    num_heads=4,
    key_size=32,
    block_size=16,
    # A few hundred simulated records with a rule behind them: dropout only slows learning it.
    dropout_rate=0.0,
    attention_dropout_rate=0.0,
    positional_dropout_rate=0.0,
)

PRESETS: Mapping[str, ModelConfig] = {
    "enformer": ModelConfig(),
    "senformer": ModelConfig(attention="bigbird"),
    "enformer_small": _SMALL,
    "senformer_small": _SMALL.replace(attention="bigbird"),
    "enformer_tiny": _TINY,
    "senformer_tiny": _TINY.replace(attention="bigbird"),
}
