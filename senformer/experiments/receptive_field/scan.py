"""How far a change of one base reaches: the study's mutation experiment, and gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from senformer.config import BIN_SIZE_BP
from senformer.experiments.receptive_field.passes import PredictVariants, Variants, check_positive

NOISE_MARGIN = 10
"""A change counts as an effect where it is this many times the noise."""

NUM_BASES = 4

_NUDGE = np.float32(1 + 2**-16)

_CURVES = ["mutation_position_bp", "bin"]


def mutation_positions_bp(sequence_length_bp: int, num_positions: int = 9) -> NDArray[np.int64]:
    """Spread positions evenly over a sequence, its first and last base included.

    Nine positions on 196,608 bp are those of the study.

    Args:
        sequence_length_bp: length of the input, bp.
        num_positions: how many positions, at least 2.

    Returns:
        Base indices from 0, `[num_positions]`, rounded down.

    Raises:
        ValueError: if there are fewer than 2 positions or fewer bases than positions.
    """
    if not 2 <= num_positions <= sequence_length_bp:
        raise ValueError(f"{num_positions=}: expected 2 to {sequence_length_bp=}")
    return np.linspace(0, sequence_length_bp - 1, num_positions).astype(np.int64)


def mutation_effects(
    predict: PredictVariants,
    *,
    sequence_length_bp: int,
    positions_bp: Sequence[int] | NDArray[np.int64],
    num_sequences: int,
    seed: int,
) -> pd.DataFrame:
    """Measure how much the prediction of each bin changes when one base is changed.

    Each random sequence (A, C, G, T equally likely) is predicted as it is and once per position
    with the base there replaced by one of the three others, equally likely. The change of a bin is
    `|mutated - original|`, averaged over tracks, then over sequences. Every position is tried on
    the same sequences, so positions compare like with like, and an unchanged sequence is predicted
    once for all of them. The study drew new sequences for each position, and its code replaces a
    base by one of two others (A by C or G, and so on, never by the third).

    Args:
        predict: from `spliced_passes` or `full_passes`; the bins centred in the input.
        sequence_length_bp: length of the input, bp.
        positions_bp: base indices to change, as `mutation_positions_bp` gives them.
        num_sequences: how many random sequences (the study: 100).
        seed: of sequences and replacements.

    Returns:
        One row per position and bin: mutation_position_bp, bin, bin_start_bp (in the input),
        abs_change (in the units of the tracks) and abs_change_of_mean (of the mean over tracks,
        which gradients are taken of).

    Raises:
        ValueError: if a position lies outside the sequence, or a number is not positive.

    Source: the study, Methods, "Receptive field"; its code, `evaluation/receptive_field.py`.
    """
    return _mean_changes(
        predict,
        _replace_base,
        sequence_length_bp=sequence_length_bp,
        positions_bp=positions_bp,
        num_sequences=num_sequences,
        seed=seed,
    )


def noise_floor(
    predict: PredictVariants,
    *,
    sequence_length_bp: int,
    positions_bp: Sequence[int] | NDArray[np.int64],
    num_sequences: int,
    seed: int,
) -> pd.DataFrame:
    """Measure the change that rounding makes: a mutation's effect below it is no effect.

    As `mutation_effects`, on the same sequences, but the base is kept and its 1 becomes 1 + 2^-16.
    By itself that does tens of thousands of times less than a mutation; what is measured is how the
    model's float32 sums round when their terms move a little.

    Args:
        predict: as in `mutation_effects`, and the same: each way of predicting rounds in its own.
        sequence_length_bp: length of the input, bp.
        positions_bp: base indices to nudge.
        num_sequences: how many random sequences.
        seed: of the sequences.

    Returns:
        The columns of `mutation_effects`, for the same positions and bins.

    Raises:
        ValueError: if a position lies outside the sequence, or a number is not positive.
    """
    return _mean_changes(
        predict,
        _nudge_base,
        sequence_length_bp=sequence_length_bp,
        positions_bp=positions_bp,
        num_sequences=num_sequences,
        seed=seed,
    )


def is_reached(changes: pd.DataFrame, noise: pd.DataFrame) -> pd.Series:
    """Say of each bin whether a change reached it: whether it is `NOISE_MARGIN` times the noise.

    Args:
        changes: from `mutation_effects`, with a column model where there are several.
        noise: from `noise_floor`, with the same columns, positions and bins.

    Returns:
        bool, one per row of `changes`.

    Raises:
        ValueError: if the noise of a row was not measured.
    """
    keys = [*_CURVES, *(["model"] if "model" in changes else [])]
    floor = changes[keys].merge(noise[[*keys, "abs_change"]], on=keys, how="left")["abs_change"]
    if floor.isna().any():
        row = changes[keys].iloc[int(floor.isna().argmax())].to_dict()
        raise ValueError(f"no noise measured for {row}")
    above = changes["abs_change"].to_numpy() > NOISE_MARGIN * floor.to_numpy()
    return pd.Series(above, index=changes.index, name="is_reached")


def share_reached(changes: pd.DataFrame, noise: pd.DataFrame) -> pd.DataFrame:
    """Say what share of the bins each change reached, as `figures.reach.share_reached` takes it.

    Args:
        changes: as of `is_reached`, with a column model.
        noise: likewise.

    Returns:
        One row per model and position: mutation_position_bp, line (the model), share. It keeps the
        `attrs`.
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
    """Estimate, from the gradient of a bin, what changing each base would do to it.

    Mutations show every bin for a few bases; gradients show every base for a few bins. The estimate
    is to first order: what a replacement adds is the gradient times the difference of the two
    bases, averaged in absolute value over the three replacements, the 128 bases of a token and the
    sequences. The gradient is of the mean over tracks, so compare with `abs_change_of_mean`.

    Args:
        predict: `[1, length, 4]` to `[1, bins, tracks]`, differentiable.
        sequence_length_bp: length of the input, bp, whole tokens.
        bins: which predicted bins, from 0.
        num_sequences: how many random sequences: the first of those of `mutation_effects`.
        seed: of the sequences.

    Returns:
        One row per bin and token: bin, bin_start_bp, position_bp (of the token, its middle),
        abs_change_of_mean.

    Raises:
        ValueError: if a bin is not predicted, or a number is not positive.
    """
    check_positive("num_sequences", num_sequences)
    target_length = _target_length(predict, sequence_length_bp)
    for of_bin in bins:
        if not 0 <= of_bin < target_length:
            raise ValueError(f"bin {of_bin}: expected 0 to {target_length - 1}")

    @tf.function
    def gradient(sequence: tf.Tensor, of_bin: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(sequence)
            of_mean = tf.reduce_mean(predict(sequence)[0, of_bin])
        return tape.gradient(of_mean, sequence)[0]

    tokens = sequence_length_bp // BIN_SIZE_BP
    total = np.zeros([len(bins), tokens])
    for index in tqdm(range(num_sequences), desc="gradients", unit="seq"):
        bases, one_hot = _random_sequence(sequence_length_bp, np.random.default_rng([seed, index]))
        for row, of_bin in enumerate(bins):
            slope = gradient(tf.constant(one_hot[np.newaxis]), tf.constant(of_bin)).numpy()
            added = np.abs(slope - slope[np.arange(len(bases)), bases, np.newaxis])
            per_base = added.sum(axis=-1) / (NUM_BASES - 1)
            total[row] += per_base.reshape(tokens, BIN_SIZE_BP).mean(axis=-1)
    bin_index = np.repeat(np.asarray(bins), tokens)
    first_bin_start_bp = _first_bin_start_bp(sequence_length_bp, target_length)
    return pd.DataFrame(
        {
            "bin": bin_index,
            "bin_start_bp": first_bin_start_bp + BIN_SIZE_BP * bin_index,
            "position_bp": np.tile(np.arange(tokens) * BIN_SIZE_BP + BIN_SIZE_BP // 2, len(bins)),
            "abs_change_of_mean": total.reshape(-1) / num_sequences,
        }
    )


def validated_positions(
    positions_bp: Sequence[int] | NDArray[np.int64], sequence_length_bp: int
) -> NDArray[np.int64]:
    """Give base indices as an array, once they lie in the sequence.

    Raises:
        ValueError: if a position lies outside the sequence.
    """
    positions = np.asarray(positions_bp, dtype=np.int64)
    outside = positions[(positions < 0) | (positions >= sequence_length_bp)]
    if outside.size:
        raise ValueError(f"position {outside[0]} bp: expected 0 to {sequence_length_bp - 1}")
    return positions


def _mean_changes(
    predict: PredictVariants,
    alter: Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]],
    *,
    sequence_length_bp: int,
    positions_bp: Sequence[int] | NDArray[np.int64],
    num_sequences: int,
    seed: int,
) -> pd.DataFrame:
    positions = validated_positions(positions_bp, sequence_length_bp)
    check_positive("num_sequences", num_sequences)
    total = np.zeros(
        [2, 1, 1]
    )  # [of each track or of their mean, positions, bins] from the first on
    for index in tqdm(range(num_sequences), desc="receptive field", unit="seq"):
        random = np.random.default_rng([seed, index])
        variants = _draw_variants(sequence_length_bp, positions, alter, random)
        predictions = np.asarray(predict(variants), dtype=np.float64)
        change = predictions[1:] - predictions[:1]  # [positions, bins, tracks]
        total = total + np.stack([np.abs(change).mean(axis=-1), np.abs(change.mean(axis=-1))])
    return _tidy(total / num_sequences, positions, sequence_length_bp)


def _target_length(predict: Callable[[tf.Tensor], tf.Tensor], sequence_length_bp: int) -> int:
    """Bins that a function predicts, found without predicting any."""
    sequence = tf.TensorSpec([1, sequence_length_bp, NUM_BASES])
    return int(tf.function(predict).get_concrete_function(sequence).output_shapes[1])


def _draw_variants(
    sequence_length_bp: int,
    positions: NDArray[np.int64],
    alter: Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]],
    random: np.random.Generator,
) -> Variants:
    _, one_hot = _random_sequence(sequence_length_bp, random)
    altered = [alter(one_hot[position], random) for position in positions]
    return Variants(one_hot, positions, np.stack(altered))


def _random_sequence(
    sequence_length_bp: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    bases = random.integers(NUM_BASES, size=sequence_length_bp)
    return bases, np.eye(NUM_BASES, dtype=np.float32)[bases]


def _replace_base(base: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    return np.roll(base, random.integers(1, NUM_BASES))


def _nudge_base(base: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    return base * _NUDGE


def _tidy(
    changes: NDArray[np.float64], positions: NDArray[np.int64], sequence_length_bp: int
) -> pd.DataFrame:
    _, num_positions, bins = changes.shape
    bin_index = np.tile(np.arange(bins), num_positions)
    return pd.DataFrame(
        {
            "mutation_position_bp": np.repeat(positions, bins),
            "bin": bin_index,
            "bin_start_bp": _first_bin_start_bp(sequence_length_bp, bins) + BIN_SIZE_BP * bin_index,
            "abs_change": changes[0].reshape(-1),
            "abs_change_of_mean": changes[1].reshape(-1),
        }
    )


def _first_bin_start_bp(sequence_length_bp: int, bins: int) -> int:
    return (sequence_length_bp // BIN_SIZE_BP - bins) // 2 * BIN_SIZE_BP
