"""Mark cases of a parametrised test as slow."""

from collections.abc import Iterable

import pytest


def slow(*values):
    """Mark one case as slow."""
    return pytest.param(*values, marks=pytest.mark.slow)


def slow_but_for(chosen: Iterable, cases: Iterable) -> list:
    """Mark all cases but the chosen ones as slow."""
    return [case if case in chosen else slow(case) for case in cases]
