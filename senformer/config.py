"""Define a model's configuration, the presets of the report, and the checks of option values."""

from __future__ import annotations

import numbers
import re
import reprlib
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from senformer.attention_kinds import KINDS, attention_kind

BIN_SIZE_BP = 128
"""Base pairs per token: the stem and the six tower blocks each halve the sequence."""

POOLING_KINDS = ("attention", "max")
RANDOM_BLOCK_PLANS = ("published", "uniform")
GAMMA_SCALINGS = ("per_feature", "per_position")
COMPUTE_DTYPES = ("float32", "bfloat16")

TRAINABLE_SETS = ("attention", "all")
"""Variables that a training changes: those of the attention layers, as in the study, or all."""

STARTS = ("new attention", "warm start")
"""Initial attention weights of a model made from Enformer: random, as in the study, or Enformer's
weights wherever the attention has variables for them."""

_NUM_TOWER_BLOCKS = 6
_WIDTH_MULTIPLE = 128
_LONGEST_VALUE = 100  # characters of a value in a message
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = _LONGEST_VALUE
_POSITIONAL_BASES = 6  # three functions, each symmetric and signed


class Options(BaseModel):
    """Named values that are checked when they are set and cannot change afterwards.

    Derive from it to declare each option once, with its type, its bounds and its default.

    Raises:
        ValueError: If a value is unknown, missing or out of range. The message has one line per
            value: `steps=-1, expected at least 0`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            lines = [_describe(problem, type(self).model_fields) for problem in error.errors()]
            raise ValueError("\n".join(lines)) from None

    def replace(self, **changes: Any) -> Self:
        """Return a copy with changed options, which are checked again."""
        return type(self)(**{**dict(self), **changes})


def _describe(problem: Any, known: Collection[str]) -> str:
    """Describe one of pydantic's errors in one line: the option, its value, what was expected."""
    first, *inner = problem["loc"] or ("",)
    value = _REPR.repr(problem["input"])
    name = f"{first}"[:_LONGEST_VALUE] + "".join(
        f"[{key}]" if isinstance(key, int) else f".{key}" for key in inner
    )
    message = problem["msg"].removeprefix("Input should be ")
    message = message.replace("greater than or equal to", "at least")
    message = message.replace("less than or equal to", "at most")
    match problem["type"]:
        case "missing":
            return f"{name} is missing, expected a value"
        case "extra_forbidden":
            choices = f", expected one of {', '.join(known)}" if not inner else ""
            return f"unknown option {name!r}{choices}"
        case "value_error":  # raised by a validator of this project
            message = str(problem["ctx"]["error"])
            return f"{name}={value}, {message}" if name else message
        case _:
            return f"{name}={value}, expected {message}"


def _convert_integer(value: object) -> object:
    """Convert NumPy's integers to Python's, which pydantic accepts."""
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return int(value) if is_integer else value  # type: ignore[call-overload]


def _reject_boolean(value: object) -> object:
    """Reject True and False, which pydantic takes for the numbers 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


_Integer = Annotated[int, BeforeValidator(_convert_integer)]
_Number = Annotated[float, BeforeValidator(_reject_boolean)]
PositiveInteger = Annotated[_Integer, Field(ge=1, le=2**31 - 1, strict=True)]
NonNegativeInteger = Annotated[_Integer, Field(ge=0, le=2**31 - 1, strict=True)]
NonNegativeNumber = Annotated[_Number, Field(ge=0, allow_inf_nan=False)]
PositiveNumber = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
Probability = Annotated[_Number, Field(ge=0, lt=1)]
NonEmptyText = Annotated[str, Field(min_length=1)]


def _check_time(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("expected a date and time of ISO 8601") from None
    return text


IsoTime = Annotated[str, AfterValidator(_check_time)]


def accept_only(choices: Collection[str]) -> AfterValidator:
    """Return a validator for annotations that accepts only `choices`."""

    def check(value: str) -> str:
        if value not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return value

    return AfterValidator(check)


def _check_head(name: str) -> str:
    if not re.fullmatch(r"\w+", name, re.ASCII):
        raise ValueError("expected a head whose name has only letters, digits and underscores")
    return name


class ModelConfig(Options):
    """Describe a model: all that decides its function and its variables.

    Construct one for a model that no preset describes. Otherwise begin with `preset`.

    Attributes:
        channels: Width of the transformer, a multiple of 128 from 256 up. The stem has half of it.
        num_transformer_layers: Transformer blocks.
        num_heads: Attention heads; must divide `channels`.
        pooling: `attention` (a learned softmax over each pair of positions) or `max`.
        target_length: Predicted bins of 128 bp, the central ones of the sequence.
        tracks: Output tracks of each head.
        attention: Kind of attention, a key of `attention_kinds.KINDS`.
        key_size: Query and key size per head of dense attention.
        relative_positions: Whether dense attention uses relative positions. The study's sparse
            attention does not; False makes that an ablation of its own.
        gamma_scaling: Scale of the gamma features; see `relative_position_features`.
        block_size: Tokens per block of the kinds that compute in blocks, and per Reformer chunk.
        num_random_blocks: Random key blocks per query block of BigBird's pattern. With 0, only
            global blocks and the window remain.
        random_block_plan: Source of the random blocks, `published` or `uniform`.
        random_block_seed: Seed of random blocks, of a Performer's directions and of a Reformer's
            hashes; layer `i` uses `random_block_seed + i`.
        dropout_rate: Dropout after attention and in the MLP; an eighth of it before the heads.
        attention_dropout_rate: Dropout on attention weights (dense attention only).
        positional_dropout_rate: Dropout on the positional features (dense attention only).
        compute_dtype: Type of activations and products, `float32` or `bfloat16`. Variables,
            normalisation, attention weights, heads and loss are float32 in both cases.

    Raises:
        ValueError: If a value is out of range; the message names it.

    Source: Avsec et al. 2021, Methods; google-deepmind/deepmind-research, `enformer/enformer.py`.
    """

    channels: Annotated[
        _Integer, Field(ge=2 * _WIDTH_MULTIPLE, multiple_of=_WIDTH_MULTIPLE, strict=True)
    ] = 1536
    num_transformer_layers: PositiveInteger = 11
    num_heads: PositiveInteger = 8
    pooling: Annotated[str, accept_only(POOLING_KINDS)] = "attention"
    target_length: PositiveInteger = 896
    tracks: Annotated[
        Mapping[Annotated[str, AfterValidator(_check_head)], PositiveInteger], Field(min_length=1)
    ] = {
        "human": 5313,
        "mouse": 1643,
    }
    attention: Annotated[str, accept_only(KINDS)] = "dense"
    key_size: PositiveInteger = 64
    relative_positions: Annotated[bool, Field(strict=True)] = True
    gamma_scaling: Annotated[str, accept_only(GAMMA_SCALINGS)] = "per_feature"
    block_size: PositiveInteger = 64
    num_random_blocks: NonNegativeInteger = 3
    random_block_plan: Annotated[str, accept_only(RANDOM_BLOCK_PLANS)] = "published"
    random_block_seed: _Integer = 0
    dropout_rate: Probability = 0.4
    attention_dropout_rate: Probability = 0.05
    positional_dropout_rate: Probability = 0.01
    compute_dtype: Annotated[str, accept_only(COMPUTE_DTYPES)] = "float32"

    @model_validator(mode="after")
    def _check_heads(self) -> ModelConfig:
        if self.channels % self.num_heads or self.value_size < _POSITIONAL_BASES:
            raise ValueError(
                f"num_heads={self.num_heads}, expected a divisor of channels={self.channels} that "
                f"leaves at least {_POSITIONAL_BASES} channels per head"
            )
        return self

    @property
    def stem_channels(self) -> int:
        """Return the channels of the stem, half of the transformer's."""
        return self.channels // 2

    @property
    def tower_channels(self) -> tuple[int, ...]:
        """Return the channels of the six tower blocks: a geometric series of multiples of 128."""
        growth = (self.channels / self.stem_channels) ** (1 / (_NUM_TOWER_BLOCKS - 1))
        return tuple(
            round(self.stem_channels * growth**i / _WIDTH_MULTIPLE) * _WIDTH_MULTIPLE
            for i in range(_NUM_TOWER_BLOCKS)
        )

    @property
    def value_size(self) -> int:
        """Return the value size per head."""
        return self.channels // self.num_heads

    @property
    def num_relative_position_features(self) -> int:
        """Return the number of relative-position features: a multiple of six."""
        return self.value_size // _POSITIONAL_BASES * _POSITIONAL_BASES

    @property
    def sequence_multiple_bp(self) -> int:
        """Return the unit of sequence lengths: a token, or a block of tokens, in base pairs."""
        has_blocks = attention_kind(self.attention).minimum_blocks > 0
        return BIN_SIZE_BP * (self.block_size if has_blocks else 1)

    @property
    def minimum_tokens(self) -> int:
        """Return the smallest number of tokens that the model accepts."""
        minimum_blocks = attention_kind(self.attention).minimum_blocks
        return max(self.target_length, minimum_blocks * self.block_size)

    def num_tokens(self, sequence_length_bp: int) -> int:
        """Compute the number of tokens of a sequence.

        Call it before you load or simulate sequences, to check that the model accepts the length.

        Raises:
            ValueError: If the model does not accept sequences of this length.
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


def preset(name: str, **changes: Any) -> ModelConfig:
    """Return a named model with some options changed: `preset("enformer", target_length=448)`.

    `enformer` and `senformer` have the study's sizes. `_small` trains on a laptop's GPU, `_tiny`
    in minutes on two CPU cores; its blocks of 16 tokens divide short sequences into enough blocks.

    Raises:
        ValueError: If the name or an option is unknown.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}, expected one of {', '.join(PRESETS)}")
    return PRESETS[name].replace(**changes)


def expect_one_of(name: str, value: str, choices: Collection[str]) -> None:
    """Check that an argument is one of its choices.

    Args:
        name: Name of the argument, for the message.
        value: Value of the argument.
        choices: Accepted values.

    Raises:
        ValueError: If the value is not among the choices; the message lists them.
    """
    if value not in choices:
        raise ValueError(f"{name}={value!r}, expected one of {', '.join(choices)}")


def expect_integer(name: str, value: object, minimum: int) -> None:
    """Check that a count is an integer of at least `minimum`.

    Args:
        name: Name of the argument, for the message.
        value: Value of the argument.
        minimum: Smallest accepted value.

    Raises:
        ValueError: If the value is no integer, such as `"256"` or 2.5, or is too small.
    """
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_integer or value < minimum:  # type: ignore[operator]
        raise ValueError(f"{name}={value!r}, expected an integer of at least {minimum}")


_SMALL = ModelConfig(channels=768, num_transformer_layers=4)
_TINY = ModelConfig(
    channels=256,
    num_transformer_layers=2,
    num_heads=4,
    key_size=32,
    block_size=16,
    # Dropout only slows the training on a few hundred simulated records.
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
