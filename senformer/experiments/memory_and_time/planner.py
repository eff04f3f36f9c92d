"""What fits in my GPU: a model of peak memory, fitted to the measured points."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from senformer.attention_kinds import attention_kind
from senformer.config import BIN_SIZE_BP, ModelConfig

BYTES_PER_GB = 1e9
_BYTES_PER_VALUE = 4  # float32
_FEWEST_POINTS = 3
_STEM_WIDTH, _TOWER_WIDTH = 15, 5


class TooFewMeasurementsError(ValueError):
    """A run measured too little for a fit: fewer than three steps of any kind."""


class Fit(NamedTuple):
    """One kind of attention and one trainable set.

    Attributes:
        coefficients: Of what memory beyond weights, optimiser and gradients is made of, none
            negative: a constant, GB; float32 values per token and channel;
            the same per layer; float32 values per pair of tokens and head.
        median_error: Median of `|predicted - measured| / measured`, each point left out in turn.
        largest_error: The largest of them.
        num_points: Measured points behind the fit.
        longest_bp: The longest sequence among them; beyond it the fit extrapolates.
    """

    coefficients: tuple[float, ...]
    median_error: float
    largest_error: float
    num_points: int
    longest_bp: int


MemoryModel = Mapping[tuple[str, str], Fit]
"""A `Fit` by attention and trainable set."""


def fit_memory(measured: pd.DataFrame) -> MemoryModel:
    """Fit peak memory to measured training steps, one fit per attention and trainable set.

    Weights, optimiser and gradients are counted, not fitted: four bytes for each parameter, and
    twelve more for each that is trained. The rest is a sum of four terms with coefficients that
    cannot be negative: a constant, what grows with the tokens, with tokens times layers, and with
    pairs of tokens. It is fitted to relative errors, since a plan fails by percents and not by
    bytes.

    Args:
        measured: Rows as `measurements.measure_all` gives them; those that are not `ok` are left
            out.

    Returns:
        The fits of every attention and trainable set that has at least three points.

    Raises:
        TooFewMeasurementsError: If none has.
    """
    if model := _fits(measured):
        return model
    usable = (measured["status"] == "ok").sum()
    raise TooFewMeasurementsError(f"{usable} usable measurements, expected three of a kind")


def predict_peak_gb(
    model: MemoryModel,
    *,
    attention: str,
    trainable: str,
    sequence_length_bp: int,
    num_transformer_layers: int = 11,
    channels: int = 1536,
    batch_size: int = 1,
    is_divided: bool = False,
) -> float:
    """Peak memory of a training step on one device, in GB of 10^9 bytes.

    Args:
        model: From `fit_memory`.
        attention: Kind of attention.
        trainable: What is trained, `attention` or `all`.
        sequence_length_bp: Length of the input.
        num_transformer_layers: Depth of the transformer.
        channels: Its width.
        batch_size: Sequences that the device holds at once: all of a batch, its share among
            several devices, or a plan's `sequences_at_once`.
        is_divided: Whether there is more to a batch than that, on other devices or later: a
            gradient of each trained variable is then kept for the average.

    Raises:
        ValueError: If nothing was fitted for this attention and trainable set.
    """
    fit = _fit_of(model, attention, trainable)
    point = _Point(
        attention, trainable, sequence_length_bp, num_transformer_layers, channels, batch_size
    )
    kept_gb = is_divided * point.gradients_gb
    return point.counted_gb + kept_gb + float(point.terms @ np.array(fit.coefficients))


def longest_sequence_bp(
    model: MemoryModel,
    *,
    budget_gb: float,
    attention: str,
    trainable: str,
    num_transformer_layers: int = 11,
    channels: int = 1536,
    batch_size: int = 1,
    is_divided: bool = False,
) -> int:
    """The longest sequence whose training step is predicted to fit, in blocks of 8,192 bp.

    Args:
        model: From `fit_memory`.
        budget_gb: Memory of the device, in 10^9 bytes.
        attention: As of `predict_peak_gb`.
        trainable: As there.
        num_transformer_layers: As there.
        channels: As there.
        batch_size: As there.
        is_divided: As there.

    Returns:
        Base pairs; 0 if not even one block fits.

    Raises:
        ValueError: If nothing was fitted for this attention and trainable set, or the fit does
            not grow with the sequence.
    """
    step_bp = 64 * BIN_SIZE_BP

    def fits(blocks: int) -> bool:
        peak_gb = predict_peak_gb(
            model,
            attention=attention,
            trainable=trainable,
            sequence_length_bp=blocks * step_bp,
            num_transformer_layers=num_transformer_layers,
            channels=channels,
            batch_size=batch_size,
            is_divided=is_divided,
        )
        return peak_gb <= budget_gb

    if not _grows(_fit_of(model, attention, trainable)):
        raise ValueError(f"the fit of {attention} ({trainable}) does not grow with the sequence")
    fitting, too_long = 0, 1
    while fits(too_long):
        fitting, too_long = too_long, 2 * too_long
    while too_long - fitting > 1:
        middle = (fitting + too_long) // 2
        fitting, too_long = (middle, too_long) if fits(middle) else (fitting, middle)
    return fitting * step_bp


def num_parameters(config: ModelConfig) -> dict[str, int]:
    """How many parameters a model has, by trainable set, without making it.

    Returns:
        `attention`: of the attention layers alone; `all`: of the whole model, moving statistics
        not counted.
    """
    channels = config.channels
    of_layer = attention_kind(config.attention).num_parameters(config)
    attention = config.num_transformer_layers * of_layer
    transformer = attention + config.num_transformer_layers * (
        4 * channels + _linear(channels, 2 * channels) + _linear(2 * channels, channels)
    )
    pooled = config.pooling == "attention"
    stem = config.stem_channels
    trunk = _linear(_STEM_WIDTH * 4, stem) + _residual_and_pool(stem, pooled)
    for inputs, outputs in itertools.pairwise((stem, *config.tower_channels)):
        trunk += 2 * inputs + _linear(_TOWER_WIDTH * inputs, outputs)
        trunk += _residual_and_pool(outputs, pooled)
    final = 2 * channels + _linear(channels, 2 * channels)
    heads = sum(_linear(2 * channels, tracks) for tracks in config.tracks.values())
    return {"attention": attention, "all": trunk + transformer + final + heads}


class _Point(NamedTuple):
    attention: str
    trainable: str
    sequence_length_bp: int
    num_transformer_layers: int
    channels: int
    batch_size: int

    @property
    def config(self) -> ModelConfig:
        return ModelConfig(
            attention=self.attention,
            channels=self.channels,
            num_transformer_layers=self.num_transformer_layers,
        )

    @property
    def gradients_gb(self) -> float:
        """A gradient for each trained variable."""
        return num_parameters(self.config)[self.trainable] * _BYTES_PER_VALUE / BYTES_PER_GB

    @property
    def counted_gb(self) -> float:
        """Weights, and for those trained a gradient and two moments."""
        counts = num_parameters(self.config)
        values = counts["all"] + 3 * counts[self.trainable]
        return values * _BYTES_PER_VALUE / BYTES_PER_GB

    @property
    def terms(self) -> np.ndarray:
        """What each of `Fit.coefficients` is multiplied by, in GB."""
        tokens = self.sequence_length_bp / BIN_SIZE_BP * self.batch_size
        activation = tokens * self.channels * _BYTES_PER_VALUE / BYTES_PER_GB
        pairs = tokens * self.sequence_length_bp / BIN_SIZE_BP * self.config.num_heads
        return np.array(
            [
                1.0,
                activation,
                activation * self.num_transformer_layers,
                pairs * _BYTES_PER_VALUE / BYTES_PER_GB,
            ]
        )


def _fit(rows: pd.DataFrame) -> Fit:
    points = [_Point(*row) for row in rows[list(_Point._fields)].itertuples(index=False)]
    measured = rows["peak_memory_gb"].to_numpy(float)
    counted = np.array([point.counted_gb for point in points])
    terms = np.stack([point.terms for point in points])
    relative = terms / measured[:, None]
    target = (measured - counted) / measured
    errors = []
    for left_out in range(len(points)):
        kept = np.arange(len(points)) != left_out
        coefficients = _non_negative_least_squares(relative[kept], target[kept])
        errors.append(abs(relative[left_out] @ coefficients - target[left_out]))
    return Fit(
        coefficients=tuple(_non_negative_least_squares(relative, target).tolist()),
        median_error=float(np.median(errors)),
        largest_error=float(np.max(errors)),
        num_points=len(points),
        longest_bp=int(rows["sequence_length_bp"].max()),
    )


def _non_negative_least_squares(matrix: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Exactly, by trying every set of coefficients that are not zero: there are 2^4."""
    best, least = np.zeros(matrix.shape[1]), float(target @ target)
    for size in range(1, matrix.shape[1] + 1):
        for chosen in itertools.combinations(range(matrix.shape[1]), size):
            columns = list(chosen)
            solution, *_ = np.linalg.lstsq(matrix[:, columns], target, rcond=None)
            residual = matrix[:, columns] @ solution - target
            if (solution >= 0).all() and residual @ residual < least * (1 - 1e-9):
                best, least = np.zeros(matrix.shape[1]), float(residual @ residual)
                best[columns] = solution
    return best


def _fits(measured: pd.DataFrame) -> MemoryModel:
    ok = measured[measured["status"] == "ok"]
    return {
        (str(attention), str(trainable)): _fit(rows)
        for (attention, trainable), rows in ok.groupby(["attention", "trainable"], sort=True)
        if len(rows) >= _FEWEST_POINTS
    }


def _grows(fit: Fit) -> bool:
    return any(fit.coefficients[1:])


def _fit_of(model: MemoryModel, attention: str, trainable: str) -> Fit:
    if (attention, trainable) not in model:
        known = ", ".join(f"{kind} ({which})" for kind, which in model)
        raise ValueError(f"nothing measured for {attention} ({trainable}), only for {known}")
    return model[attention, trainable]


def _residual_and_pool(channels: int, pooled: bool) -> int:
    return 2 * channels + _linear(channels, channels) + pooled * channels * channels


def _linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs
