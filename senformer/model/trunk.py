"""The convolutional trunk, from bases to tokens: whole, or in windows that give the same."""

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
"""Stem and tower blocks whose sequences are long: they run in windows of their own."""

EARLY_WINDOW_TOKENS = 128
"""Most tokens of a window of the early blocks, whose arrays are the largest."""

WINDOW_TOKENS = 512
"""Most tokens of a window of all blocks: large enough that its seams cost little."""

_POOL_SCALE = 2.0

Block = Callable[[tf.Tensor], tf.Tensor]
"""A part of the trunk with fixed statistics: `[batch, length, inputs]` to half the length."""


def reach_bp(num_blocks: int = 1 + NUM_TOWER_BLOCKS) -> int:
    """How far to either side of its own bases a position sees, in base pairs.

    Args:
        num_blocks: Blocks that the position is the output of, the stem among them; by default all,
            for a token and its 128 bp.
    """
    reach = STEM_WIDTH // 2
    for block in range(num_blocks - 1):
        reach += TOWER_WIDTH // 2 * 2 ** (block + 1)  # one position is 2 ** (block + 1) bp here
    return reach


def reach_tokens() -> int:
    """`reach_bp` in whole tokens."""
    return _reach_positions(1 + NUM_TOWER_BLOCKS)


def embed(blocks: Sequence[Block], sequence: tf.Tensor) -> tf.Tensor:
    """Run blocks one after another.

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


def embed_in_windows(
    blocks: Sequence[Block],
    sequence: tf.Tensor,
    *,
    window_tokens: int = WINDOW_TOKENS,
    early_window_tokens: int = EARLY_WINDOW_TOKENS,
) -> tf.Tensor:
    """`embed` in overlapping windows; the tokens equal those of the whole sequence.

    Use it where the trunk's statistics are fixed (evaluation, or a frozen trunk): memory then
    depends on the window and not on the sequence. On a CPU the early blocks, whose sequences are
    long and which see little beyond their own bases, run in short windows inside those of all
    blocks. A GPU does without: each window starts every operation anew.

    Args:
        blocks: Stem and tower.
        sequence: `[batch, length, 4]`, length a multiple of 128.
        window_tokens: Most tokens that a window contributes.
        early_window_tokens: Likewise, to the early blocks on a CPU.

    Returns:
        `[batch, length / 128, channels]`.
    """
    if device.is_gpu():
        return _in_windows(blocks, sequence, window_tokens, len(blocks))
    early, late = blocks[:NUM_EARLY_BLOCKS], blocks[NUM_EARLY_BLOCKS:]
    most_early_positions = early_window_tokens * BIN_SIZE_BP // 2**NUM_EARLY_BLOCKS

    def embed_early(x: tf.Tensor) -> tf.Tensor:
        return _in_windows(early, x, most_early_positions, len(early))

    return _in_windows([embed_early, *late], sequence, window_tokens, len(blocks))


def embed_differentiably(blocks: Sequence[Block], sequence: tf.Tensor) -> tf.Tensor:
    """`embed_in_windows` for a gradient of the sequence, which is all that is kept for it.

    Use it to ask what a prediction depends on. The gradient repeats one window after the other;
    kept whole, the trunk of 196,608 bp at 1,536 channels would take some 20 GB.

    Args:
        blocks: Stem and tower, with fixed statistics.
        sequence: `[batch, length, 4]`, length a multiple of 128.

    Returns:
        `[batch, length / 128, channels]`. Its gradient is of `sequence` alone: a variable that the
        blocks read gets none.
    """

    @tf.custom_gradient
    def embedded(sequence: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def gradient(
            upstream: tf.Tensor, variables: Sequence[tf.Variable] | None = None
        ) -> tuple[tf.Tensor, list[None]] | tf.Tensor:
            of_sequence = _gradient_in_windows(blocks, sequence, upstream, EARLY_WINDOW_TOKENS)
            return of_sequence if variables is None else (of_sequence, [None] * len(variables))

        return embed_in_windows(blocks, sequence), gradient

    return embedded(sequence)


def _gradient_in_windows(
    blocks: Sequence[Block], sequence: tf.Tensor, upstream: tf.Tensor, most_tokens: int
) -> tf.Tensor:
    """What each window's tokens add to the gradient of the bases that they see.

    Args:
        blocks: Stem and tower.
        sequence: `[batch, length, 4]`.
        upstream: Gradient of the tokens, `[batch, tokens, channels]`.
        most_tokens: Of a window.
    """
    tokens = upstream.shape[1]
    size = min(most_tokens, tokens)
    margin = _reach_positions(len(blocks))
    read = min(size + 2 * margin, tokens)

    def with_window(number: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        first = tf.minimum(number * size, tokens - size)  # the last ends where the sequence does
        first_read = tf.clip_by_value(first - margin, 0, tokens - read)
        bases = _slice(sequence, first_read * BIN_SIZE_BP, read * BIN_SIZE_BP)
        is_new = first + tf.range(size) >= number * size
        wanted = tf.where(is_new[:, tf.newaxis], _slice(upstream, first, size), 0)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(bases)
            own = _slice(embed(blocks, bases), first - first_read, size)
        added = tape.gradient(own, bases, output_gradients=wanted)
        before = first_read * BIN_SIZE_BP
        after = (tokens - read - first_read) * BIN_SIZE_BP
        return number + 1, total + tf.pad(added, [[0, 0], [before, after], [0, 0]])

    _, gradient = tf.while_loop(
        lambda number, _: number * size < tokens,
        with_window,
        (0, tf.zeros_like(sequence)),
        parallel_iterations=1,
    )
    return gradient


def _in_windows(
    blocks: Sequence[Block], sequence: tf.Tensor, most_positions: int, num_blocks: int
) -> tf.Tensor:
    """`embed` in windows of equal size, each of `most_positions` of the output at most.

    A window carries the bases that its outer positions see. At the sequence's own ends there is
    nothing to carry, and the convolutions pad with zeros as they would without windows.
    """
    bp_per_position = 2**num_blocks
    positions = sequence.shape[1] // bp_per_position
    margin = _reach_positions(num_blocks)
    num_windows = -(-positions // most_positions)
    size = -(-positions // num_windows)
    read = size + 2 * margin
    if num_windows == 1 or read >= positions:
        return embed(blocks, sequence)

    def one_window(first: tf.Tensor) -> tf.Tensor:
        first_read = tf.clip_by_value(first - margin, 0, positions - read)
        window = _slice(sequence, first_read * bp_per_position, read * bp_per_position)
        return _slice(embed(blocks, window), first - first_read, size)

    last = positions - size  # the last window ends where the sequence does
    firsts = tf.minimum(tf.range(num_windows) * size, last)
    windows = tf.map_fn(
        one_window, firsts, parallel_iterations=1, fn_output_signature=sequence.dtype
    )  # [windows, batch, size, channels]
    before = tf.reshape(
        tf.transpose(windows[:-1], [1, 0, 2, 3]), [-1, (num_windows - 1) * size, windows.shape[-1]]
    )
    missing = positions - (num_windows - 1) * size
    return tf.concat([before, windows[-1, :, -missing:]], axis=1)


def _reach_positions(num_blocks: int) -> int:
    """`reach_bp` in whole positions of the blocks' output."""
    return -(-reach_bp(num_blocks) // 2**num_blocks)


class ConvBlock(snt.Module):
    """Normalise, GELU, convolve."""

    def __init__(
        self, inputs: int, outputs: int, width: int, generator: tf.random.Generator, *, name: str
    ) -> None:
        super().__init__(name=name)
        self.batch_norm = BatchNorm(inputs, name="batch_norm")
        self.conv = Conv1D(truncated_normal(generator, [width, inputs, outputs]), name="conv")

    def __call__(self, x: tf.Tensor, is_training: bool, is_recomputing: bool = False) -> tf.Tensor:
        """`[batch, length, inputs]` to `[batch, length, outputs]`."""
        return self.conv(ops.gelu(self.batch_norm(x, is_training, is_recomputing)))


class Pool(snt.Module):
    """Halve the sequence, by attention over each pair or by its maximum."""

    def __init__(self, channels: int, pooling: str, *, name: str = "pool") -> None:
        super().__init__(name=name)
        self.w = None
        if pooling == "attention":
            self.w = tf.Variable(_POOL_SCALE * tf.eye(channels), name="w")

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """`[batch, length, channels]` to `[batch, length / 2, channels]`."""
        return ops.max_pool(x) if self.w is None else ops.attention_pool(x, self.w)


class Stem(snt.Module):
    """The first convolution over the bases, a residual pointwise block, a pool."""

    def __init__(self, config: ModelConfig, generator: tf.random.Generator) -> None:
        super().__init__(name="stem")
        channels = config.stem_channels
        self.conv = Conv1D(truncated_normal(generator, [STEM_WIDTH, 4, channels]), name="conv")
        self.pointwise = ConvBlock(channels, channels, 1, generator, name="pointwise")
        self.pool = Pool(channels, config.pooling)

    def __call__(
        self, sequence: tf.Tensor, is_training: bool, is_recomputing: bool = False
    ) -> tf.Tensor:
        """`[batch, length, 4]` to `[batch, length / 2, channels / 2]`."""
        x = self.conv(sequence)
        return self.pool(x + self.pointwise(x, is_training, is_recomputing))


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

    def __call__(self, x: tf.Tensor, is_training: bool, is_recomputing: bool = False) -> tf.Tensor:
        """`[batch, length, inputs]` to `[batch, length / 2, outputs]`."""
        x = self.conv_block(x, is_training, is_recomputing)
        return self.pool(x + self.pointwise(x, is_training, is_recomputing))


def _slice(x: tf.Tensor, first: tf.Tensor, length: int) -> tf.Tensor:
    """`length` positions of `[batch, positions, channels]`."""
    part = tf.slice(x, [0, first, 0], [-1, length, -1])
    return tf.ensure_shape(part, [x.shape[0], length, x.shape[2]])
