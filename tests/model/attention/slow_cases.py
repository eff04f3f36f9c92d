"""Cases of a test that are slow tests."""

from collections.abc import Iterable

import pytest


def slow(*values):
    """One case, of one value or several."""
    return pytest.param(*values, marks=pytest.mark.slow)


def slow_but_for(chosen: Iterable, cases: Iterable) -> list:
    """All cases of one value, of which the chosen are asked by default."""
    return [case if case in chosen else slow(case) for case in cases]


# tokens, block size, random blocks: one chunk of rows and several, even and not
BIGBIRD_SIZES = [
    (40, 8, 0),
    slow(104, 8, 1),
    slow(128, 16, 3),
    slow(232, 8, 2),
    (448, 8, 3),
]
