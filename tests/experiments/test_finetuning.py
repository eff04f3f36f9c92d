import pandas as pd
import pytest

from senformer.experiments import finetuning
from senformer.experiments.finetuning import ENFORMER, NEW_ATTENTION, WARM_START

WHEN = ("before", "after")

ROWS = [
    (0, ENFORMER, 0.8, 0.6),
    (0, NEW_ATTENTION, 0.3, 0.2),
    (9, NEW_ATTENTION, 0.7, 0.5),
    (0, WARM_START, 0.75, 0.5),
    (9, WARM_START, 0.85, 0.6),
]


@pytest.fixture
def accuracy():
    return pd.DataFrame(
        [
            {"step": step, "model": model, "track_type": track_type, "pearson_r": r}
            for step, model, *values in ROWS
            for track_type, r in zip(("DNase/ATAC", "CAGE"), values, strict=True)
        ]
    )


def claim(accuracy, unlike=""):
    frame = finetuning.judge_claims(accuracy, num_steps=25_000, unlike=unlike)
    assert list(frame["key"]) == ["finetuning.parity"]
    return frame.iloc[0]


def test_the_ends_are_the_first_and_the_last_evaluation(accuracy):
    ends = finetuning.at_the_ends(accuracy)
    assert list(ends.index) == ["DNase/ATAC", "CAGE"]
    assert ends.loc["CAGE", (NEW_ATTENTION, "before")] == 0.2
    assert ends.loc["CAGE", (NEW_ATTENTION, "after")] == 0.5
    assert ends.loc["CAGE", (ENFORMER, "before")] == ends.loc["CAGE", (ENFORMER, "after")] == 0.6


def test_a_page_shows_each_r_with_its_interval(accuracy):
    with_interval = accuracy.assign(
        pearson_r_low=accuracy["pearson_r"] - 0.1, pearson_r_high=accuracy["pearson_r"] + 0.1
    )
    table = finetuning.table_of_ends(with_interval).set_index("model")
    assert list(table.index) == [
        ENFORMER,
        *(f"{model}, {when}" for model in (NEW_ATTENTION, WARM_START) for when in WHEN),
    ]
    assert table.loc[f"{WARM_START}, after", "CAGE"] == "0.600 (0.500 to 0.700)"


def test_the_claim_is_judged_where_the_run_is_like_the_study_alone(accuracy):
    assert claim(accuracy)["agrees"] == "yes"
    assert claim(accuracy, "here 2 layers.")["agrees"] == "not comparable: here 2 layers."


def test_a_model_that_reaches_enformer_contradicts_the_claim(accuracy):
    accuracy.loc[accuracy["model"] == NEW_ATTENTION, "pearson_r"] += 0.15
    row = claim(accuracy)
    assert row["agrees"] == "no"
    assert "below Enformer for 0 of 2 track types, above its own start for 2" in row["measured"]


def test_words_follow_the_numbers(accuracy):
    text = finetuning.what_was_found(accuracy)
    assert "New attention before any step: -0.450 from Enformer" in text
    assert "after the last: +0.025 from Enformer on average (+0.000 to +0.050" in text


def test_a_type_without_an_r_is_left_out_and_counted(accuracy):
    of_cage = (accuracy["model"] == NEW_ATTENTION) & (accuracy["track_type"] == "CAGE")
    accuracy.loc[of_cage, "pearson_r"] = float("nan")
    row = claim(accuracy)
    assert row["agrees"] == "yes"
    assert "below Enformer for 1 of 1 track types" in row["measured"]
    left_out = "; 1 of 2 types have no r and are left out"
    assert row["measured"].endswith(left_out)
    assert finetuning.what_was_found(accuracy).endswith(f"{left_out}.")
