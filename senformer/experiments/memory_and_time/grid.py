"""Define measurements of one training step, and grids of them, without TensorFlow."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import Field, model_validator
from pydantic.fields import FieldInfo

from senformer.attention_kinds import KINDS
from senformer.config import (
    BIN_SIZE_BP,
    COMPUTE_DTYPES,
    TRAINABLE_SETS,
    ModelConfig,
    NonNegativeInteger,
    Options,
    PositiveInteger,
    accept_only,
)

TARGET_LENGTH = 896
"""Bins that a measured model predicts; a shorter sequence predicts all of its bins."""

_OPTION_NAMES = {
    "num_transformer_layers": "layers",
    "sequence_length_bp": "length",
    "budget_gb": "budget",
    "num_heads": "heads",
}


class Measurement(Options):
    """A request to measure one training step: a model, an input and what is trained.

    The model has Enformer's heads and Enformer's sizes except for the fields below. The fields are
    also the options of `senformer measure` and the columns of a table of measurements.

    Raises:
        ValueError: If a value is out of range, or the model does not take this length.
    """

    attention: Annotated[str, accept_only(KINDS)] = Field(
        description=f"Kind of attention: {', '.join(KINDS)}."
    )
    num_transformer_layers: PositiveInteger = Field(description="Transformer layers.")
    channels: PositiveInteger = Field(description="Width of the transformer.")
    sequence_length_bp: PositiveInteger = Field(description="Sequence length in bp.")
    batch_size: PositiveInteger = Field(description="Sequences per step.", default=1)
    trainable: Annotated[str, accept_only(TRAINABLE_SETS)] = Field(
        description="What is trained: attention (as in the study, the rest is frozen) or all.",
        default="attention",
    )
    steps: NonNegativeInteger = Field(
        description="Steps to time after the first, which also compiles; 0 measures memory alone.",
        default=1,
    )
    budget_gb: float | None = Field(
        description="Memory limit in GB; by default all of a GPU, or most of the machine's.",
        default=None,
        gt=0,
        allow_inf_nan=False,
        strict=True,
    )
    num_heads: PositiveInteger = Field(description="Attention heads.", default=8)
    block_size: PositiveInteger = Field(
        description="Tokens per block of sparse attention.", default=64
    )
    compute_dtype: Annotated[str, accept_only(COMPUTE_DTYPES)] = Field(
        description=f"Number type of activations and products: {' or '.join(COMPUTE_DTYPES)}.",
        default="float32",
    )

    @model_validator(mode="after")
    def _check_model(self) -> Self:
        self.config.num_tokens(self.sequence_length_bp)
        return self

    @property
    def config(self) -> ModelConfig:
        """Return the configuration of the measured model."""
        fields = {k: v for k, v in self if k in ModelConfig.model_fields}
        tokens = self.sequence_length_bp // BIN_SIZE_BP
        return ModelConfig(**fields, target_length=max(1, min(TARGET_LENGTH, tokens)))

    @property
    def name(self) -> str:
        """Return a file name without ending that is unique to this measurement."""
        budget = "" if self.budget_gb is None else f"_{self.budget_gb:g}gb"
        dtype = "" if self.compute_dtype == "float32" else f"_{self.compute_dtype}"
        return (
            f"{self.attention}_{self.num_transformer_layers}layers_{self.channels}ch"
            f"_{self.sequence_length_bp}bp_{self.trainable}_batch{self.batch_size}"
            f"_{self.steps}steps_{self.num_heads}heads_block{self.block_size}{dtype}{budget}"
        )


def grid(
    *,
    attention: Sequence[str],
    num_transformer_layers: Sequence[int],
    sequence_lengths_bp: Sequence[int],
    trainable: Sequence[str] = ("attention",),
    more: Sequence[Mapping[str, Any]] = (),
    **shared: Any,
) -> list[Measurement]:
    """Combine lists of settings into measurements, for `measure_all`.

    The kinds of attention vary fastest, so that steps to compare run close together in time.

    Args:
        attention: Kinds of attention.
        num_transformer_layers: Numbers of layers.
        sequence_lengths_bp: Lengths of the input in bp.
        trainable: Trainable sets.
        more: Further grids, such as for lengths at which not all kinds fit. Each has the
            arguments that differ from those of this grid.
        shared: The other fields of `Measurement`, equal in all measurements.

    Raises:
        ValueError: If an argument is unknown, is not a list or is empty, or a measurement is
            impossible; the message says why.
        TypeError: If a list is missing.
    """
    lists = {
        "attention": attention,
        "num_transformer_layers": num_transformer_layers,
        "sequence_lengths_bp": sequence_lengths_bp,
        "trainable": trainable,
    }
    for name, values in lists.items():
        if not isinstance(values, list | tuple) or not values:
            raise ValueError(f"{name}={values!r}, expected a list of at least one")
    measurements = [
        Measurement(
            **shared,
            trainable=trainable_set,
            num_transformer_layers=layers,
            sequence_length_bp=length,
            attention=kind,
        )
        for trainable_set, layers, length, kind in itertools.product(
            trainable, num_transformer_layers, sequence_lengths_bp, attention
        )
    ]
    for further in more:
        measurements += grid(**{**lists, **shared, **further})
    return measurements


def command_line_options(measurement: Measurement, *, without: Sequence[str] = ()) -> str:
    """Return the options of `senformer measure` for a measurement, except for some fields."""
    return " ".join(
        f"--{option} {value}"
        for name, option, _ in options()
        if name not in without and (value := getattr(measurement, name)) is not None
    )


def options() -> Iterator[tuple[str, str, FieldInfo]]:
    """Yield the name of each field of `Measurement`, its command-line name and its definition."""
    for name, field in Measurement.model_fields.items():
        yield name, _OPTION_NAMES.get(name, name.replace("_", "-")), field
