"""Analyse the study's stored results, and judge its claims by them."""

from __future__ import annotations

import pandas as pd
import pytest

from senformer.study import claims, judges, published_tables, stored_results
from senformer.study.accuracy_judges import STORED_CORRELATION_JUDGES
from senformer.study.effect_judges import STORED_RECEPTIVE_FIELD_JUDGES
from senformer.study.verdicts import AGREES, CONTRADICTS, UNDECIDED, apply_judges

FACTS = {
    # mean r of Enformer and S-Enformer, r between them, percentage where S-Enformer is ahead
    "DNase/ATAC": (0.709, 0.663, 0.876, 15.4),
    "Histone ChIP": (0.652, 0.562, 0.898, 3.4),
    "TF ChIP": (0.642, 0.601, 0.962, 6.4),
    "CAGE": (0.533, 0.445, 0.863, 14.9),
}


@pytest.fixture(scope="module")
def per_sequence():
    return published_tables.read_correlation_per_sequence()


@pytest.fixture(scope="module")
def compared(per_sequence):
    return stored_results.compare_correlations(per_sequence)


def verdicts(rows: pd.DataFrame) -> dict[str, str]:
    return dict(zip(rows["key"].str.split(".").str[1], rows["verdict"], strict=True))


def test_correlations_match_the_study(compared):
    assert list(compared["track_type"]) == list(FACTS)
    for row in compared.to_dict("records"):
        found = (
            round(row["enformer_mean_r"], 3),
            round(row["senformer_mean_r"], 3),
            round(row["pearson_r"], 3),
            round(100 * row["share_senformer_ahead"], 1),
        )
        assert found == FACTS[row["track_type"]]
        assert row["num_sequences"] == 1413


def test_spread_is_of_the_difference(per_sequence, compared):
    cage = per_sequence[per_sequence["track_type"] == "CAGE"]
    difference = cage["senformer_pearson_r"] - cage["enformer_pearson_r"]
    of_type = compared.set_index("track_type")["difference_sd"]
    assert of_type["CAGE"] == pytest.approx(difference.std(ddof=0))
    assert of_type.idxmax() == "CAGE" and of_type.idxmin() == "TF ChIP"


def test_describe_correlations_names_the_extremes(compared):
    said = stored_results.describe_correlations(compared)
    assert said.startswith(
        "Enformer's mean r is the higher for 4 of 4 types of track, by 0.041 (TF"
    )
    assert "ahead in 3.4% (Histone ChIP) to 15.4% (DNase/ATAC) of the sequences" in said
    assert said.endswith("r between the models is 0.863 (CAGE) to 0.962 (TF ChIP).")


def test_only_the_number_of_sequences_contradicts(compared):
    judged = verdicts(apply_judges(STORED_CORRELATION_JUDGES, {"compared": compared}))
    assert len(judged) == 10
    assert [key for key, verdict in judged.items() if verdict != AGREES] == ["num_sequences_stated"]
    assert judged["num_sequences_stated"] == CONTRADICTS


def test_a_different_last_digit_contradicts(compared):
    is_cage = compared["track_type"] == "CAGE"
    moved = compared.assign(pearson_r=compared["pearson_r"].mask(is_cage, 0.8636))
    judged = verdicts(apply_judges(STORED_CORRELATION_JUDGES, {"compared": moved}))
    assert (judged["cage_pearson_r"], judged["chip_tf_pearson_r"]) == (CONTRADICTS, AGREES)


class TestFigure8:
    def test_stored_curves_judge_figure_8(self):
        curves = published_tables.read_receptive_field()
        judged = verdicts(apply_judges(STORED_RECEPTIVE_FIELD_JUDGES, {"changes": curves}))
        assert judged == {
            "num_positions": AGREES,
            "full": UNDECIDED,
            "shape": UNDECIDED,
            "towards_ends": CONTRADICTS,
            "code_leading_blocks": AGREES,
        }
        said = stored_results.describe_receptive_field(curves)
        assert "when base 0 or 196,607 is changed, by 7.7% at most" in said
        assert "2.3 to 32.4 times as large" in said
        assert "for 6 of 9 positions (up to 9.1 times, elsewhere 1.4), Enformer's for 1." in said

    def test_swapped_models_contradict(self):
        curves = published_tables.read_receptive_field()
        other = {"Enformer": "S-Enformer", "S-Enformer": "Enformer"}
        swapped = curves.assign(model=curves["model"].map(other))
        swapped.loc[0, "abs_change"] = 0.0
        judged = verdicts(apply_judges(STORED_RECEPTIVE_FIELD_JUDGES, {"changes": swapped}))
        assert judged.pop("num_positions") == AGREES
        assert set(judged.values()) == {CONTRADICTS}


def test_stored_results_judge_two_topics():
    keys = judges.judge_stored_results()["key"]
    assert keys.is_unique
    assert {claims.get_claim(key).key.split(".")[0] for key in keys} == {
        "correlation",
        "receptive_field",
    }
