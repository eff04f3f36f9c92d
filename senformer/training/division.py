"""Divide a batch among devices, and into parts that fit in memory."""

from __future__ import annotations

from typing import NamedTuple

from senformer.model.compute import replicas


class Division(NamedTuple):
    """Describe how the replicas take a batch: part by part, each part divided among them.

    The sequences of a part are consecutive in the batch, and so are a replica's within a part.

    Attributes:
        num_replicas: Number of devices that take a part together.
        sequences_at_once: Number of sequences per device and part.
        num_parts: Number of parts of a batch.
    """

    num_replicas: int
    sequences_at_once: int
    num_parts: int

    @property
    def sequences_per_part(self) -> int:
        """Return the number of sequences that the replicas hold together."""
        return self.num_replicas * self.sequences_at_once

    @property
    def num_shards(self) -> int:
        """Return the number of pieces of a batch: one for each part and replica."""
        return self.num_replicas * self.num_parts


def divide_batch(batch_size: int, sequences_at_once: int | None, trainable: str) -> Division:
    """Divide a batch among the replicas of the current strategy.

    Args:
        batch_size: Sequences of the whole batch.
        sequences_at_once: Maximum number of sequences per replica and part, or None for one part.
        trainable: Trained variables, `attention` or `all`.

    Raises:
        ValueError: If the batch cannot be divided equally, or would be divided into parts although
            batch norms are trained, whose statistics would then be those of a part.
    """
    num_replicas = replicas.num_replicas()
    share, remainder = divmod(batch_size, num_replicas)
    if remainder:
        raise ValueError(
            f"batch_size={batch_size} on {num_replicas} devices, expected a multiple of "
            f"{num_replicas}"
        )
    at_once = min(sequences_at_once or share, share)
    num_parts, remainder = divmod(share, at_once)
    if remainder:
        raise ValueError(
            f"sequences_at_once={at_once}, expected a divisor of {share}, the number of sequences "
            f"per device of batch_size={batch_size}"
        )
    if num_parts > 1 and trainable == "all":
        raise ValueError(
            f"sequences_at_once={at_once} with trainable='all': the statistics of batch norms "
            f"would be those of {at_once * num_replicas} instead of {batch_size} sequences; "
            "expected a smaller batch_size, more devices, or trainable='attention'"
        )
    return Division(num_replicas, at_once, num_parts)
