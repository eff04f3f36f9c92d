"""A sequence and its variants predicted: each in full, or only what a changed base reaches."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from senformer.config import BIN_SIZE_BP, expect_one_of
from senformer.model import trunk
from senformer.model.enformer import Enformer

WINDOW_TOKENS = 4 * trunk.reach_tokens() + 1
"""Tokens whose bases decide those that a change of one base reaches in the trunk."""

_CHANGED_TOKENS = 2 * trunk.reach_tokens() + 1


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
    check_positive("batch_size", batch_size)

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
    check_positive("batch_size", batch_size)
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


def differentiable_pass(model: Enformer, head: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """One head as a function of the sequence, for gradients: `scan.gradient_effects`.

    As `model.predict_on_batch`, with windows and repetitions where a gradient would keep all.

    Args:
        model: in evaluation mode.
        head: which of its heads.

    Raises:
        ValueError: if the model has no such head.
    """
    expect_one_of("head", head, model.heads)

    def predict(sequence: tf.Tensor) -> tf.Tensor:
        tokens = model.embed(sequence, input_is_trained=True)
        return model.predict_head(head, model.transform(tokens, input_is_trained=True))

    return predict


def check_positive(name: str, number: int) -> None:
    """Refuse a number below 1, by its name.

    Raises:
        ValueError: if the number is not positive.
    """
    if number < 1:
        raise ValueError(f"{name}={number}: expected at least 1")


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
    read_tokens = min(WINDOW_TOKENS, tokens)
    first_read = np.clip(of_base - WINDOW_TOKENS // 2, 0, tokens - read_tokens)
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
