"""Judge claims about the receptive field by the curves of both models."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scanned_models import effects

from senformer.experiments.receptive_field.scan import is_reached
from senformer.study.effect_curves import NO_SPREAD
from senformer.study.judges import judge_claims
from senformer.study.verdicts import AGREES, CONTRADICTS, DIFFERS, UNDECIDED

PEAKED = np.array([1.0, 2, 1, 1] * 3)
HIGHER_AND_EVEN_AT_ENDS = np.array([3.0, 3, 3, 3, 1, 9, 1, 1, 3, 3, 3, 3])
FAINT, LOUD_IN_ONE_BIN = np.full(12, 1e-3), np.array([1.0] + [1e-3] * 11)


def judge(senformer, noise=FAINT, difference=""):
    """Judge Enformer's peaked curves and others of S-Enformer, with the same noise for both."""
    curves = {"Enformer": PEAKED, "S-Enformer": senformer}
    changes, floor = (
        pd.concat([effects().assign(model=m, abs_change=x) for m, x in changed.items()])
        for changed in (curves, dict.fromkeys(curves, noise))
    )
    changes = changes.reset_index(drop=True)
    tables = {"changes": changes.assign(is_reached=is_reached(changes, floor))}
    rows = judge_claims("receptive_field", tables, difference)
    return rows.set_index(rows["key"].str.removeprefix("receptive_field."))


@pytest.mark.parametrize(
    ("senformer", "verdict", "reason"),
    [
        (HIGHER_AND_EVEN_AT_ENDS, AGREES, ""),
        (np.full(12, 3.0), CONTRADICTS, ""),
        (1.05 * PEAKED, UNDECIDED, NO_SPREAD),
    ],
    ids=["as stated", "flat", "nearly equal"],
)
def test_shape_follows_the_curves(senformer, verdict, reason):
    row = judge(senformer).loc["shape"]
    assert (row["verdict"], row["reason"]) == (verdict, reason)


def test_reach_is_open_where_rounding_explains_a_bin():
    assert judge(HIGHER_AND_EVEN_AT_ENDS).loc["full", "verdict"] == AGREES
    row = judge(HIGHER_AND_EVEN_AT_ENDS, LOUD_IN_ONE_BIN).loc["full"]
    assert row["verdict"] == UNDECIDED and "Enformer: 91.7% of bins" in row["measured"]


def test_only_drawn_blocks_are_judged_in_any_setting():
    judged = judge(PEAKED, difference="here 2 layers instead of 11.")
    assert judged.pop("verdict").to_dict() == {
        "full": DIFFERS,
        "shape": DIFFERS,
        "towards_ends": DIFFERS,
        "code_leading_blocks": AGREES,
    }
