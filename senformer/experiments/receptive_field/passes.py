"""Predict a sequence and its variants: each in full, or only the tokens that a base reaches."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from senformer.config import BIN_SIZE_BP, expect_integer, expect_one_of
from senformer.model import trunk
from senformer.model.enformer import Enformer

_WINDOW_TOKENS = 4 * trunk.reach_positions() + 1
"""Tokens whose bases decide the tokens that a single-base variant changes in the trunk."""

_CHANGED_TOKENS = 2 * trunk.reach_positions() + 1
"""Tokens that a single-base variant changes in the trunk."""


class Variants(NamedTuple):
    """A sequence and variants of it, each of which replaces one base.

    Attributes:
        sequence: float32 `[length, 4]`.
        positions_bp: int `[variants]`, the index of the replaced base.
        bases: float32 `[variants, 4]`, the new base.
    """

    sequence: NDArray[np.float32]
    positions_bp: NDArray[np.int64]
    bases: NDArray[np.float32]


PredictVariants = Callable[[Variants], NDArray[np.float32]]
"""Predict the sequence, then its variants: `[1 + variants, bins, tracks]`."""


def full_passes(
    predict: Callable[[NDArray[np.float32]], ArrayLike], *, batch_size: int = 1
) -> PredictVariants:
    """Return a function that predicts every variant from its whole sequence.

    Use it for other models than `Enformer`, and to check `spliced_passes`.

    Args:
        predict: From `[batch, length, 4]` to `[batch, bins, tracks]`.
        batch_size: Sequences per call of `predict`.

    Raises:
        ValueError: If the batch size is not a positive integer.
    """
    expect_integer("batch_size", batch_size, 1)

    def predict_variants(variants: Variants) -> NDArray[np.float32]:
        sequence, positions, bases = variants
        sequences = np.repeat(sequence[np.newaxis], 1 + len(positions), axis=0)
        sequences[np.arange(1, len(sequences)), positions] = bases
        starts = range(0, len(sequences), batch_size)
        return np.concatenate([np.asarray(predict(sequences[i : i + batch_size])) for i in starts])

    return predict_variants


def spliced_passes(model: Enformer, head: str, *, batch_size: int = 1) -> PredictVariants:
    """Return a function that computes only the trunk tokens that each variant changes.

    The trunk is local: a base reaches three tokens on either side of its own. So the function
    embeds the sequence once, computes the seven changed tokens of each variant from a window of
    thirteen, and splices them in. The transformer and one head run as usual. Results equal those
    of full passes up to rounding.

    Args:
        model: A model in evaluation mode, with fixed statistics.
        head: The head to predict.
        batch_size: Variants per call of the transformer.

    Raises:
        ValueError: If the model has no such head or the batch size is not a positive integer.
    """
    expect_integer("batch_size", batch_size, 1)
    expect_one_of("head", head, model.heads)
    # Not `model.embed`: with the same modules, unchanged tokens round equally in both embeddings.
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
        windows, first_tokens, first_in_window = _cut_windows(variants)
        number = min(_CHANGED_TOKENS, len(tokens))
        in_window = first_in_window[:, np.newaxis] + np.arange(number)
        changed = tf.gather(embed_windows(tf.constant(windows)), in_window, batch_dims=1)
        # The unchanged sequence comes first: its own first tokens are spliced into it.
        changed = tf.concat([tokens[np.newaxis, :number], changed], axis=0)
        first_tokens = np.concatenate([[0], first_tokens])
        batches = [slice(i, i + batch_size) for i in range(0, len(first_tokens), batch_size)]
        predictions = [
            predict(tokens, changed[batch], tf.constant(first_tokens[batch])) for batch in batches
        ]
        return np.concatenate([x.numpy() for x in predictions])

    return predict_variants


def differentiable_pass(model: Enformer, head: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return one head as a differentiable function of the sequence, for `scan.gradient_effects`.

    It predicts as `model.predict_on_batch` does, but recomputes windows of the trunk in the
    backward pass, which bounds its memory.

    Args:
        model: A model in evaluation mode.
        head: The head to predict.

    Raises:
        ValueError: If the model has no such head.
    """
    expect_one_of("head", head, model.heads)

    def predict(sequence: tf.Tensor) -> tf.Tensor:
        tokens = model.embed(sequence, input_is_trained=True)
        return model.predict_head(head, model.transform(tokens, input_is_trained=True))

    return predict


def _cut_windows(
    variants: Variants,
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Cut the window of bases that decides the changed tokens of each variant.

    A window stops at the ends of the sequence, so that the convolutions pad with zeros where they
    would in the whole sequence.

    Returns:
        One-hot windows `[variants, window, 4]`, and the index of each variant's first changed
        token in the sequence and in its window, `[variants]`.
    """
    tokens = len(variants.sequence) // BIN_SIZE_BP
    variant_tokens = variants.positions_bp // BIN_SIZE_BP
    window = min(_WINDOW_TOKENS, tokens)
    changed = min(_CHANGED_TOKENS, tokens)
    first_read = np.clip(variant_tokens - _WINDOW_TOKENS // 2, 0, tokens - window)
    first_changed = np.clip(variant_tokens - _CHANGED_TOKENS // 2, 0, tokens - changed)
    starts_bp = first_read * BIN_SIZE_BP
    windows = variants.sequence[starts_bp[:, np.newaxis] + np.arange(window * BIN_SIZE_BP)]
    windows[np.arange(len(windows)), variants.positions_bp - starts_bp] = variants.bases
    return windows, first_changed, first_changed - first_read


def _splice(tokens: tf.Tensor, changed: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
    """Splice each variant's tokens into those of the sequence: `[variants, tokens, channels]`.

    Args:
        tokens: Tokens of the sequence, `[tokens, channels]`.
        changed: Tokens of the variants, `[variants, changed, channels]`.
        first: int64 `[variants]`, the index at which they begin.
    """
    variants, number = tf.shape(changed, out_type=first.dtype)[0], changed.shape[1]
    places = first[:, tf.newaxis] + tf.range(number, dtype=first.dtype)
    variant = tf.broadcast_to(tf.range(variants)[:, tf.newaxis], tf.shape(places))
    copies = tf.repeat(tokens[tf.newaxis], variants, axis=0)
    spliced = tf.tensor_scatter_nd_update(copies, tf.stack([variant, places], -1), changed)
    return tf.ensure_shape(spliced, [None, *tokens.shape])
