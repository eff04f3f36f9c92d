import numpy as np
import pandas as pd
import pytest

from senformer.config import preset
from senformer.evaluation.track_accuracy import evaluate_track_types
from senformer.experiments.finetuning import curves
from senformer.model.enformer import Enformer
from senformer.report.row_labels import ENFORMER, NEW_ATTENTION, OVER_TYPES, WARM_START
from senformer.study import judges
from senformer.study.verdicts import AGREES, CONTRADICTS, UNDECIDED

TYPES = ("DNase/ATAC", "CAGE", OVER_TYPES)
DROP = ["pearson_r_drop", "pearson_r_drop_low", "pearson_r_drop_high"]


@pytest.fixture
def accuracy():
    drops = {
        (ENFORMER, 0): (0.0, 0.0, 0.0),
        (NEW_ATTENTION, 0): (0.5, 0.4, 0.45),
        (NEW_ATTENTION, 9): (0.1, 0.2, 0.15),
        (WARM_START, 0): (0.05, 0.1, 0.075),
        (WARM_START, 9): (-0.05, 0.0, -0.025),
    }
    wide = pd.DataFrame(drops, index=pd.Index(TYPES, name="track_type")).T
    drop = wide.rename_axis(["model", "step"]).stack().rename("pearson_r_drop")
    frame = drop.to_frame().assign(pearson_r=0.7 - drop)
    for column, margin in (("pearson_r_drop", 0.04), ("pearson_r", 0.05)):
        frame[f"{column}_low"] = frame[column] - margin
        frame[f"{column}_high"] = frame[column] + margin
    return frame.reset_index()


def evaluations(*slopes, noise=0.0):
    steps = np.arange(11) * 100
    wiggle = noise * np.where(np.arange(11) % 2, 1, -1)
    tables = [
        pd.DataFrame({"step": steps, "pearson_r": 0.5 + slope * steps / 1000 + wiggle})
        for slope in slopes
    ]
    rows = pd.concat(tables, keys=TYPES[: len(slopes)], names=["track_type", None])
    return rows.reset_index("track_type").assign(model=NEW_ATTENTION)


RISING = evaluations(0.1, 0.2)
WIGGLE = 0.001 * (RISING["step"] // 100 % 2)
LEVELLED = RISING.assign(pearson_r=RISING["pearson_r"].clip(upper=0.55) + WIGGLE)


def judge(accuracy, during=RISING):
    slopes = curves.fit_final_slopes(during, NEW_ATTENTION)
    evidence = {"accuracy": accuracy, "slopes": slopes, "num_steps": 25_000}
    rows = judges.judge_claims("finetuning", evidence)
    return rows.set_index(rows["key"].str.removeprefix("finetuning."))


def test_format_before_after_uses_outer_steps(accuracy):
    table = curves.format_before_after(accuracy).set_index("model")
    assert list(table.columns) == list(TYPES)
    assert table["CAGE"].to_dict() == {
        ENFORMER: "0.700 (0.650 to 0.750)",
        f"{NEW_ATTENTION}, before": "0.300 (0.250 to 0.350)",
        f"{NEW_ATTENTION}, after": "0.500 (0.450 to 0.550)",
        f"{WARM_START}, before": "0.600 (0.550 to 0.650)",
        f"{WARM_START}, after": "0.700 (0.650 to 0.750)",
    }


@pytest.mark.parametrize(("gain", "verdict"), [(0, AGREES), (0.08, UNDECIDED), (0.15, CONTRADICTS)])
def test_below_enformer_follows_the_interval(accuracy, gain, verdict):
    accuracy.loc[accuracy["model"] == NEW_ATTENTION, DROP] -= gain
    assert judge(accuracy).loc["below_enformer", "verdict"] == verdict


@pytest.mark.parametrize(
    ("during", "verdict"),
    [
        (RISING, AGREES),
        (evaluations(0.1, -0.1), CONTRADICTS),
        (evaluations(0.1, 0.01, noise=0.05), UNDECIDED),
        (RISING[RISING["step"] > 800], UNDECIDED),
        (LEVELLED, UNDECIDED),
    ],
    ids=["rising", "falling", "noisy", "too few", "rising in the first half only"],
)
def test_still_improving_follows_the_slopes(accuracy, during, verdict):
    assert judge(accuracy, during).loc["still_improving", "verdict"] == verdict


def test_fit_final_slopes_recovers_slopes():
    slopes = curves.fit_final_slopes(evaluations(0.1, -0.1, noise=1e-6), NEW_ATTENTION)
    np.testing.assert_allclose(slopes["slope"], [0.1, -0.1], atol=1e-4)


def test_summarize_starts_gives_the_drops(accuracy):
    assert curves.summarize_starts(accuracy, 32_768, 0.5) == (
        "With Enformer's own weights and 50% of the keys of an input of 32,768 bp, r is lower than "
        "Enformer's by 0.075 (0.035 to 0.115) before training and by -0.025 (-0.065 to 0.015) "
        "after it; with new attention layers, as in the study, by 0.450 (0.410 to 0.490) and by "
        "0.150 (0.110 to 0.190)."
    )


def test_type_without_r_is_left_out_and_counted(accuracy):
    is_new_cage = (accuracy["model"] == NEW_ATTENTION) & (accuracy["track_type"] == "CAGE")
    accuracy.loc[is_new_cage, [*DROP, "pearson_r"]] = np.nan
    row = judge(accuracy).loc["below_enformer"]
    assert row["verdict"] == AGREES and "for 1 of 2 types" in row["measured"]
    text = curves.summarize_starts(accuracy, 32_768, 0.5)
    assert text.endswith(" Without r, and not in the mean: 1 track types.")


def test_held_out_drops_are_paired(human):
    """The drop of a model from itself is zero, with an interval of no width."""
    config = preset("enformer_tiny", tracks={"human": human.num_tracks}, target_length=48)
    seeds = {(ENFORMER, 0): 0, (WARM_START, 0): 0, (NEW_ATTENTION, 0): 1}
    models = {key: Enformer(config, seed=seed) for key, seed in seeds.items()}
    table = curves.measure_held_out_accuracy(models, human, sequence_length_bp=10_240)
    table = table.set_index("model")
    np.testing.assert_allclose(table.loc[WARM_START, DROP], 0, atol=1e-9)
    own = evaluate_track_types(models[NEW_ATTENTION, 0], human, "test", sequence_length_bp=10_240)
    expected = [*own.table["pearson_r"], own.table["pearson_r"].mean()]
    np.testing.assert_allclose(table.loc[NEW_ATTENTION, "pearson_r"], expected, rtol=1e-9)
