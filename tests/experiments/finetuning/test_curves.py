import numpy as np
import pandas as pd
import pytest

from senformer.config import preset
from senformer.evaluation.track_accuracy import accuracy_by_track_type
from senformer.experiments import run_data
from senformer.experiments.finetuning import curves
from senformer.experiments.finetuning.curves import ENFORMER, NEW_ATTENTION, OVER_TYPES, WARM_START
from senformer.model.enformer import Enformer
from senformer.study import judges
from senformer.study.verdicts import AGREES, CONTRADICTS, DIFFERS, UNDECIDED

TYPES = ("DNase/ATAC", "CAGE", OVER_TYPES)

DROPS = [
    (ENFORMER, 0, 0.0, 0.0, 0.0),
    (NEW_ATTENTION, 0, 0.5, 0.4, 0.45),
    (NEW_ATTENTION, 9, 0.1, 0.2, 0.15),
    (WARM_START, 0, 0.05, 0.1, 0.075),
    (WARM_START, 9, -0.05, 0.0, -0.025),
]


@pytest.fixture
def accuracy():
    return pd.DataFrame(
        [
            {
                "model": model,
                "step": step,
                "track_type": track_type,
                "pearson_r": 0.7 - drop,
                "pearson_r_low": 0.65 - drop,
                "pearson_r_high": 0.75 - drop,
                "pearson_r_drop": drop,
                "pearson_r_drop_low": drop - 0.04,
                "pearson_r_drop_high": drop + 0.04,
            }
            for model, step, *values in DROPS
            for track_type, drop in zip(TYPES, values, strict=True)
        ]
    )


def evaluations(*rises, num=11, noise=0.0):
    steps = np.arange(num) * 100
    wiggle = noise * np.where(np.arange(num) % 2, 1, -1)
    return (
        pd.concat(
            [
                pd.DataFrame({"step": steps, "pearson_r": 0.5 + rise * steps / 1000 + wiggle})
                for rise in rises
            ],
            keys=TYPES[: len(rises)],
            names=["track_type", None],
        )
        .reset_index("track_type")
        .assign(model=NEW_ATTENTION)
    )


RISING = evaluations(0.1, 0.2)


def judged(accuracy, during=RISING, unlike=""):
    slopes = curves.fit_final_slopes(during, NEW_ATTENTION)
    tables = {"accuracy": accuracy, "slopes": slopes, "num_steps": 25_000}
    rows = judges.judge_claims("finetuning", tables, unlike)
    return rows.set_index(rows["key"].str.removeprefix("finetuning."))


def test_compare_before_after_takes_outer_steps(accuracy):
    ends = curves.compare_before_after(accuracy, "pearson_r_drop")
    assert list(ends.index) == list(TYPES)
    assert ends.loc["CAGE", (NEW_ATTENTION, "before")] == 0.4
    assert ends.loc["CAGE", (NEW_ATTENTION, "after")] == 0.2
    assert ends.loc["CAGE", (ENFORMER, "before")] == ends.loc["CAGE", (ENFORMER, "after")] == 0.0


def test_format_before_after_shows_intervals(accuracy):
    table = curves.format_before_after(accuracy).set_index("model")
    starts = [f"{model}, {when}" for model in (NEW_ATTENTION, WARM_START) for when in WHEN]
    assert list(table.index) == [ENFORMER, *starts]
    assert table.loc[f"{WARM_START}, after", "CAGE"] == "0.700 (0.650 to 0.750)"


WHEN = ("before", "after")


def test_claims_need_the_studys_settings(accuracy):
    assert set(judged(accuracy)["verdict"]) == {AGREES}
    assert set(judged(accuracy, unlike="here 2 layers.")["verdict"]) == {DIFFERS}


def test_below_enformer_follows_the_interval(
    accuracy,
):
    is_new = accuracy["model"] == NEW_ATTENTION
    for nearer, verdict in ((0.08, UNDECIDED), (0.15, CONTRADICTS)):
        moved = accuracy.copy()
        moved.loc[is_new, ["pearson_r_drop", "pearson_r_drop_low", "pearson_r_drop_high"]] -= nearer
        assert judged(moved).loc["below_enformer", "verdict"] == verdict


def test_still_improving_follows_the_slopes_interval(accuracy):
    slopes = curves.fit_final_slopes(evaluations(0.1, -0.1, noise=1e-6), NEW_ATTENTION)
    np.testing.assert_allclose(slopes["slope"], [0.1, -0.1], atol=1e-4)
    cases = [(evaluations(0.1, -0.1), CONTRADICTS), (evaluations(0.1, 0.01, noise=0.05), UNDECIDED)]
    for during, verdict in cases:
        assert judged(accuracy, during).loc["still_improving", "verdict"] == verdict
    few = RISING[RISING["step"] > 800]
    assert judged(accuracy, few).loc["still_improving", "verdict"] == UNDECIDED


def test_still_improving_ignores_the_first_half(accuracy):
    levelled = RISING.assign(pearson_r=RISING["pearson_r"].clip(upper=0.55))
    assert judged(accuracy, levelled).loc["still_improving", "verdict"] != AGREES


def test_summarize_starts_gives_the_drops(accuracy):
    assert curves.summarize_starts(accuracy, 32_768, 0.5) == (
        "With Enformer's own weights and 50% of the keys of an input of 32,768 bp, r is lower than "
        "Enformer's by 0.075 (0.035 to 0.115) before training and by -0.025 (-0.065 to 0.015) "
        "after it; with new attention layers, as in the study, by 0.450 (0.410 to 0.490) and by "
        "0.150 (0.110 to 0.190)."
    )


def test_type_without_r_is_left_out_and_counted(accuracy):
    of_cage = (accuracy["model"] == NEW_ATTENTION) & (accuracy["track_type"] == "CAGE")
    accuracy.loc[of_cage, [name for name in accuracy if name.startswith("pearson_r")]] = np.nan
    row = judged(accuracy).loc["below_enformer"]
    assert row["verdict"] == AGREES and "for 1 of 2 types" in row["measured"]
    text = curves.summarize_starts(accuracy, 32_768, 0.5)
    assert text.endswith(" Without r, and not in the mean: 1 track types.")


def test_held_out_drops_are_paired(small_data):
    """The drop of a model from itself is zero, with an interval of no width."""
    human = run_data.open_data(small_data, "unused")["human"]
    config = preset("enformer_tiny", tracks={"human": human.num_tracks}, target_length=48)
    models = {
        (ENFORMER, 0): Enformer(config, seed=0),
        (WARM_START, 0): Enformer(config, seed=0),
        (NEW_ATTENTION, 0): Enformer(config, seed=1),
    }
    table = curves.measure_held_out_accuracy(models, human, sequence_length_bp=10_240)
    same = table[table["model"] == WARM_START]
    np.testing.assert_allclose(
        same[["pearson_r_drop", "pearson_r_drop_low", "pearson_r_drop_high"]], 0, atol=1e-9
    )
    own = accuracy_by_track_type(models[NEW_ATTENTION, 0], human, "test", sequence_length_bp=10_240)
    other = table[table["model"] == NEW_ATTENTION].set_index("track_type")
    np.testing.assert_allclose(other["pearson_r"].iloc[:-1], own["pearson_r"], rtol=1e-9)
    assert other.loc[OVER_TYPES, "pearson_r"] == pytest.approx(own["pearson_r"].mean())
