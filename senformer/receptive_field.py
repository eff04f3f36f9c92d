"""How far a change of one base reaches: the study's mutation experiment, and what bounds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from senformer.config import BIN_SIZE_BP

Predict = Callable[[NDArray[np.float32]], ArrayLike]
"""`[batch, length, 4]` to `[batch, bins, tracks]`."""

_NUM_BASES = 4


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
    predict: Predict,
    *,
    sequence_length_bp: int,
    positions_bp: Sequence[int] | NDArray[np.int64],
    num_sequences: int,
    seed: int,
    batch_size: int = 1,
) -> pd.DataFrame:
    """Measure how much the prediction of each bin changes when one base is changed.

    Each random sequence (A, C, G, T equally likely) is predicted as it is and once per position
    with the base there replaced by one of the three others, equally likely. The change of a bin is
    `|mutated - original|`, averaged over tracks, then over sequences. Every position is tried on
    the same sequences, so positions compare like with like. The study drew new sequences for each
    position and replaced a base by one of two others.

    Args:
        predict: `[batch, length, 4]` to `[batch, bins, tracks]`, the bins centred in the input.
        sequence_length_bp: length of the input, bp.
        positions_bp: base indices to change, as `mutation_positions_bp` gives them.
        num_sequences: how many random sequences (the study: 100).
        seed: of sequences and replacements; the result does not depend on `batch_size`.
        batch_size: sequences per call of `predict`.

    Returns:
        One row per position and bin: mutation_position_bp, bin, bin_start_bp (in the input), and
        abs_change (in the units of the tracks).

    Raises:
        ValueError: if a position lies outside the sequence, or `num_sequences` is not positive.

    Source: the study, Methods, "Receptive field".
    """
    positions = _validated_positions(positions_bp, sequence_length_bp)
    if num_sequences < 1 or batch_size < 1:
        raise ValueError(f"{num_sequences=}, {batch_size=}: both must be at least 1")
    total = np.zeros(())  # [positions, bins] from the first sequence on
    for index in tqdm(range(num_sequences), desc="sequences", unit="seq"):
        variants = _variants(sequence_length_bp, positions, seed=seed, index=index)
        predictions = _in_batches(predict, variants, batch_size)  # [1 + positions, bins, tracks]
        total = total + np.abs(predictions[1:] - predictions[:1]).mean(axis=-1)
    return _tidy(total / num_sequences, positions, sequence_length_bp)


def noise_floor(
    predict: Predict, *, sequence_length_bp: int, num_sequences: int, seed: int, batch_size: int = 1
) -> pd.DataFrame:
    """Measure the change that rounding alone makes: a difference below it is no effect.

    Each random sequence is predicted twice, unchanged, as the first and the last of a batch: sums
    are then taken in other orders, as they are for a sequence and its mutant in
    `mutation_effects`.

    Args:
        predict: as in `mutation_effects`.
        sequence_length_bp: length of the input, bp.
        num_sequences: how many random sequences.
        seed: of the sequences.
        batch_size: sequences per call of `predict`.

    Returns:
        One row per bin: bin, bin_start_bp, abs_change (mean over tracks and sequences).
    """
    total = np.zeros(())
    for index in range(num_sequences):
        one = _random_bases(sequence_length_bp, seed=seed, index=index)
        same = np.repeat(one[np.newaxis], max(2, batch_size), axis=0)
        predictions = _in_batches(predict, same, batch_size)
        total = total + np.abs(predictions[-1:] - predictions[:1]).mean(axis=-1)
    frame = _tidy(total / num_sequences, np.zeros(1, np.int64), sequence_length_bp)
    return frame.drop(columns="mutation_position_bp")


def bigbird_pattern(random_blocks: ArrayLike) -> NDArray[np.bool_]:
    """Draw which blocks see which in one layer of BigBird attention, by any of its heads.

    Args:
        random_blocks: int `[heads, blocks - 2, random]`, the random blocks of blocks 1 to
            `blocks - 2`.

    Returns:
        bool `[query blocks, key blocks]`: the first and last block see all and are seen by all,
        each other block sees itself, its neighbours, and its random blocks.
    """
    drawn = np.asarray(random_blocks)
    blocks = drawn.shape[1] + 2
    index = np.arange(blocks)
    pattern = np.abs(index[:, np.newaxis] - index) <= 1
    pattern[[0, -1], :] = True
    pattern[:, [0, -1]] = True
    for row, keys in enumerate(np.moveaxis(drawn, 1, 0).reshape(blocks - 2, -1), start=1):
        pattern[row, keys] = True
    return pattern


def reachable_blocks(pattern: ArrayLike, num_layers: int) -> NDArray[np.bool_]:
    """Find which input blocks can change which output blocks after a number of layers.

    This is the receptive field that attention allows; the trunk's convolutions widen it by a few
    tokens on each side, and training may leave parts of it unused.

    Args:
        pattern: bool `[query blocks, key blocks]`, or `[layers, query blocks, key blocks]` where
            layers differ, input first.
        num_layers: how many attention layers; each has a residual connection, so a block always
            keeps what it had.

    Returns:
        bool `[output blocks, input blocks]`.

    Raises:
        ValueError: if the pattern is not square or has not one matrix per layer.
    """
    patterns = np.asarray(pattern, dtype=bool)
    if patterns.ndim == 2:
        patterns = np.broadcast_to(patterns, (num_layers, *patterns.shape))
    if patterns.ndim != 3 or patterns.shape[1] != patterns.shape[2] or len(patterns) != num_layers:
        raise ValueError(f"pattern of shape {patterns.shape}: expected {num_layers=} square ones")
    reached = np.eye(patterns.shape[1], dtype=bool)
    for layer in patterns:
        reached = reached | (layer.astype(np.int64) @ reached.astype(np.int64) > 0)
    return reached


def _validated_positions(
    positions_bp: Sequence[int] | NDArray[np.int64], sequence_length_bp: int
) -> NDArray[np.int64]:
    positions = np.asarray(positions_bp, dtype=np.int64)
    outside = positions[(positions < 0) | (positions >= sequence_length_bp)]
    if outside.size:
        raise ValueError(f"position {outside[0]} bp: expected 0 to {sequence_length_bp - 1}")
    return positions


def _random_bases(sequence_length_bp: int, *, seed: int, index: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, index]).integers(_NUM_BASES, size=sequence_length_bp)


def _variants(
    sequence_length_bp: int, positions: NDArray[np.int64], *, seed: int, index: int
) -> NDArray[np.int64]:
    bases = _random_bases(sequence_length_bp, seed=seed, index=index)
    shifts = np.random.default_rng([seed, index, 1]).integers(1, _NUM_BASES, size=len(positions))
    variants = np.repeat(bases[np.newaxis], 1 + len(positions), axis=0)  # [1 + positions, length]
    mutants = np.arange(1, 1 + len(positions))
    variants[mutants, positions] = (bases[positions] + shifts) % _NUM_BASES
    return variants


def _in_batches(predict: Predict, bases: NDArray[np.int64], batch_size: int) -> NDArray[np.float64]:
    one_hot = np.eye(_NUM_BASES, dtype=np.float32)
    starts = range(0, len(bases), batch_size)
    predictions = [np.asarray(predict(one_hot[bases[i : i + batch_size]])) for i in starts]
    return np.concatenate(predictions).astype(np.float64)


def _tidy(
    changes: NDArray[np.float64], positions: NDArray[np.int64], sequence_length_bp: int
) -> pd.DataFrame:
    num_positions, bins = changes.shape
    first_bin_start_bp = (sequence_length_bp - bins * BIN_SIZE_BP) // 2
    bin_index = np.tile(np.arange(bins), num_positions)
    return pd.DataFrame(
        {
            "mutation_position_bp": np.repeat(positions, bins),
            "bin": bin_index,
            "bin_start_bp": first_bin_start_bp + BIN_SIZE_BP * bin_index,
            "abs_change": changes.reshape(-1),
        }
    )
