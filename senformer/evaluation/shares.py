"""Evaluation by several workers: each sums up its share of the sequences, and all get all sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from senformer.model.compute import replicas

_Sums = TypeVar("_Sums", bound=NamedTuple)


def share_of(number: int) -> range:
    """Which of so many sequences are this worker's, one of each in turn; all of one that is alone.

    Args:
        number: Of the sequences of all workers.
    """
    return range(replicas.worker(), number, replicas.num_workers())


def gathered(kind: type[_Sums], of_share: Sequence[_Sums]) -> list[_Sums]:
    """What all workers summed up, sequence by sequence, in the order of the whole.

    So what is made of it, merged in that order or drawn anew, is what one worker makes of all
    sequences, bit by bit. All workers have to call this.

    Args:
        kind: Of the sums: arrays of one shape each, such as `PearsonSums`.
        of_share: This worker's, one for each sequence of `share_of`.
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
