"""The convolutional trunk, from bases to tokens, on a whole sequence or in equivalent windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sonnet as snt
import tensorflow as tf

from senformer.config import BIN_SIZE_BP, ModelConfig
from senformer.model import ops
from senformer.model.compute import device
from senformer.model.layers import BatchNorm, Conv1D, truncated_normal

STEM_WIDTH = 15
TOWER_WIDTH = 5
NUM_TOWER_BLOCKS = 6
NUM_EARLY_BLOCKS = 3
"""Number of first blocks that run in shorter windows, because their sequences are longer."""

EARLY_WINDOW_TOKENS = 128
"""Maximum tokens of a window of the early blocks, whose arrays are the largest."""

WINDOW_TOKENS = 512
"""Maximum tokens of a window of all blocks; larger windows overlap less."""

_POOL_SCALE = 2.0

Block = Callable[[tf.Tensor], tf.Tensor]
"""Block of the trunk with fixed statistics: `[batch, length, inputs]` to half the length."""


def reach_bp(num_blocks: int = 1 + NUM_TOWER_BLOCKS) -> int:
    """Compute how far beyond its own bases an output position reads on each side, in base pairs.

    Args:
        num_blocks: Number of blocks, stem included; by default all, whose output is tokens.
    """
    reach = STEM_WIDTH // 2
    for block in range(num_blocks - 1):
        reach += TOWER_WIDTH // 2 * 2 ** (block + 1)  # an input position is 2 ** (block + 1) bp
    return reach


def reach_positions(num_blocks: int = 1 + NUM_TOWER_BLOCKS) -> int:
    """Return `reach_bp` in whole positions of the blocks' output, by default in tokens."""
    return -(-reach_bp(num_blocks) // 2**num_blocks)


def embed(blocks: Sequence[Block], sequence: tf.Tensor) -> tf.Tensor:
    """Apply blocks one after another.

    Args:
        blocks: Stem and tower.
        sequence: `[batch, length, 4]`.

    Returns:
        `[batch, length / 2 ** len(blocks), channels]`.
    """
    x = sequence
    for block in blocks:
        x = block(x)
    return x


def embed_in_windows(blocks: Sequence[Block], sequence: tf.Tensor) -> tf.Tensor:
    """Compute `embed` in overlapping windows, with the same result.

    Use it where the trunk's statistics are fixed (evaluation, or a frozen trunk): memory then
    depends on the window and not on the sequence. On a CPU the early blocks, whose sequences are
    long and whose reach is small, run in short windows inside those of all blocks. On a GPU they
    do not, because each window launches every operation again.

    Args:
        blocks: Stem and tower.
        sequence: `[batch, length, 4]`, length a multiple of 128.

    Returns:
        `[batch, length / 128, channels]`.
    """
    if device.is_gpu():
        return _embed_in_equal_windows(blocks, sequence, WINDOW_TOKENS, len(blocks))
    early, late = blocks[:NUM_EARLY_BLOCKS], blocks[NUM_EARLY_BLOCKS:]

    def embed_early(x: tf.Tensor) -> tf.Tensor:
        max_positions = EARLY_WINDOW_TOKENS * BIN_SIZE_BP // 2**NUM_EARLY_BLOCKS
        return _embed_in_equal_windows(early, x, max_positions, len(early))

    return _embed_in_equal_windows([embed_early, *late], sequence, WINDOW_TOKENS, len(blocks))


def _embed_in_equal_windows(
    blocks: Sequence[Block], sequence: tf.Tensor, max_positions: int, num_blocks: int
) -> tf.Tensor:
    """Compute `embed` in windows of equal size.

    Each window reads the margin that its outer positions reach. At the ends of the sequence there
    is no margin: the convolutions pad with zeros, as they do without windows.

    Args:
        blocks: Functions that together halve the sequence `num_blocks` times.
        sequence: `[batch, length, channels]`.
        max_positions: Maximum number of output positions per window.
        num_blocks: Number of the trunk's blocks that `blocks` applies.
    """
    bp_per_position = 2**num_blocks
    positions = sequence.shape[1] // bp_per_position
    margin = reach_positions(num_blocks)
    num_windows = -(-positions // max_positions)
    size = -(-positions // num_windows)
    size_read = size + 2 * margin
    if num_windows == 1 or size_read >= positions:
        return embed(blocks, sequence)

    def embed_window(first: tf.Tensor) -> tf.Tensor:
        first_read = tf.clip_by_value(first - margin, 0, positions - size_read)
        window = _slice(sequence, first_read * bp_per_position, size_read * bp_per_position)
        return _slice(embed(blocks, window), first - first_read, size)

    last = positions - size  # the last window ends with the sequence
    firsts = tf.minimum(tf.range(num_windows) * size, last)
    windows = tf.map_fn(
        embed_window, firsts, parallel_iterations=1, fn_output_signature=sequence.dtype
    )  # [windows, batch, size, channels]
    all_but_last = tf.reshape(
        tf.transpose(windows[:-1], [1, 0, 2, 3]), [-1, (num_windows - 1) * size, windows.shape[-1]]
    )
    num_missing = positions - (num_windows - 1) * size
    return tf.concat([all_but_last, windows[-1, :, -num_missing:]], axis=1)


def embed_differentiably(blocks: Sequence[Block], sequence: tf.Tensor) -> tf.Tensor:
    """Compute `embed_in_windows` with a gradient for the sequence, saving only the sequence.

    Use it to measure what a prediction depends on. The backward pass recomputes one window after
    the other; saving all activations of 196,608 bp at 1,536 channels would take about 20 GB.

    Args:
        blocks: Stem and tower, with fixed statistics.
        sequence: `[batch, length, 4]`, length a multiple of 128.

    Returns:
        `[batch, length / 128, channels]`. Variables of the blocks get no gradient.
    """

    @tf.custom_gradient
    def run(sequence: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def gradient(
            upstream: tf.Tensor, variables: Sequence[tf.Variable] | None = None
        ) -> tuple[tf.Tensor, list[None]] | tf.Tensor:
            for_sequence = _gradient_in_windows(blocks, sequence, upstream)
            return for_sequence if variables is None else (for_sequence, [None] * len(variables))

        return embed_in_windows(blocks, sequence), gradient

    return run(sequence)


def _gradient_in_windows(
    blocks: Sequence[Block], sequence: tf.Tensor, upstream: tf.Tensor
) -> tf.Tensor:
    """Compute the gradient of the sequence, window by window.

    Args:
        blocks: Stem and tower.
        sequence: `[batch, length, 4]`.
        upstream: Gradient of the tokens, `[batch, tokens, channels]`.
    """
    tokens = upstream.shape[1]
    size = min(EARLY_WINDOW_TOKENS, tokens)
    margin = reach_positions(len(blocks))
    size_read = min(size + 2 * margin, tokens)

    def add_window(number: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        first = tf.minimum(number * size, tokens - size)  # the last window ends with the sequence
        first_read = tf.clip_by_value(first - margin, 0, tokens - size_read)
        bases = _slice(sequence, first_read * BIN_SIZE_BP, size_read * BIN_SIZE_BP)
        is_new = first + tf.range(size) >= number * size
        window_upstream = tf.where(is_new[:, tf.newaxis], _slice(upstream, first, size), 0)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(bases)
            window_tokens = _slice(embed(blocks, bases), first - first_read, size)
        gradient = tape.gradient(window_tokens, bases, output_gradients=window_upstream)
        before = first_read * BIN_SIZE_BP
        after = (tokens - size_read - first_read) * BIN_SIZE_BP
        return number + 1, total + tf.pad(gradient, [[0, 0], [before, after], [0, 0]])

    _, gradient = tf.while_loop(
        lambda number, _: number * size < tokens,
        add_window,
        (0, tf.zeros_like(sequence)),
        parallel_iterations=1,
    )
    return gradient


def _slice(x: tf.Tensor, first: tf.Tensor, length: int) -> tf.Tensor:
    """Return `length` positions of `[batch, positions, channels]` from `first` on."""
    part = tf.slice(x, [0, first, 0], [-1, length, -1])
    return tf.ensure_shape(part, [x.shape[0], length, x.shape[2]])


class ConvBlock(snt.Module):
    """A batch norm, a GELU and a convolution."""

    def __init__(
        self, inputs: int, outputs: int, width: int, generator: tf.random.Generator, *, name: str
    ) -> None:
        super().__init__(name=name)
        self.batch_norm = BatchNorm(inputs, name="batch_norm")
        self.conv = Conv1D(truncated_normal(generator, [width, inputs, outputs]), name="conv")

    def __call__(self, x: tf.Tensor, is_training: bool, is_recomputing: bool = False) -> tf.Tensor:
        """Map `[batch, length, inputs]` to `[batch, length, outputs]`."""
        return self.conv(ops.gelu(self.batch_norm(x, is_training, is_recomputing)))


class Pool(snt.Module):
    """A pool over pairs of positions: softmax-weighted by a learned matrix, or their maximum."""

    def __init__(self, channels: int, pooling: str, *, name: str = "pool") -> None:
        super().__init__(name=name)
        self.w = None
        if pooling == "attention":
            self.w = tf.Variable(_POOL_SCALE * tf.eye(channels), name="w")

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Map `[batch, length, channels]` to `[batch, length / 2, channels]`."""
        return ops.max_pool(x) if self.w is None else ops.attention_pool(x, self.w)


class Stem(snt.Module):
    """The first block: a convolution over the bases, a residual pointwise block, a pool."""

    def __init__(self, config: ModelConfig, generator: tf.random.Generator) -> None:
        super().__init__(name="stem")
        channels = config.stem_channels
        self.conv = Conv1D(truncated_normal(generator, [STEM_WIDTH, 4, channels]), name="conv")
        self.pointwise = ConvBlock(channels, channels, 1, generator, name="pointwise")
        self.pool = Pool(channels, config.pooling)

    def __call__(
        self, sequence: tf.Tensor, is_training: bool, is_recomputing: bool = False
    ) -> tf.Tensor:
        """Map `[batch, length, 4]` to `[batch, length / 2, channels / 2]`."""
        x = self.conv(sequence)
        return self.pool(x + self.pointwise(x, is_training, is_recomputing))


class TowerBlock(snt.Module):
    """A convolution to the next width, a residual pointwise block, a pool."""

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

    def __call__(self, x: tf.Tensor, is_training: bool, is_recomputing: bool = False) -> tf.Tensor:
        """Map `[batch, length, inputs]` to `[batch, length / 2, outputs]`."""
        x = self.conv_block(x, is_training, is_recomputing)
        return self.pool(x + self.pointwise(x, is_training, is_recomputing))
