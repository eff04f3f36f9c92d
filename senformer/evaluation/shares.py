"""Evaluation by several workers: each sums up its share of the sequences, and all get all sums."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from senformer.model.compute import replicas


def share_of(number: int) -> range:
    """Return the sequences of this worker: every n-th of them, for n workers.

    Args:
        number: Number of sequences of all workers.
    """
    return range(replicas.worker(), number, replicas.num_workers())


def gather(of_share: Sequence[ArrayLike]) -> list[NDArray[np.float64]]:
    """Gather the sums of all workers, sequence by sequence, in the order of all sequences.

    Statistics of the result are bit-identical to those that one worker computes of all sequences.
    Every worker must call this function.

    Args:
        of_share: This worker's sums `[kinds, tracks]`, for each sequence of `share_of`.
    """
    sums = [np.asarray(of_sequence, np.float64) for of_sequence in of_share]
    if replicas.num_workers() == 1:
        return sums
    sizes = np.zeros([replicas.num_workers(), 3])
    if sums:
        sizes[replicas.worker()] = len(sums), *sums[0].shape
    sizes = replicas.sum_over_workers(sizes).astype(int)
    whole = np.zeros([sizes[:, 0].sum(), *sizes[:, 1:].max(axis=0)])
    for place, of_sequence in zip(share_of(len(whole)), sums, strict=True):
        whole[place] = of_sequence
    return list(replicas.sum_over_workers(whole))
