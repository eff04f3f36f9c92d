"""Model how often enhancers and promoters meet: contact falls as a power of the distance.

An enhancer acts on a promoter in proportion to their contact frequency. In the nucleus, this
frequency falls as a power of the distance along the chromosome, over hundreds of thousands of base
pairs, and insulators between domains reduce it (Lieberman-Aiden et al. 2009; Rao et al. 2014). So
every longer input contains a little more of what a promoter depends on.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

PLATEAU_BP = 8192
"""Distance below which contact hardly falls."""

EXPONENT = 0.75
"""Power of the distance with which contact falls, as within the domains of real chromosomes."""

MAX_DISTANCE_BP = 393_216
"""Distance beyond which an enhancer has no effect."""

PASSED_BY_INSULATOR = 0.4
"""Factor by which each insulator between enhancer and promoter reduces their contact."""

INSULATOR = "boundary"
"""The name of insulators in the column `kind`."""


def compute_contact(distance_bp: np.ndarray) -> np.ndarray:
    """Compute the contact of two places without an insulator between them.

    Args:
        distance_bp: Distances, of any shape.

    Returns:
        Contact from 0 to 1, of the same shape; 1 at distance 0.
    """
    falling = (1 + np.abs(distance_bp) / PLATEAU_BP) ** -EXPONENT
    return np.where(np.abs(distance_bp) <= MAX_DISTANCE_BP, falling, 0.0)


def find_pairs(elements: pd.DataFrame) -> pd.DataFrame:
    """Find all pairs of a promoter and an enhancer that acts on it, in linear time.

    Args:
        elements: The elements of one chromosome, sorted by position: `position_bp`, `kind`,
            `activator`.

    Returns:
        One row per pair: `promoter` and `enhancer`, their rows in `elements`; `distance_bp`,
        positive for an enhancer to the right; `contact`.
    """
    position_bp = elements["position_bp"].to_numpy(np.int64)
    kind = elements["kind"].to_numpy()
    activator = elements["activator"].to_numpy()
    pairs = [np.zeros([2, 0], np.int64)]
    for name in sorted(set(activator[kind == "promoter"])):
        promoters = np.flatnonzero((kind == "promoter") & (activator == name))
        enhancers = np.flatnonzero((kind == "enhancer") & (activator == name))
        pairs.append(_pair_neighbours(promoters, enhancers, position_bp))
    promoter, enhancer = np.concatenate(pairs, axis=1)
    distance_bp = position_bp[enhancer] - position_bp[promoter]
    num_insulators_before = np.cumsum(kind == INSULATOR)
    num_between = np.abs(num_insulators_before[enhancer] - num_insulators_before[promoter])
    return pd.DataFrame(
        {
            "promoter": promoter,
            "enhancer": enhancer,
            "distance_bp": distance_bp,
            "contact": compute_contact(distance_bp) * PASSED_BY_INSULATOR**num_between,
        }
    )


def _pair_neighbours(
    promoters: np.ndarray, enhancers: np.ndarray, position_bp: np.ndarray
) -> np.ndarray:
    """Pair promoters with the enhancers within `MAX_DISTANCE_BP`: rows `[2, pairs]`."""
    promoter_bp, enhancer_bp = position_bp[promoters], position_bp[enhancers]
    first = np.searchsorted(enhancer_bp, promoter_bp - MAX_DISTANCE_BP, side="left")
    end = np.searchsorted(enhancer_bp, promoter_bp + MAX_DISTANCE_BP, side="right")
    count = end - first
    first_pair = np.repeat(np.cumsum(count) - count, count)
    neighbour = np.repeat(first, count) + np.arange(count.sum()) - first_pair
    return np.stack([np.repeat(promoters, count), enhancers[neighbour]])
