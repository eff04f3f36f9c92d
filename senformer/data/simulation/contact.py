"""How far the simulated enhancers reach: contact falls as a power of the distance.

An enhancer acts on a promoter as often as the two meet. In the nucleus that falls as a power of
their distance along the chromosome, over hundreds of thousands of base pairs, and boundaries
between domains keep part of it back (Lieberman-Aiden et al. 2009; Rao et al. 2014). So no distance
is the end of what a promoter depends on: every longer input holds a little more of it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

PLATEAU_BP = 8192
"""Distance below which contact hardly falls."""

EXPONENT = 0.75
"""Power of the distance with which contact falls, as within the domains of real chromosomes."""

MOST_DISTANT_BP = 393_216
"""An enhancer farther away than this does nothing."""

PASSED_BY_BOUNDARY = 0.4
"""Share of the contact that each boundary between the two lets pass."""


def contact(distance_bp: np.ndarray) -> np.ndarray:
    """How often two places meet that no boundary parts; 1 at no distance.

    Args:
        distance_bp: Between the two, of any shape.

    Returns:
        From 0 to 1, of the same shape.
    """
    met = (1 + np.abs(distance_bp) / PLATEAU_BP) ** -EXPONENT
    return np.where(np.abs(distance_bp) <= MOST_DISTANT_BP, met, 0.0)


def pairs_in_contact(elements: pd.DataFrame) -> pd.DataFrame:
    """Every promoter with every enhancer that it listens to; linear in the elements.

    Args:
        elements: One chromosome's, in order of position: `position_bp`, `kind`, `activator`.

    Returns:
        One row per pair: `promoter` and `enhancer`, their rows in `elements`; `distance_bp`,
        positive for an enhancer to the right; `contact`.
    """
    position_bp = elements["position_bp"].to_numpy(np.int64)
    kind = elements["kind"].to_numpy()
    activator = elements["activator"].to_numpy()
    boundaries_before = np.cumsum(kind == "boundary")
    of_activators = [
        _pairs(
            np.flatnonzero((kind == "promoter") & (activator == name)),
            np.flatnonzero((kind == "enhancer") & (activator == name)),
            position_bp,
        )
        for name in sorted(set(activator[kind == "promoter"]))
    ]
    promoter, enhancer = np.concatenate(of_activators, axis=1) if of_activators else _NO_PAIRS
    distance_bp = position_bp[enhancer] - position_bp[promoter]
    between = np.abs(boundaries_before[enhancer] - boundaries_before[promoter])
    return pd.DataFrame(
        {
            "promoter": promoter,
            "enhancer": enhancer,
            "distance_bp": distance_bp,
            "contact": contact(distance_bp) * PASSED_BY_BOUNDARY**between,
        }
    )


_NO_PAIRS = np.zeros([2, 0], np.int64)


def _pairs(promoters: np.ndarray, enhancers: np.ndarray, position_bp: np.ndarray) -> np.ndarray:
    """Rows of promoters and of the enhancers within `MOST_DISTANT_BP`, `[2, pairs]`."""
    at, of = position_bp[promoters], position_bp[enhancers]
    first = np.searchsorted(of, at - MOST_DISTANT_BP, side="left")
    count = np.searchsorted(of, at + MOST_DISTANT_BP, side="right") - first
    run_start = np.repeat(np.cumsum(count) - count, count)
    place = np.repeat(first, count) + np.arange(count.sum()) - run_start
    return np.stack([np.repeat(promoters, count), enhancers[place]])
