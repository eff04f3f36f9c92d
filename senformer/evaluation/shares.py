"""Evaluation by several workers: each sums up its share of the sequences, and all get all sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from senformer.model.compute import replicas

_Sums = TypeVar("_Sums", bound=NamedTuple)


def share_of(number: int) -> range:
    """Return the sequences of this worker: every n-th of them, for n workers.

    Args:
        number: Number of sequences of all workers.
    """
    return range(replicas.worker(), number, replicas.num_workers())


def gather(kind: type[_Sums], of_share: Sequence[_Sums]) -> list[_Sums]:
    """Gather the sums of all workers, sequence by sequence, in the order of all sequences.

    Statistics of the result are bit-identical to those that one worker computes of all sequences.
    Every worker must call this function.

    Args:
        kind: Type of the sums, whose arrays all have one shape, such as `PearsonSums`.
        of_share: This worker's sums, one for each sequence of `share_of`.
    """
    if replicas.num_workers() == 1:
        return list(of_share)
    workers, mine = replicas.num_workers(), replicas.worker()
    sizes = np.zeros([workers, 2])
    sizes[mine] = len(of_share), of_share[0][0].size if of_share else 0
    sizes = replicas.sum_over_workers(sizes)
    whole = np.zeros([int(sizes[:, 0].sum()), len(kind._fields), int(sizes[:, 1].max())])
    for place, sums in zip(share_of(len(whole)), of_share, strict=True):
        whole[place] = sums
    return [kind(*fields) for fields in replicas.sum_over_workers(whole)]
