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
_NUDGE = np.float32(1 + 2**-16)


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
    the same sequences, so positions compare like with like, and an unchanged sequence is predicted
    once for all of them. The study drew new sequences for each position, and its code replaces a
    base by one of two others (A by C or G, and so on, never by the third).

    Args:
        predict: `[batch, length, 4]` to `[batch, bins, tracks]`, the bins centred in the input.
        sequence_length_bp: length of the input, bp.
        positions_bp: base indices to change, as `mutation_positions_bp` gives them.
        num_sequences: how many random sequences (the study: 100).
        seed: of sequences and replacements, which do not depend on `batch_size`.
        batch_size: sequences per call of `predict`.

    Returns:
        One row per position and bin: mutation_position_bp, bin, bin_start_bp (in the input), and
        abs_change (in the units of the tracks).

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
        batch_size=batch_size,
    )


def noise_floor(
    predict: Predict,
    *,
    sequence_length_bp: int,
    positions_bp: Sequence[int] | NDArray[np.int64],
    num_sequences: int,
    seed: int,
    batch_size: int = 1,
) -> pd.DataFrame:
    """Measure the change that rounding makes: a mutation's effect below it is no effect.

    As `mutation_effects`, on the same sequences, but the base is kept and its 1 becomes 1 + 2^-16.
    By itself that does tens of thousands of times less than a mutation; what is measured is how the
    model's float32 sums round when their terms move a little.

    Args:
        predict: as in `mutation_effects`.
        sequence_length_bp: length of the input, bp.
        positions_bp: base indices to nudge.
        num_sequences: how many random sequences.
        seed: of the sequences.
        batch_size: sequences per call of `predict`.

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
        batch_size=batch_size,
    )


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


def _mean_changes(
    predict: Predict,
    alter: Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]],
    *,
    sequence_length_bp: int,
    positions_bp: Sequence[int] | NDArray[np.int64],
    num_sequences: int,
    seed: int,
    batch_size: int,
) -> pd.DataFrame:
    positions = _validated_positions(positions_bp, sequence_length_bp)
    for name, number in (("num_sequences", num_sequences), ("batch_size", batch_size)):
        if number < 1:
            raise ValueError(f"{name}={number}: expected at least 1")
    total = np.zeros(())  # [positions, bins] from the first sequence on
    for index in tqdm(range(num_sequences), desc="receptive field", unit="seq"):
        random = np.random.default_rng([seed, index])
        variants = _variants(sequence_length_bp, positions, alter, random)
        predictions = _in_batches(predict, variants, batch_size)  # [1 + positions, bins, tracks]
        total = total + np.abs(predictions[1:] - predictions[:1]).mean(axis=-1)
    return _tidy(total / num_sequences, positions, sequence_length_bp)


def _validated_positions(
    positions_bp: Sequence[int] | NDArray[np.int64], sequence_length_bp: int
) -> NDArray[np.int64]:
    positions = np.asarray(positions_bp, dtype=np.int64)
    outside = positions[(positions < 0) | (positions >= sequence_length_bp)]
    if outside.size:
        raise ValueError(f"position {outside[0]} bp: expected 0 to {sequence_length_bp - 1}")
    return positions


def _variants(
    sequence_length_bp: int,
    positions: NDArray[np.int64],
    alter: Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]],
    random: np.random.Generator,
) -> NDArray[np.float32]:
    """Draw a sequence and alter it at each position: `[1 + positions, length, 4]`, it first."""
    bases = random.integers(_NUM_BASES, size=sequence_length_bp)
    one_hot = np.eye(_NUM_BASES, dtype=np.float32)[bases]
    variants = np.repeat(one_hot[np.newaxis], 1 + len(positions), axis=0)
    for variant, position in zip(variants[1:], positions, strict=True):
        variant[position] = alter(variant[position], random)
    return variants


def _replace_base(base: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    return np.roll(base, random.integers(1, _NUM_BASES))


def _nudge_base(base: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    return base * _NUDGE


def _in_batches(
    predict: Predict, sequences: NDArray[np.float32], batch_size: int
) -> NDArray[np.float64]:
    starts = range(0, len(sequences), batch_size)
    predictions = [np.asarray(predict(sequences[i : i + batch_size])) for i in starts]
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
