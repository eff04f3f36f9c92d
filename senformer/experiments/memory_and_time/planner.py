"""Predict the peak memory of training steps from a model fitted to measurements."""

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
_MIN_POINTS = 3
_STEM_WIDTH, _TOWER_WIDTH = 15, 5


class TooFewMeasurementsError(ValueError):
    """A table has too few measurements for any fit."""


class PlannedStep(NamedTuple):
    """A training step on one device, whose memory can be predicted.

    Attributes:
        attention: Kind of attention.
        trainable: Trainable set, `attention` or `all`.
        sequence_length_bp: Length of the input in bp.
        num_transformer_layers: Number of transformer layers.
        channels: Width of the transformer.
        batch_size: Sequences that the device holds at once: a whole batch, its share of a batch
            among several devices, or a plan's `sequences_at_once`.
        is_divided: Whether the batch has more sequences, on other devices or later. The device
            then keeps a gradient of each trained variable for the average.
    """

    attention: str
    trainable: str
    sequence_length_bp: int = 196_608
    num_transformer_layers: int = 11
    channels: int = 1536
    batch_size: int = 1
    is_divided: bool = False

    @property
    def counted_gb(self) -> float:
        """Count weights, and for trained ones a gradient and two moments, in GB.

        A divided batch adds another gradient.
        """
        config = ModelConfig(
            attention=self.attention,
            channels=self.channels,
            num_transformer_layers=self.num_transformer_layers,
        )
        counts = num_parameters(config)
        values = counts["all"] + (3 + self.is_divided) * counts[self.trainable]
        return values * _BYTES_PER_VALUE / BYTES_PER_GB

    @property
    def terms(self) -> np.ndarray:
        """Return what each coefficient of a `Fit` is multiplied by, in GB."""
        tokens = self.sequence_length_bp / BIN_SIZE_BP
        activation = self.batch_size * tokens * self.channels * _BYTES_PER_VALUE / BYTES_PER_GB
        pairs = self.batch_size * tokens**2 * ModelConfig().num_heads
        return np.array(
            [
                1.0,
                activation,
                activation * self.num_transformer_layers,
                pairs * _BYTES_PER_VALUE / BYTES_PER_GB,
            ]
        )


class Fit(NamedTuple):
    """A fit of one kind of attention and one trainable set.

    Attributes:
        coefficients: Coefficients of the memory in addition to weights, optimiser and gradients,
            none negative: a constant in GB; float32 values per token and channel; the same per
            layer; float32 values per pair of tokens and head.
        median_error: Median of `|predicted - measured| / measured`, each point left out in turn.
        largest_error: Largest of these errors.
        num_points: Number of fitted measurements.
        longest_bp: The longest fitted sequence in bp; beyond it the fit extrapolates.
    """

    coefficients: tuple[float, ...]
    median_error: float
    largest_error: float
    num_points: int
    longest_bp: int


MemoryModel = Mapping[tuple[str, str], Fit]
"""A `Fit` by attention and trainable set."""


def fit_memory(measured: pd.DataFrame) -> MemoryModel:
    """Fit peak memory to measured training steps, by attention and trainable set.

    Weights, optimiser and gradients are counted: four bytes per parameter, and twelve more per
    trained parameter. The rest is a sum of four terms with non-negative coefficients: a constant,
    and terms that grow with tokens, with tokens times layers and with pairs of tokens. The fit
    minimises relative errors.

    Args:
        measured: Rows of `measurements.measure_all`. Only those with the status `ok` are used.

    Returns:
        The fits of every attention and trainable set with at least three measurements.

    Raises:
        TooFewMeasurementsError: If there is no such set.
    """
    usable = measured[measured["status"] == "ok"]
    fits = {
        (str(attention), str(trainable)): _fit(rows)
        for (attention, trainable), rows in usable.groupby(["attention", "trainable"], sort=True)
        if len(rows) >= _MIN_POINTS
    }
    if not fits:
        raise TooFewMeasurementsError(
            f"{len(usable)} usable measurements, expected three of a kind"
        )
    return fits


def predict_peak_gb(model: MemoryModel, step: PlannedStep) -> float:
    """Predict the peak memory of a training step on one device, in GB of 10^9 bytes.

    Args:
        model: From `fit_memory`.
        step: The training step.

    Raises:
        ValueError: If the model has no fit for this attention and trainable set.
    """
    fit = _select_fit(model, step)
    return step.counted_gb + float(step.terms @ np.array(fit.coefficients))


def longest_sequence_bp(model: MemoryModel, step: PlannedStep, *, budget_gb: float) -> int:
    """Find the longest sequence whose training step fits, in blocks of 8,192 bp.

    Args:
        model: From `fit_memory`.
        step: The training step; its own sequence length is ignored.
        budget_gb: Memory of the device, in 10^9 bytes.

    Returns:
        The length in bp; 0 if not even one block fits.

    Raises:
        ValueError: If the model has no fit for this attention and trainable set, or the fit does
            not grow with the sequence.
    """
    block_bp = 64 * BIN_SIZE_BP

    def fits(blocks: int) -> bool:
        longer = step._replace(sequence_length_bp=blocks * block_bp)
        return predict_peak_gb(model, longer) <= budget_gb

    if not any(_select_fit(model, step).coefficients[1:]):
        raise ValueError(
            f"the fit of {step.attention} ({step.trainable}) does not grow with the sequence"
        )
    fitting, too_long = 0, 1
    while fits(too_long):
        fitting, too_long = too_long, 2 * too_long
    while too_long - fitting > 1:
        middle = (fitting + too_long) // 2
        fitting, too_long = (middle, too_long) if fits(middle) else (fitting, middle)
    return fitting * block_bp


def _select_fit(model: MemoryModel, step: PlannedStep) -> Fit:
    key = (step.attention, step.trainable)
    if key not in model:
        known = ", ".join(f"{kind} ({trainable})" for kind, trainable in model)
        raise ValueError(f"nothing measured for {key[0]} ({key[1]}), only for {known}")
    return model[key]


def num_parameters(config: ModelConfig) -> dict[str, int]:
    """Count the parameters of a model by trainable set, without making the model.

    Returns:
        `attention`: those of the attention layers; `all`: those of the whole model, without
        moving statistics.
    """
    channels, layers = config.channels, config.num_transformer_layers
    has_pooling_weights = config.pooling == "attention"

    def count_residual_and_pool(width: int) -> int:
        return 2 * width + _count_linear(width, width) + has_pooling_weights * width * width

    attention = layers * attention_kind(config.attention).num_parameters(config)
    feed_forward = _count_linear(channels, 2 * channels) + _count_linear(2 * channels, channels)
    transformer = attention + layers * (4 * channels + feed_forward)
    stem = config.stem_channels
    trunk = _count_linear(_STEM_WIDTH * 4, stem) + count_residual_and_pool(stem)
    for inputs, outputs in itertools.pairwise((stem, *config.tower_channels)):
        trunk += 2 * inputs + _count_linear(_TOWER_WIDTH * inputs, outputs)
        trunk += count_residual_and_pool(outputs)
    final = 2 * channels + _count_linear(channels, 2 * channels)
    heads = sum(_count_linear(2 * channels, tracks) for tracks in config.tracks.values())
    return {"attention": attention, "all": trunk + transformer + final + heads}


def _count_linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def _fit(rows: pd.DataFrame) -> Fit:
    columns = list(PlannedStep._fields[:-1])
    steps = [PlannedStep(*row) for row in rows[columns].itertuples(index=False)]
    measured = rows["peak_memory_gb"].to_numpy(float)
    counted = np.array([step.counted_gb for step in steps])
    relative = np.stack([step.terms for step in steps]) / measured[:, None]
    target = (measured - counted) / measured
    errors = []
    for left_out in range(len(steps)):
        kept = np.arange(len(steps)) != left_out
        coefficients = _non_negative_least_squares(relative[kept], target[kept])
        errors.append(abs(relative[left_out] @ coefficients - target[left_out]))
    return Fit(
        coefficients=tuple(_non_negative_least_squares(relative, target).tolist()),
        median_error=float(np.median(errors)),
        largest_error=float(np.max(errors)),
        num_points=len(steps),
        longest_bp=int(rows["sequence_length_bp"].max()),
    )


def _non_negative_least_squares(matrix: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Solve exactly by trying every set of non-zero coefficients, at most 2^4."""
    best, smallest = np.zeros(matrix.shape[1]), float(target @ target)
    for size in range(1, matrix.shape[1] + 1):
        for columns in map(list, itertools.combinations(range(matrix.shape[1]), size)):
            solution, *_ = np.linalg.lstsq(matrix[:, columns], target, rcond=None)
            residual = matrix[:, columns] @ solution - target
            if (solution >= 0).all() and residual @ residual < smallest * (1 - 1e-9):
                best, smallest = np.zeros(matrix.shape[1]), float(residual @ residual)
                best[columns] = solution
    return best
