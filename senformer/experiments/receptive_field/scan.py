"""How far a change of one base reaches: the study's mutation experiment, and what bounds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from senformer.attention_kinds import KINDS, attention_kind
from senformer.config import BIN_SIZE_BP, ModelConfig, expect_one_of, preset
from senformer.model import trunk
from senformer.model.attention.random_blocks import layer_random_blocks
from senformer.model.enformer import Enformer
from senformer.report import published
from senformer.report.claims import COLUMNS, not_comparable

NOISE_MARGIN = 10
"""A change counts as an effect where it is this many times the noise."""

MODELS = ("Enformer", "S-Enformer")
"""What the tables call the two models."""

_NUM_BASES = 4
_NUDGE = np.float32(1 + 2**-16)
_CHANGED_TOKENS = 2 * trunk.reach_tokens() + 1
_WINDOW_TOKENS = 4 * trunk.reach_tokens() + 1
_CURVES = ["mutation_position_bp", "bin"]


class Variants(NamedTuple):
    """A sequence, and one base of it put in place of another, one variant at a time.

    Attributes:
        sequence: float32 `[length, 4]`.
        positions_bp: int `[variants]`, which base.
        bases: float32 `[variants, 4]`, what stands there instead.
    """

    sequence: NDArray[np.float32]
    positions_bp: NDArray[np.int64]
    bases: NDArray[np.float32]


PredictVariants = Callable[[Variants], NDArray[np.float32]]
"""The sequence's prediction, then its variants': `[1 + variants, bins, tracks]`."""


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


def full_passes(
    predict: Callable[[NDArray[np.float32]], ArrayLike], *, batch_size: int = 1
) -> PredictVariants:
    """Predict variants the plain way, each from its first base to its last.

    Use it for a model that is not ours, and to check `spliced_passes`.

    Args:
        predict: `[batch, length, 4]` to `[batch, bins, tracks]`.
        batch_size: sequences per call of `predict`.

    Raises:
        ValueError: if the batch size is not positive.
    """
    _check_positive("batch_size", batch_size)

    def predict_variants(variants: Variants) -> NDArray[np.float32]:
        sequence, positions, bases = variants
        altered = np.repeat(sequence[np.newaxis], 1 + len(positions), axis=0)
        altered[np.arange(1, len(altered)), positions] = bases
        starts = range(0, len(altered), batch_size)
        return np.concatenate([np.asarray(predict(altered[i : i + batch_size])) for i in starts])

    return predict_variants


def spliced_passes(model: Enformer, head: str, *, batch_size: int = 1) -> PredictVariants:
    """Predict variants by computing only the tokens that a changed base reaches in the trunk.

    The trunk is local: a base reaches three tokens to either side of its own. So the sequence's
    tokens are computed once, each variant's seven from a window of thirteen, and spliced in; the
    transformer runs as usual, and only one head. Results equal those of full passes but for
    rounding.

    Args:
        model: in evaluation mode, whose statistics are fixed.
        head: which of its heads.
        batch_size: variants that go through the transformer together.

    Raises:
        ValueError: if the model has no such head or the batch size is not positive.
    """
    _check_positive("batch_size", batch_size)
    expect_one_of("head", head, model.heads)
    # The modules, not `model.embed`: what a mutation leaves alone is then rounded alike in both.
    blocks = model.trunk_in_evaluation()
    dtype = model.config.compute_dtype
    embed = tf.function(lambda sequence: trunk.embed_in_windows(blocks, tf.cast(sequence, dtype)))
    embed_windows = tf.function(
        lambda windows: trunk.embed(blocks, tf.cast(windows, dtype)), reduce_retracing=True
    )
    predict = tf.function(
        lambda *spliced: model.predict_head(head, model.transform(_splice(*spliced))),
        reduce_retracing=True,
    )

    def predict_variants(variants: Variants) -> NDArray[np.float32]:
        tokens = embed(tf.constant(variants.sequence[np.newaxis]))[0]  # [tokens, channels]
        windows, first_tokens, first_in_window = _windows(variants)
        computed = embed_windows(tf.constant(windows))
        changed = _rows(computed, tf.constant(first_in_window), _num_changed(len(tokens)))
        # The sequence itself: its own tokens in place of themselves.
        unchanged = tokens[np.newaxis, : changed.shape[1]]
        changed = tf.concat([unchanged, changed], axis=0)
        first_tokens = np.concatenate([[0], first_tokens])
        starts = range(0, len(first_tokens), batch_size)
        batches = [slice(i, i + batch_size) for i in starts]
        predictions = [
            predict(tokens, changed[batch], tf.constant(first_tokens[batch])) for batch in batches
        ]
        return np.concatenate([x.numpy() for x in predictions])

    return predict_variants


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
    _check_positive("num_sequences", num_sequences)
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
            per_base = added.sum(axis=-1) / (_NUM_BASES - 1)
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


def bigbird_heads(random_blocks: ArrayLike) -> NDArray[np.int64]:
    """Count by how many heads of a layer of BigBird attention each block sees each other.

    Args:
        random_blocks: int32 `[heads, blocks - 2, random]`, the random blocks of blocks 1 to
            `blocks - 2`.

    Returns:
        int `[query blocks, key blocks]`: all heads where the pattern is fixed (the first and last
        block, the neighbours), elsewhere those that drew the block.
    """
    drawn = np.asarray(random_blocks)
    num_heads, rows, _ = drawn.shape
    blocks = rows + 2
    sees = np.zeros([num_heads, blocks, blocks], dtype=bool)
    index = np.arange(blocks)
    sees[:, np.abs(index[:, np.newaxis] - index) <= 1] = True
    sees[:, [0, -1], :] = True
    sees[:, :, [0, -1]] = True
    head, row, _ = np.indices(drawn.shape)
    sees[head, row + 1, drawn] = True
    return sees.sum(axis=0)


def bigbird_pattern(random_blocks: ArrayLike) -> NDArray[np.bool_]:
    """Draw which blocks see which in one layer of BigBird attention, by any of its heads.

    Args:
        random_blocks: int32 `[heads, blocks - 2, random]`, the random blocks of blocks 1 to
            `blocks - 2`.

    Returns:
        bool `[query blocks, key blocks]`: the first and last block see all and are seen by all,
        each other block sees itself, its neighbours, and its random blocks.
    """
    return bigbird_heads(random_blocks) > 0


def attention_patterns(config: ModelConfig, sequence_length_bp: int) -> NDArray[np.bool_]:
    """Give the attention pattern of every layer of a model.

    Args:
        config: the model; random blocks are those of its own draw.
        sequence_length_bp: length of the input, bp.

    Returns:
        bool `[layers, query blocks, key blocks]`; for attention that is not sparse, a block is a
        token and every entry is true.

    Raises:
        ValueError: if the model does not take a sequence of this length.
    """
    tokens = config.num_tokens(sequence_length_bp)
    num_layers = config.num_transformer_layers
    if attention_kind(config.attention).pattern == "full":
        return np.broadcast_to(np.True_, (num_layers, tokens, tokens))
    _expect_bigbird_pattern(config)
    return np.stack(
        [bigbird_pattern(layer_random_blocks(config, i, tokens)) for i in range(num_layers)]
    )


def _expect_bigbird_pattern(config: ModelConfig) -> None:
    if attention_kind(config.attention).pattern != "bigbird":
        drawn = [name for name, kind in KINDS.items() if kind.pattern == "bigbird"]
        raise ValueError(f"attention={config.attention!r}, expected one of {', '.join(drawn)}")


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
        reached = reached | (layer.astype(np.float32) @ reached.astype(np.float32) > 0)
    return reached


def reachable_bins(
    config: ModelConfig,
    *,
    sequence_length_bp: int,
    positions_bp: Sequence[int] | NDArray[np.int64],
    num_layers: int,
) -> NDArray[np.bool_]:
    """Find which predicted bins a base can change at all, through trunk and attention pattern.

    Outside of it a change is zero whatever the weights are; inside, training decides.

    Args:
        config: the model.
        sequence_length_bp: length of the input, bp.
        positions_bp: which bases.
        num_layers: how many of its attention layers, counted from the input.

    Returns:
        bool `[positions, bins]`.

    Raises:
        ValueError: if the model does not take this length, a position lies outside the sequence,
            or the model has fewer layers.
    """
    if not 0 <= num_layers <= config.num_transformer_layers:
        raise ValueError(f"{num_layers=}: expected 0 to {config.num_transformer_layers}")
    positions = _validated_positions(positions_bp, sequence_length_bp)
    patterns = attention_patterns(config, sequence_length_bp)[:num_layers]
    reached = reachable_blocks(patterns, num_layers)  # [output blocks, input blocks]
    tokens = config.num_tokens(sequence_length_bp)
    tokens_per_block = tokens // len(reached)
    starts = np.arange(tokens) * BIN_SIZE_BP
    first = positions[:, np.newaxis] - trunk.reach_bp() - BIN_SIZE_BP < starts
    last = starts <= positions[:, np.newaxis] + trunk.reach_bp()
    in_trunk = first & last  # [positions, tokens]
    touched = in_trunk.reshape(len(positions), -1, tokens_per_block).any(axis=-1)
    by_block = touched.astype(np.float32) @ reached.T.astype(np.float32) > 0
    # Without a layer a block is not filled: the trunk alone decides.
    by_token = np.repeat(by_block, tokens_per_block, axis=1) if num_layers else in_trunk
    margin = (tokens - config.target_length) // 2
    return by_token[:, margin : margin + config.target_length]


def pattern_of_layer(config: ModelConfig, layer: int, sequence_length_bp: int) -> pd.DataFrame:
    """Tabulate the pattern of one layer of a sparse model, for a figure.

    Args:
        config: a model with sparse attention.
        layer: which layer, from 0.
        sequence_length_bp: length of the input, bp.

    Returns:
        One row per pair of blocks: query_block, key_block, num_heads (0 where no head sees it).

    Raises:
        ValueError: if the attention is not sparse, or the model does not take this length.
    """
    _expect_bigbird_pattern(config)
    tokens = config.num_tokens(sequence_length_bp)
    heads = bigbird_heads(layer_random_blocks(config, layer, tokens))
    query_block, key_block = np.indices(heads.shape).reshape(2, -1)
    return pd.DataFrame(
        {"query_block": query_block, "key_block": key_block, "num_heads": heads.reshape(-1)}
    )


def allowed_shares(
    configs: Sequence[ModelConfig],
    *,
    sequence_length_bp: int,
    positions_bp: Sequence[int] | NDArray[np.int64],
    num_layers: Sequence[int],
) -> pd.DataFrame:
    """Tabulate what share of the predicted bins a base can reach, by the number of layers.

    Args:
        configs: models, told apart by their kind of attention.
        sequence_length_bp: length of the input, bp.
        positions_bp: which bases.
        num_layers: numbers of attention layers, counted from the input.

    Returns:
        One row per position: mutation_position_bp, and a column per model and number of layers.

    Raises:
        ValueError: as `reachable_bins`.
    """
    shares = {
        f"{config.attention}, {number} layer{'' if number == 1 else 's'}": reachable_bins(
            config,
            sequence_length_bp=sequence_length_bp,
            positions_bp=positions_bp,
            num_layers=number,
        ).mean(axis=1)
        for config in configs
        for number in num_layers
    }
    return pd.DataFrame({"mutation_position_bp": np.asarray(positions_bp), **shares})


def shape_of_curves(changes: pd.DataFrame) -> pd.DataFrame:
    """Describe each curve by three numbers: how high, how even, how peaked.

    Args:
        changes: from `mutation_effects`, with a column model.

    Returns:
        One row per model and position: model, mutation_position_bp, mean_abs_change, unevenness
        (standard deviation over mean of the bins; 0 is flat), peak_over_median (of the bins).
    """
    curves = changes.groupby(["model", "mutation_position_bp"], sort=False)["abs_change"]
    shape = pd.DataFrame(
        {
            "mean_abs_change": curves.mean(),
            "unevenness": curves.std(ddof=0) / curves.mean(),
            "peak_over_median": curves.max() / curves.median(),
        }
    )
    return shape.reset_index()


def compare_with_study(
    changes: pd.DataFrame,
    noise: pd.DataFrame,
    *,
    config: ModelConfig,
    sequence_length_bp: int,
    num_sequences: int,
) -> pd.DataFrame:
    """Set the study's claims about its receptive field beside a scan of both models.

    What the curves look like is judged for models of the study's size and input alone.

    Args:
        changes: from `mutation_effects`, with a column model that holds `MODELS`.
        noise: from `noise_floor`, likewise.
        config: S-Enformer's.
        sequence_length_bp: length of the input, bp.
        num_sequences: how many sequences the scan used.

    Returns:
        One row per claim of `claims.COLUMNS`.
    """
    drawn = layer_random_blocks(preset("senformer"), 0, published.SEQUENCE_LENGTH_BP // BIN_SIZE_BP)
    leading = published.value("receptive_field.code_leading_blocks")
    num_positions = changes["mutation_position_bp"].nunique()
    judged = {
        "receptive_field.full": _reaches_all(changes, noise),
        "receptive_field.shape": _has_the_shape(shape_of_curves(changes)),
    }
    why_not = _why_not_comparable(config, sequence_length_bp)
    rows = [
        ("receptive_field.num_positions", num_positions),
        ("receptive_field.num_sequences", num_sequences),
    ]
    table = [(key, number, _same_number(key, number)) for key, number in rows] + [
        (key, measured, not_comparable(why_not) if why_not else _yes_or_no(agrees))
        for key, (measured, agrees) in judged.items()
    ]
    table += [
        ("receptive_field.code_two_bases", _NUM_BASES - 1, "no: here by each of three others"),
        (
            "receptive_field.code_leading_blocks",
            f"blocks {drawn.min() + 1} to {drawn.max() + 1} of 24 are drawn",
            _yes_or_no(drawn.max() < leading),
        ),
    ]
    return pd.DataFrame(table, columns=list(COLUMNS))


def flops_of_pass(config: ModelConfig, head: str, sequence_length_bp: int) -> float:
    """Count the operations of a prediction, two per multiply-add of its products, written out.

    What windows of the trunk compute twice is left out, as is the other head. A pass is counted as
    it is published: the trunk of fewer operations (`frozen_trunk`) spares more than a third of what
    is counted for it, and `Enformer.transform` the last perceptron of tokens that are cropped.

    Args:
        config: a model with dense or bigbird attention.
        head: the head that is predicted.
        sequence_length_bp: length of the input, bp.

    Raises:
        ValueError: if the attention is another, or the model does not take this length.
    """
    tokens = config.num_tokens(sequence_length_bp)
    of_transformer = config.num_transformer_layers * _flops_of_layer(config, tokens)
    return (
        flops_of_trunk(config, sequence_length_bp) + of_transformer + _flops_of_head(config, head)
    )


def flops_of_spliced_pass(config: ModelConfig, head: str, sequence_length_bp: int) -> float:
    """Count what a variant costs in `spliced_passes`, as `flops_of_pass` counts.

    Args:
        config: a model with dense or bigbird attention.
        head: the head that is predicted.
        sequence_length_bp: length of the input, bp.

    Raises:
        ValueError: as `flops_of_pass`.
    """
    tokens = config.num_tokens(sequence_length_bp)
    whole = flops_of_pass(config, head, sequence_length_bp)
    in_trunk = flops_of_trunk(config, sequence_length_bp)
    cropped = _flops_of_perceptron(config, tokens - config.target_length)
    return whole - in_trunk + _flops_of_window(config, sequence_length_bp) - cropped


def flops_of_trunk(config: ModelConfig, sequence_length_bp: int) -> float:
    """Count what stem and tower cost, as `flops_of_pass` counts.

    Args:
        config: sizes of the model.
        sequence_length_bp: length of the input, bp.
    """
    channels = config.stem_channels
    of_pool = 0.5 if config.pooling == "attention" else 0.0  # one product per pair
    products = float(sequence_length_bp) * channels * (trunk.STEM_WIDTH * _NUM_BASES + channels)
    products += of_pool * sequence_length_bp * channels**2
    positions = sequence_length_bp
    for outputs in config.tower_channels:
        positions //= 2
        products += positions * outputs * (trunk.TOWER_WIDTH * channels + outputs)
        products += of_pool * positions * outputs**2
        channels = outputs
    return 2.0 * products


def cost_of_scan(
    config: ModelConfig, head: str, *, sequence_length_bp: int, num_positions: int
) -> pd.DataFrame:
    """Compare what a scan costs by three ways to do it, per sequence and its positions.

    The study predicts a sequence of its own for each position, as it is and mutated; one sequence
    for all positions is predicted as it is only once; splicing then spares most of the trunk.

    Args:
        config: a model with dense or bigbird attention.
        head: the head that is predicted.
        sequence_length_bp: length of the input, bp.
        num_positions: positions per sequence.

    Returns:
        One row per way: way, tera_operations, share_of_study.

    Raises:
        ValueError: as `flops_of_pass`.
    """
    whole = flops_of_pass(config, head, sequence_length_bp)
    spliced = flops_of_spliced_pass(config, head, sequence_length_bp)
    window = _flops_of_window(config, sequence_length_bp)
    as_it_is = spliced - window + flops_of_trunk(config, sequence_length_bp)
    costs = {
        "two full passes per mutation (the study)": 2 * num_positions * whole,
        "one full pass per mutation, one per sequence": (1 + num_positions) * whole,
        "one trunk per sequence, spliced": as_it_is + num_positions * spliced,
    }
    frame = pd.DataFrame({"way": list(costs), "tera_operations": list(costs.values())})
    frame["tera_operations"] /= 1e12
    return frame.assign(share_of_study=frame["tera_operations"] / frame["tera_operations"].iloc[0])


def _mean_changes(
    predict: PredictVariants,
    alter: Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]],
    *,
    sequence_length_bp: int,
    positions_bp: Sequence[int] | NDArray[np.int64],
    num_sequences: int,
    seed: int,
) -> pd.DataFrame:
    positions = _validated_positions(positions_bp, sequence_length_bp)
    _check_positive("num_sequences", num_sequences)
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


def _validated_positions(
    positions_bp: Sequence[int] | NDArray[np.int64], sequence_length_bp: int
) -> NDArray[np.int64]:
    positions = np.asarray(positions_bp, dtype=np.int64)
    outside = positions[(positions < 0) | (positions >= sequence_length_bp)]
    if outside.size:
        raise ValueError(f"position {outside[0]} bp: expected 0 to {sequence_length_bp - 1}")
    return positions


def _check_positive(name: str, number: int) -> None:
    if number < 1:
        raise ValueError(f"{name}={number}: expected at least 1")


def _target_length(predict: Callable[[tf.Tensor], tf.Tensor], sequence_length_bp: int) -> int:
    """Bins that a function predicts, found without predicting any."""
    sequence = tf.TensorSpec([1, sequence_length_bp, _NUM_BASES])
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
    bases = random.integers(_NUM_BASES, size=sequence_length_bp)
    return bases, np.eye(_NUM_BASES, dtype=np.float32)[bases]


def _replace_base(base: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    return np.roll(base, random.integers(1, _NUM_BASES))


def _nudge_base(base: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    return base * _NUDGE


def _windows(
    variants: Variants,
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """The bases that a variant's changed tokens see, and where those tokens are.

    At an end of the sequence the window ends there too, so that the convolutions pad with zeros
    where they would in the whole sequence.

    Returns:
        `[variants, window, 4]`, the first changed token in the sequence, and in the window.
    """
    tokens = len(variants.sequence) // BIN_SIZE_BP
    of_base = variants.positions_bp // BIN_SIZE_BP
    read_tokens = min(_WINDOW_TOKENS, tokens)
    first_read = np.clip(of_base - _WINDOW_TOKENS // 2, 0, tokens - read_tokens)
    first_changed = np.clip(of_base - _CHANGED_TOKENS // 2, 0, tokens - _num_changed(tokens))
    starts = first_read * BIN_SIZE_BP
    inside = np.arange(read_tokens * BIN_SIZE_BP)
    windows = variants.sequence[starts[:, np.newaxis] + inside]
    windows[np.arange(len(windows)), variants.positions_bp - starts] = variants.bases
    return windows, first_changed, first_changed - first_read


def _num_changed(tokens: int) -> int:
    return min(_CHANGED_TOKENS, tokens)


def _rows(x: tf.Tensor, first: tf.Tensor, number: int) -> tf.Tensor:
    """`number` tokens of each `[batch, tokens, channels]`, from its own first on."""
    return tf.gather(x, first[:, tf.newaxis] + tf.range(number, dtype=first.dtype), batch_dims=1)


def _splice(tokens: tf.Tensor, changed: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
    """Put each variant's tokens into the sequence's: `[variants, tokens, channels]`.

    Args:
        tokens: `[tokens, channels]`.
        changed: `[variants, changed, channels]`.
        first: int64 `[variants]`, where they go.
    """
    variants, number = tf.shape(changed, out_type=first.dtype)[0], changed.shape[1]
    places = first[:, tf.newaxis] + tf.range(number, dtype=first.dtype)
    of_variant = tf.broadcast_to(tf.range(variants)[:, tf.newaxis], tf.shape(places))
    copies = tf.repeat(tokens[tf.newaxis], variants, axis=0)
    spliced = tf.tensor_scatter_nd_update(copies, tf.stack([of_variant, places], -1), changed)
    return tf.ensure_shape(spliced, [None, *tokens.shape])


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


def _same_number(key: str, measured: int) -> str:
    return "yes" if measured == published.value(key) else "no: another number here"


def _yes_or_no(agrees: bool | np.bool_) -> str:
    return "yes" if agrees else "no"


def _why_not_comparable(config: ModelConfig, sequence_length_bp: int) -> str:
    study = preset("senformer")
    if sequence_length_bp != published.SEQUENCE_LENGTH_BP:
        return f"the input has {sequence_length_bp:,} bp"
    if (config.channels, config.num_transformer_layers) != (
        study.channels,
        study.num_transformer_layers,
    ):
        return f"{config.channels} channels, {config.num_transformer_layers} layers"
    return ""


def _reaches_all(changes: pd.DataFrame, noise: pd.DataFrame) -> tuple[str, bool]:
    share = is_reached(changes, noise).groupby(changes["model"]).mean()
    measured = ", ".join(f"{model}: {share[model]:.1%} of bins" for model in MODELS)
    return measured, bool((share[list(MODELS)] == 1).all())


def _has_the_shape(shape: pd.DataFrame) -> tuple[str, bool]:
    """Higher and more even from the ends, more peaked from the middle: S-Enformer over Enformer."""
    by_position = shape.pivot(index="mutation_position_bp", columns="model").sort_index()
    ends, middle = [0, len(by_position) - 1], [len(by_position) // 2]

    def ratio(number: str, rows: list[int]) -> float:
        enformer, senformer = (by_position[number, model].iloc[rows].mean() for model in MODELS)
        return float(senformer / enformer)

    higher, unevenness = ratio("mean_abs_change", ends), ratio("unevenness", ends)
    peaked = ratio("peak_over_median", middle)
    measured = (
        f"S-Enformer over Enformer: change from the ends {higher:.2g} times, its unevenness "
        f"{unevenness:.2g} times, peak over median from the middle {peaked:.2g} times"
    )
    return measured, higher > 1 and unevenness < 1 and peaked > 1


def _flops_of_window(config: ModelConfig, sequence_length_bp: int) -> float:
    return flops_of_trunk(config, min(_WINDOW_TOKENS * BIN_SIZE_BP, sequence_length_bp))


def _flops_of_layer(config: ModelConfig, tokens: int) -> float:
    channels = config.channels
    if config.attention == "dense":
        keys = config.num_heads * config.key_size
        distances = 2 * tokens - 1
        products = 2 * tokens * channels * (keys + channels)  # query, key, value, output
        products += distances * config.num_relative_position_features * keys
        products += tokens * (tokens + distances) * keys + tokens * tokens * channels
    elif config.attention == "bigbird":
        random = layer_random_blocks(config, 0, tokens)
        _, rows, num_random = random.shape
        pairs = 2 * (rows + 2) + rows * (2 + 3 + num_random)  # of blocks: the two ends see all
        products = 4 * tokens * channels**2 + 2 * pairs * config.block_size**2 * channels
    else:
        raise ValueError(f"attention={config.attention!r}: expected dense or bigbird")
    return 2.0 * products + _flops_of_perceptron(config, tokens)


def _flops_of_perceptron(config: ModelConfig, tokens: int) -> float:
    return 2.0 * 4 * tokens * config.channels**2


def _flops_of_head(config: ModelConfig, head: str) -> float:
    expect_one_of("head", head, config.tracks)
    products = config.channels + config.tracks[head]
    return 2.0 * config.target_length * 2 * config.channels * products
