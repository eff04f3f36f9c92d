"""How a batch is divided: among replicas, and into parts that memory holds at once."""

from __future__ import annotations

from typing import NamedTuple

from senformer.config import expect_integer
from senformer.model.compute import replicas


class Division(NamedTuple):
    """A batch as the replicas take it: in parts, one after the other, each divided among them.

    A part is what lies together in the batch, and so are a replica's sequences of it.

    Attributes:
        num_replicas: How many devices take a part together.
        sequences_at_once: How many sequences each holds.
        num_parts: How many parts a batch has.
    """

    num_replicas: int
    sequences_at_once: int
    num_parts: int

    @classmethod
    def of(cls, batch_size: int, sequences_at_once: int | None, trainable: str) -> Division:
        """Divide a batch among the replicas that there are.

        Args:
            batch_size: Sequences of the whole batch.
            sequences_at_once: How many a replica may hold; none is all that are its own.
            trainable: What is trained, `attention` or `all`.

        Raises:
            ValueError: If the batch cannot be divided evenly, or into parts where batch norms are
                trained, whose statistics would be those of a part.
        """
        num_replicas = replicas.num_replicas()
        share, left_over = divmod(batch_size, num_replicas)
        if left_over:
            raise ValueError(
                f"batch_size={batch_size} on {num_replicas} devices, expected a multiple of "
                f"{num_replicas}, as many sequences for each"
            )
        at_once = share
        if sequences_at_once is not None:
            expect_integer("sequences_at_once", sequences_at_once, 1)
            at_once = min(sequences_at_once, share)
        num_parts, left_over = divmod(share, at_once)
        if left_over:
            raise ValueError(
                f"sequences_at_once={at_once}, expected a divisor of the {share} sequences that a "
                f"device has of batch_size={batch_size}"
            )
        if num_parts > 1 and trainable == "all":
            raise ValueError(
                f"sequences_at_once={at_once} with trainable='all': batch norms would take their "
                f"statistics from {at_once * num_replicas} sequences and not from batch_size="
                f"{batch_size}, which is another training; expected a smaller batch_size, more "
                "devices, or trainable='attention'"
            )
        return cls(num_replicas, at_once, num_parts)

    @property
    def sequences_per_part(self) -> int:
        """How many sequences the replicas hold together."""
        return self.num_replicas * self.sequences_at_once

    def first_example(self, part: int, replica: int) -> int:
        """The number in the batch of the first sequence that a replica has of a part."""
        return (part * self.num_replicas + replica) * self.sequences_at_once
