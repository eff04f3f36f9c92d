"""Define measurements of one training step, and grids of them, without TensorFlow."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from senformer.attention_kinds import KINDS
from senformer.config import (
    BIN_SIZE_BP,
    COMPUTE_DTYPES,
    TRAINABLE_SETS,
    ModelConfig,
    expect_integer,
    expect_one_of,
)

TARGET_LENGTH = 896
"""Bins that a measured model predicts; a shorter sequence predicts all of its bins."""


def _setting(help: str, *, option: str = "", default: Any = dataclasses.MISSING) -> Any:
    """Define a field of `Measurement`; `option` is its command-line name if that differs."""
    return dataclasses.field(default=default, metadata={"help": help, "option": option})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """A request to measure one training step: a model, an input and what is trained.

    The model has Enformer's heads and Enformer's sizes except for the fields below. The fields are
    also the options of `senformer measure` and the columns of a table of measurements.

    Raises:
        ValueError: If a value is out of range, or the model does not take this length.
    """

    attention: str = _setting(f"Kind of attention: {', '.join(KINDS)}.")
    num_transformer_layers: int = _setting("Transformer layers.", option="layers")
    channels: int = _setting("Width of the transformer.")
    sequence_length_bp: int = _setting("Sequence length in bp.", option="length")
    batch_size: int = _setting("Sequences per step.", default=1)
    trainable: str = _setting(
        "What is trained: attention (as in the study, the rest is frozen) or all.",
        default="attention",
    )
    steps: int = _setting(
        "Steps to time after the first, which also compiles; 0 measures memory alone.", default=1
    )
    budget_gb: float | None = _setting(
        "Memory limit in GB; by default all of a GPU, or most of the machine's.",
        option="budget",
        default=None,
    )
    num_heads: int = _setting("Attention heads.", option="heads", default=8)
    block_size: int = _setting("Tokens per block of sparse attention.", default=64)
    compute_dtype: str = _setting(
        f"Number type of activations and products: {' or '.join(COMPUTE_DTYPES)}.",
        default="float32",
    )

    def __post_init__(self) -> None:
        expect_one_of("trainable", self.trainable, TRAINABLE_SETS)
        for name, least in (("batch_size", 1), ("steps", 0), ("sequence_length_bp", 1)):
            expect_integer(name, getattr(self, name), least)
        if self.budget_gb is not None and not 0 < self.budget_gb < math.inf:
            raise ValueError(f"budget_gb={self.budget_gb}, expected a finite number above 0")
        self.config.num_tokens(self.sequence_length_bp)

    @property
    def config(self) -> ModelConfig:
        """Return the configuration of the measured model."""
        fields = {k: v for k, v in vars(self).items() if k in ModelConfig.model_fields}
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
        ValueError: If an argument is not a list or is empty, or a measurement is impossible; the
            message says why.
        TypeError: If an argument is unknown or missing.
    """
    lists = {
        "attention": attention,
        "num_transformer_layers": num_transformer_layers,
        "sequence_lengths_bp": sequence_lengths_bp,
        "trainable": trainable,
    }
    for name, values in lists.items():
        if isinstance(values, str) or not len(values):
            raise ValueError(f"{name}={values!r}, expected a list of at least one")
    measurements = [
        Measurement(
            trainable=trainable_set,
            num_transformer_layers=layers,
            sequence_length_bp=length,
            attention=kind,
            **shared,
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
    values = (
        (option, getattr(measurement, field.name))
        for field, option in options()
        if field.name not in without
    )
    return " ".join(f"--{option} {value}" for option, value in values if value is not None)


def options() -> Iterator[tuple[dataclasses.Field[Any], str]]:
    """Yield each field of `Measurement` with its command-line name."""
    for field in dataclasses.fields(Measurement):
        yield field, field.metadata["option"] or field.name.replace("_", "-")
