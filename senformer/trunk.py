"""The convolutional trunk, from bases to tokens: whole, or in windows that give the same."""

from __future__ import annotations

from collections.abc import Callable

import sonnet as snt
import tensorflow as tf

from senformer import layers
from senformer.config import BIN_SIZE_BP, ModelConfig
from senformer.parameters import BatchNorm, Conv1D, truncated_normal

STEM_WIDTH = 15
TOWER_WIDTH = 5
NUM_TOWER_BLOCKS = 6
WINDOW_TOKENS = 128
"""Tokens of a window: large enough that its seams cost little, small enough for a cache."""

_POOL_SCALE = 2.0


def reach_bp() -> int:
    """How far to either side of its own 128 bp a token sees in the trunk, in base pairs."""
    reach = STEM_WIDTH // 2
    for block in range(NUM_TOWER_BLOCKS):
        reach += TOWER_WIDTH // 2 * 2 ** (block + 1)  # one position is 2 ** (block + 1) bp here
    return reach


def reach_tokens() -> int:
    """`reach_bp` in whole tokens."""
    return -(-reach_bp() // BIN_SIZE_BP)


def embed_in_windows(
    embed: Callable[[tf.Tensor], tf.Tensor], sequence: tf.Tensor, window_tokens: int = WINDOW_TOKENS
) -> tf.Tensor:
    """Run a trunk over overlapping windows; the tokens equal those of the whole sequence.

    Use it where the trunk's statistics are fixed (evaluation, or a frozen trunk): memory then
    depends on the window and not on the sequence. Each window carries the bases that its outer
    tokens see; at the sequence's own ends there is nothing to carry, and the convolutions pad
    with zeros as they would without windows.

    Args:
        embed: The trunk, `[batch, length, 4]` to `[batch, length / 128, channels]`.
        sequence: `[batch, length, 4]`, length a multiple of 128.
        window_tokens: Tokens that a window contributes.

    Returns:
        `[batch, length / 128, channels]`.
    """
    margin = reach_tokens()
    tokens = sequence.shape[1] // BIN_SIZE_BP
    read_tokens = window_tokens + 2 * margin
    if tokens <= read_tokens:
        return embed(sequence)

    def one_window(first: tf.Tensor) -> tf.Tensor:
        first_read = tf.clip_by_value(first - margin, 0, tokens - read_tokens)
        window = _slice(sequence, first_read * BIN_SIZE_BP, read_tokens * BIN_SIZE_BP)
        return _slice(embed(window), first - first_read, window_tokens)

    num_windows = -(-tokens // window_tokens)
    last = tokens - window_tokens  # the last window ends where the sequence does
    firsts = tf.minimum(tf.range(num_windows) * window_tokens, last)
    windows = tf.map_fn(
        one_window, firsts, parallel_iterations=1, fn_output_signature=sequence.dtype
    )  # [windows, batch, window_tokens, channels]
    channels = windows.shape[-1]
    before = tf.reshape(
        tf.transpose(windows[:-1], [1, 0, 2, 3]),
        [-1, (num_windows - 1) * window_tokens, channels],
    )
    missing = tokens - (num_windows - 1) * window_tokens
    return tf.concat([before, windows[-1, :, -missing:]], axis=1)


class ConvBlock(snt.Module):
    """Normalise, GELU, convolve."""

    def __init__(
        self, inputs: int, outputs: int, width: int, generator: tf.random.Generator, *, name: str
    ) -> None:
        super().__init__(name=name)
        self.batch_norm = BatchNorm(inputs, name="batch_norm")
        self.conv = Conv1D(truncated_normal(generator, [width, inputs, outputs]), name="conv")

    def __call__(self, x: tf.Tensor, is_training: bool, is_again: bool = False) -> tf.Tensor:
        """`[batch, length, inputs]` to `[batch, length, outputs]`."""
        return self.conv(layers.gelu(self.batch_norm(x, is_training, is_again)))


class Pool(snt.Module):
    """Halve the sequence, by attention over each pair or by its maximum."""

    def __init__(self, channels: int, pooling: str, *, name: str = "pool") -> None:
        super().__init__(name=name)
        self.w = None
        if pooling == "attention":
            self.w = tf.Variable(_POOL_SCALE * tf.eye(channels), name="w")

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """`[batch, length, channels]` to `[batch, length / 2, channels]`."""
        return layers.max_pool(x) if self.w is None else layers.attention_pool(x, self.w)


class Stem(snt.Module):
    """The first convolution over the bases, a residual pointwise block, a pool."""

    def __init__(self, config: ModelConfig, generator: tf.random.Generator) -> None:
        super().__init__(name="stem")
        channels = config.stem_channels
        self.conv = Conv1D(truncated_normal(generator, [STEM_WIDTH, 4, channels]), name="conv")
        self.pointwise = ConvBlock(channels, channels, 1, generator, name="pointwise")
        self.pool = Pool(channels, config.pooling)

    def __call__(self, sequence: tf.Tensor, is_training: bool, is_again: bool = False) -> tf.Tensor:
        """`[batch, length, 4]` to `[batch, length / 2, channels / 2]`."""
        x = self.conv(sequence)
        return self.pool(x + self.pointwise(x, is_training, is_again))


class TowerBlock(snt.Module):
    """Convolve to the next width, a residual pointwise block, a pool."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        pooling: str,
        generator: tf.random.Generator,
        *,
        name: str,
    ) -> None:
        super().__init__(name=name)
        self.conv_block = ConvBlock(inputs, outputs, TOWER_WIDTH, generator, name="conv_block")
        self.pointwise = ConvBlock(outputs, outputs, 1, generator, name="pointwise")
        self.pool = Pool(outputs, pooling)

    def __call__(self, x: tf.Tensor, is_training: bool, is_again: bool = False) -> tf.Tensor:
        """`[batch, length, inputs]` to `[batch, length / 2, outputs]`."""
        x = self.conv_block(x, is_training, is_again)
        return self.pool(x + self.pointwise(x, is_training, is_again))


def _slice(x: tf.Tensor, first: tf.Tensor, length: int) -> tf.Tensor:
    """`length` positions of `[batch, positions, channels]`, of a static shape."""
    part = x[:, first : first + length]
    return tf.ensure_shape(part, [x.shape[0], length, x.shape[2]])
