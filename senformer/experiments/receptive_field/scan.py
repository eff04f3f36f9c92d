"""Measure how far an effect of one base reaches: by mutations, as in the study, or by gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from senformer.config import BIN_SIZE_BP, expect_integer
from senformer.experiments.receptive_field.passes import PredictVariants, Variants

NOISE_MARGIN = 10
"""An effect has to be this many times the noise."""

NUM_BASES = 4

_NUDGE = np.float32(1 + 2**-16)

_CURVE_KEYS = ["mutation_position_bp", "bin"]

_ReplaceBase = Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class ScanPlan:
    """Settings of a mutation experiment on random sequences.

    Attributes:
        sequence_length_bp: Length of the input in bp.
        positions_bp: Indices of the bases to mutate, from 0. `mutation_positions_bp` spreads them
            over the input.
        num_sequences: Number of random sequences (the study: 100).
        seed: Seed of the sequences and of the replacements.

    Raises:
        ValueError: If a position lies outside the sequence, or there is no sequence.
    """

    sequence_length_bp: int
    positions_bp: Sequence[int] | NDArray[np.int64]
    num_sequences: int
    seed: int

    def __post_init__(self) -> None:
        validate_positions(self.positions_bp, self.sequence_length_bp)
        expect_integer("num_sequences", self.num_sequences, 1)


def mutation_positions_bp(sequence_length_bp: int, num_positions: int = 9) -> NDArray[np.int64]:
    """Spread positions evenly over a sequence, including its first and last base.

    Nine positions on 196,608 bp are those of the study.

    Args:
        sequence_length_bp: Length of the input in bp.
        num_positions: Number of positions, at least 2.

    Returns:
        Base indices from 0, `[num_positions]`, rounded down.

    Raises:
        ValueError: If there are fewer than 2 positions or fewer bases than positions.
    """
    if not 2 <= num_positions <= sequence_length_bp:
        raise ValueError(f"{num_positions=}, expected 2 to {sequence_length_bp=}")
    return np.linspace(0, sequence_length_bp - 1, num_positions).astype(np.int64)


def validate_positions(
    positions_bp: Sequence[int] | NDArray[np.int64], sequence_length_bp: int
) -> NDArray[np.int64]:
    """Return base indices as an array after checking that they lie in the sequence.

    Raises:
        ValueError: If a position lies outside the sequence.
    """
    positions = np.asarray(positions_bp, dtype=np.int64)
    outside = positions[(positions < 0) | (positions >= sequence_length_bp)]
    if outside.size:
        raise ValueError(f"position {outside[0]} bp, expected 0 to {sequence_length_bp - 1}")
    return positions


def mutation_effects(predict: PredictVariants, plan: ScanPlan) -> pd.DataFrame:
    """Measure how much the prediction of each bin changes when one base is mutated.

    The model predicts each random sequence (A, C, G and T equally likely) once unchanged and once
    per position with the base there replaced by one of the three others, equally likely. The
    change of a bin is `|mutated - original|`, averaged over tracks, then over sequences. All
    positions use the same sequences, so that they can be compared. The study drew new sequences
    for each position, and its code replaces a base by one of only two others (A by C or G).

    Args:
        predict: From `spliced_passes` or `full_passes`. Predicted bins are centred in the input.
        plan: Positions and sequences.

    Returns:
        One row per position and bin: mutation_position_bp, bin, bin_start_bp (in the input),
        abs_change (in the units of the tracks) and abs_change_of_mean (of the mean over tracks,
        as for gradients).

    Source: the study, Methods, "Receptive field"; its code, `evaluation/receptive_field.py`.
    """
    return _mean_changes(
        predict, lambda base, random: np.roll(base, random.integers(1, NUM_BASES)), plan
    )


def noise_floor(predict: PredictVariants, plan: ScanPlan) -> pd.DataFrame:
    """Measure the change that rounding alone makes, as a control for `mutation_effects`.

    The experiment is the same, on the same sequences, but each base keeps its letter and its 1
    becomes 1 + 2^-16. The direct effect is tens of thousands of times smaller than that of a
    mutation; the measured change shows how the model's float32 sums round.

    Args:
        predict: The function given to `mutation_effects`, since each has its own rounding.
        plan: Positions and sequences.

    Returns:
        The columns of `mutation_effects`, for the same positions and bins.
    """
    return _mean_changes(predict, lambda base, random: base * _NUDGE, plan)


def _mean_changes(
    predict: PredictVariants, replace_base: _ReplaceBase, plan: ScanPlan
) -> pd.DataFrame:
    positions = np.asarray(plan.positions_bp, dtype=np.int64)
    total = np.zeros([2, 1, 1])  # [per track or of the mean over tracks, positions, bins]
    for index in tqdm(range(plan.num_sequences), desc="receptive field", unit="seq"):
        random = np.random.default_rng([plan.seed, index])
        _, sequence = _random_sequence(plan.sequence_length_bp, random)
        replaced = np.stack([replace_base(sequence[position], random) for position in positions])
        variants = Variants(sequence, positions, replaced)
        predictions = np.asarray(predict(variants), dtype=np.float64)
        change = predictions[1:] - predictions[:1]  # [positions, bins, tracks]
        total = total + np.stack([np.abs(change).mean(axis=-1), np.abs(change.mean(axis=-1))])
    abs_change, abs_change_of_mean = total / plan.num_sequences
    num_bins = total.shape[-1]
    bins = np.tile(np.arange(num_bins), len(positions))
    return pd.DataFrame(
        {
            "mutation_position_bp": np.repeat(positions, num_bins),
            "bin": bins,
            "bin_start_bp": _bin_starts_bp(bins, num_bins, plan.sequence_length_bp),
            "abs_change": abs_change.reshape(-1),
            "abs_change_of_mean": abs_change_of_mean.reshape(-1),
        }
    )


def is_reached(changes: pd.DataFrame, noise: pd.DataFrame) -> pd.Series:
    """Tell which bins a mutation reached: the effect exceeds `NOISE_MARGIN` times the noise.

    Args:
        changes: From `mutation_effects`, with a column model if there are several models.
        noise: From `noise_floor`, with the same columns, positions and bins.

    Returns:
        Booleans, one per row of `changes`.

    Raises:
        ValueError: If `noise` lacks a row of `changes`.
    """
    keys = [*_CURVE_KEYS, *(["model"] if "model" in changes else [])]
    floor = changes[keys].merge(noise[[*keys, "abs_change"]], on=keys, how="left")["abs_change"]
    if floor.isna().any():
        row = changes[keys].iloc[int(floor.isna().argmax())].to_dict()
        raise ValueError(f"no noise measured for {row}")
    exceeds = changes["abs_change"].to_numpy() > NOISE_MARGIN * floor.to_numpy()
    return pd.Series(exceeds, index=changes.index, name="is_reached")


def share_reached(changes: pd.DataFrame, noise: pd.DataFrame) -> pd.DataFrame:
    """Compute the share of bins that each mutation reached, for `figures.reach.share_reached`.

    Args:
        changes: From `mutation_effects`, with a column model.
        noise: From `noise_floor`, with a column model.

    Returns:
        One row per model and position: mutation_position_bp, line (the model), share. The `attrs`
        of `changes` stay.
    """
    reached = changes.assign(share=is_reached(changes, noise), line=changes["model"])
    shares = reached.groupby(["line", "mutation_position_bp"], sort=False)["share"].mean()
    table = shares.reset_index()
    table.attrs = changes.attrs
    return table


def gradient_effects(
    predict: Callable[[tf.Tensor], tf.Tensor],
    *,
    sequence_length_bp: int,
    bins: Sequence[int],
    num_sequences: int,
    seed: int,
) -> pd.DataFrame:
    """Estimate from a bin's gradient how mutating each base would change the bin.

    Mutations show every bin for a few bases; gradients show every base for a few bins. To first
    order, the effect of a mutation is the gradient times the difference of the two bases. The
    result averages its absolute value over the three mutations of a base, the 128 bases of a
    token and the sequences. The gradient is that of the mean over tracks, so compare it with
    `abs_change_of_mean`.

    Args:
        predict: Differentiable, from `[1, length, 4]` to `[1, bins, tracks]`.
        sequence_length_bp: Length of the input in bp, a multiple of 128.
        bins: Indices of predicted bins, from 0.
        num_sequences: Number of random sequences, the first of those of `mutation_effects`.
        seed: Seed of the sequences.

    Returns:
        One row per bin and token: bin, bin_start_bp, position_bp (the middle of the token),
        abs_change_of_mean.

    Raises:
        ValueError: If the model does not predict a bin, or there is no sequence.
    """
    expect_integer("num_sequences", num_sequences, 1)
    spec = tf.TensorSpec([1, sequence_length_bp, NUM_BASES])
    num_bins = int(tf.function(predict).get_concrete_function(spec).output_shapes[1])
    if unknown := [number for number in bins if not 0 <= number < num_bins]:
        raise ValueError(f"bin {unknown[0]}, expected 0 to {num_bins - 1}")

    @tf.function
    def compute_gradient(sequence: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(sequence)
            mean_over_tracks = tf.reduce_mean(predict(sequence)[0, number])
        return tape.gradient(mean_over_tracks, sequence)[0]

    num_tokens = sequence_length_bp // BIN_SIZE_BP
    total = np.zeros([len(bins), num_tokens])
    for index in tqdm(range(num_sequences), desc="gradients", unit="seq"):
        bases, sequence = _random_sequence(sequence_length_bp, np.random.default_rng([seed, index]))
        for row, number in enumerate(bins):
            gradient = compute_gradient(
                tf.constant(sequence[np.newaxis]), tf.constant(number)
            ).numpy()
            effects = np.abs(gradient - gradient[np.arange(len(bases)), bases, np.newaxis])
            by_base = effects.sum(axis=-1) / (NUM_BASES - 1)
            total[row] += by_base.reshape(-1, BIN_SIZE_BP).mean(axis=-1)
    bin_column = np.repeat(np.asarray(bins), num_tokens)
    middles_bp = np.arange(num_tokens) * BIN_SIZE_BP + BIN_SIZE_BP // 2
    return pd.DataFrame(
        {
            "bin": bin_column,
            "bin_start_bp": _bin_starts_bp(bin_column, num_bins, sequence_length_bp),
            "position_bp": np.tile(middles_bp, len(bins)),
            "abs_change_of_mean": total.reshape(-1) / num_sequences,
        }
    )


def _random_sequence(
    sequence_length_bp: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Draw a sequence: base indices `[length]` and their one-hot encoding `[length, 4]`."""
    bases = random.integers(NUM_BASES, size=sequence_length_bp)
    return bases, np.eye(NUM_BASES, dtype=np.float32)[bases]


def _bin_starts_bp(
    bins: NDArray[np.int64], num_bins: int, sequence_length_bp: int
) -> NDArray[np.int64]:
    """Return where centred bins start in the input, in bp."""
    first_token = (sequence_length_bp // BIN_SIZE_BP - num_bins) // 2
    return first_token * BIN_SIZE_BP + BIN_SIZE_BP * bins
