import dataclasses

import numpy as np
import pytest

from senformer.config import preset
from senformer.data import datasets
from senformer.data.tracks import track_types
from senformer.data.windows import InputWindow
from senformer.evaluation.predictions import predictor
from senformer.experiments import run_data
from senformer.experiments.reproduction import protocol_comparison
from senformer.experiments.track_accuracy import accuracy_by_track_type
from senformer.model import checkpoints
from senformer.model.enformer import Enformer
from senformer.study import judges
from senformer.study.verdicts import AGREES, CONTRADICTS, DIFFERS, UNDECIDED

RECORD_BP, CONTEXT_BP, INPUT_BP, BINS = 10_240, 8192, 12_288, 48


@pytest.fixture(scope="module")
def human(small_data):
    return run_data.open_data(small_data, "unused")["human"]


@pytest.fixture(scope="module")
def model(human):
    return Enformer(preset("enformer_tiny", tracks={"human": human.num_tracks}, target_length=BINS))


def inputs(human, flanks, **changes):
    options = {
        "split": "test",
        "sequence_length_bp": INPUT_BP,
        "context_length_bp": CONTEXT_BP,
        "target_length": BINS,
        "fasta": run_data.genome_of(human),
    }
    return list(protocol_comparison._examples(human, flanks, **{**options, **changes}))


def test_flanks_change_what_surrounds_the_context_and_nothing_else(human):
    flank = (INPUT_BP - CONTEXT_BP) // 2
    for real, zeros, none in zip(
        *(inputs(human, flanks) for flanks in protocol_comparison.FLANKS), strict=True
    ):
        context = np.asarray(none["sequence"])
        assert len(context) == CONTEXT_BP
        for padded in (real, zeros):
            sequence = np.asarray(padded["sequence"])
            assert len(sequence) == INPUT_BP
            np.testing.assert_array_equal(sequence[flank:-flank], context)
            np.testing.assert_array_equal(padded["target"], none["target"])
        assert not np.asarray(zeros["sequence"])[:flank].any()
        assert not np.asarray(zeros["sequence"])[-flank:].any()
        assert (np.asarray(real["sequence"]).sum(axis=-1) == 1).all()


def test_zero_padding_of_whole_records_is_the_studys(human):
    padded = inputs(human, "zeros", context_length_bp=RECORD_BP)
    study = datasets.examples(human, "test", InputWindow(INPUT_BP, BINS))
    for ours, theirs in zip(padded, study, strict=True):
        np.testing.assert_array_equal(ours["sequence"], theirs["sequence"])
        np.testing.assert_array_equal(ours["target"], theirs["target"])


def test_records_that_are_long_enough_need_no_genome(human):
    inputs(human, "genome", sequence_length_bp=RECORD_BP, fasta=None)
    with pytest.raises(ValueError, match="no real flanks up to 12288 bp, expected a FASTA"):
        inputs(human, "genome", fasta=None)


@pytest.fixture(scope="module")
def accuracy(human, model):
    return protocol_comparison.measure_accuracy(
        model,
        human,
        sequence_length_bp=INPUT_BP,
        context_length_bp=CONTEXT_BP,
        fasta=run_data.genome_of(human),
    )


def of(frame, choice, option):
    rows = frame[(frame["choice"] == choice) & (frame["option"] == option)]
    return rows.set_index("track_type")["pearson_r"]


def test_every_alternative_has_a_row_per_track_type_in_the_order_of_the_list(accuracy):
    pairs = list(dict.fromkeys(zip(accuracy["choice"], accuracy["option"], strict=True)))
    assert pairs == [(one.choice, one.option) for one in protocol_comparison.ALTERNATIVES]
    assert (accuracy.groupby(["choice", "option"])["track_type"].nunique() == 4).all()


def test_each_alternative_changes_one_choice_and_the_studys_changes_its_own():
    reference = protocol_comparison.Choices()
    for one in protocol_comparison.ALTERNATIVES:
        changed = dataclasses.replace(reference, **one.changes)
        differing = {
            field.name
            for field in dataclasses.fields(reference)
            if getattr(changed, field.name) != getattr(reference, field.name)
        }
        expected = {protocol_comparison.REFERENCE: 0, protocol_comparison.ALL_STUDY_CHOICES: 2}.get(
            one.choice, 1
        )
        assert len(differing) == expected, one
    singly = [
        one.changes
        for one in protocol_comparison.ALTERNATIVES
        if one.is_study_choice and one.choice != protocol_comparison.ALL_STUDY_CHOICES
    ]
    assert {key: value for changes in singly for key, value in changes.items()} == (
        protocol_comparison.STUDY
    )


def test_the_reference_is_plain_accuracy_and_changes_are_from_it(human, model):
    frame = protocol_comparison.measure_accuracy(
        model, human, sequence_length_bp=RECORD_BP, context_length_bp=CONTEXT_BP
    )
    reference = frame[frame["choice"] == protocol_comparison.REFERENCE]
    plain = accuracy_by_track_type(model, human, "test", sequence_length_bp=RECORD_BP)
    np.testing.assert_allclose(reference["pearson_r"], plain["pearson_r"], atol=1e-6)
    assert (reference["pearson_r_change"] == 0).all()
    r = frame.pivot(index=["choice", "option"], columns="track_type", values="pearson_r")
    change = frame.pivot(
        index=["choice", "option"], columns="track_type", values="pearson_r_change"
    )
    by_type = reference.set_index("track_type")["pearson_r"]
    np.testing.assert_allclose(change, r - by_type, atol=1e-12)


def test_a_change_is_told_from_nothing_on_the_same_sequences(accuracy):
    """Its interval is paired: narrower than that of r where both protocols move together."""
    reference = accuracy[accuracy["choice"] == protocol_comparison.REFERENCE]
    assert (
        reference[["pearson_r_change", "pearson_r_change_low", "pearson_r_change_high"]] == 0
    ).all(axis=None)
    rounded = accuracy[accuracy["option"] == "bfloat16"]
    widths = {
        name: (rounded[f"{name}_high"] - rounded[f"{name}_low"])
        for name in ("pearson_r_change", "pearson_r")
    }
    assert (widths["pearson_r_change"] > 0).all()
    assert (widths["pearson_r_change"] < 0.2 * widths["pearson_r"]).all()


def test_choices_equal_their_definitions_on_all_values_at_once(human, model, accuracy):
    predict = predictor(model, "human")
    types = track_types(human.targets).to_numpy()

    def values(flanks):
        examples = inputs(human, flanks)
        sequence = np.stack([np.asarray(one["sequence"]) for one in examples])
        return np.stack([np.asarray(one["target"]) for one in examples]), sequence

    x, sequence = values("genome")
    y = predict(sequence)
    both = (y + predict(sequence[:, ::-1, ::-1])[:, ::-1]) / 2
    middle = slice(BINS // 4, BINS // 4 + BINS // 2)
    x_zeros, padded = values("zeros")
    y_zeros = predict(padded)
    curated = track_types(human.targets, "curated").to_numpy()

    def per_track(x, y, types):
        tracks = np.flatnonzero(types == "TF ChIP")
        return np.mean([corr(x[..., track], y[..., track]) for track in tracks])

    expected = {
        ("reference", "Enformer's paper"): per_track(x, y, types),
        ("flanks", "zeros"): per_track(x_zeros, y_zeros, types),
        ("scale", "log(1 + x)"): per_track(np.log1p(x), np.log1p(y), types),
        ("histones", "by name, not H3 alone"): per_track(x, y, curated),
        ("averaging", "both strands"): per_track(x, both, types),
        ("bins", "central half"): per_track(x[:, middle], y[:, middle], types),
        ("the study's", "zeros, pooled"): corr(
            x_zeros[..., types == "TF ChIP"], y_zeros[..., types == "TF ChIP"]
        ),
    }
    for (choice, option), r in expected.items():
        assert of(accuracy, choice, option)["TF ChIP"] == pytest.approx(r, abs=1e-5), option


@pytest.mark.slow
def test_another_precision_is_the_same_weights_in_it(human, model):
    rounded = Enformer(model.config.replace(compute_dtype="bfloat16"))
    checkpoints.copy_weights(model, rounded)
    frame = protocol_comparison.measure_accuracy(
        model, human, sequence_length_bp=RECORD_BP, context_length_bp=CONTEXT_BP
    )
    plain = accuracy_by_track_type(rounded, human, "test", sequence_length_bp=RECORD_BP)
    np.testing.assert_allclose(
        of(frame, "precision", "bfloat16"), plain["pearson_r"], rtol=0, atol=1e-6
    )


def test_each_input_is_predicted_once_in_each_precision(human, model, monkeypatch):
    seen = []

    def counting(model, head):
        def predict(sequence):
            seen.append((model.config.compute_dtype, sequence.tobytes()))
            return np.random.default_rng(len(seen)).random((1, BINS, human.num_tracks))

        return predict

    monkeypatch.setattr(protocol_comparison, "predictor", counting)
    protocol_comparison.measure_accuracy(
        model,
        human,
        sequence_length_bp=INPUT_BP,
        context_length_bp=CONTEXT_BP,
        num_sequences=2,
        fasta=run_data.genome_of(human),
    )
    # Two strands of three shifts for real flanks, one view for the others and for bfloat16.
    views_of_flanks = 6 + 1 + 1 + 1
    assert len(seen) == len(set(seen)) == 2 * views_of_flanks


def test_what_the_studys_choices_are_worth_adds_up(accuracy):
    summary = protocol_comparison.compare_study_choices(accuracy)
    parts = summary["flanks"] + summary["r over"] + summary["remainder"]
    np.testing.assert_allclose(parts, summary["together"], atol=1e-12)
    reported = summary.set_index("track_type")["study_reports"]
    assert reported["TF ChIP"] == -0.129 and reported["CAGE"] == -0.021
    assert reported.drop(["TF ChIP", "CAGE"]).isna().all()


def test_what_the_study_reports_is_appended_and_the_provenance_kept(accuracy):
    measured = accuracy.copy()
    measured.attrs["provenance"] = {"seed": 0}
    both = protocol_comparison.append_reported(measured)
    assert both.attrs["provenance"] == {"seed": 0}
    added = both.iloc[len(measured) :].set_index("track_type")["pearson_r_change"]
    assert added.to_dict() == {"TF ChIP": -0.129, "CAGE": -0.021}


def judged(accuracy, unlike=""):
    return judges.judge_claims("reproduction", {"accuracy": accuracy}, unlike).set_index("key")


def test_a_deficit_is_what_the_studys_choices_take_from_the_reference(accuracy):
    rows = judged(accuracy, "here 2 tracks.")
    assert set(rows["verdict"]) == {DIFFERS} and set(rows["reason"]) == {"here 2 tracks."}
    reference = of(accuracy, "reference", "Enformer's paper")["TF ChIP"]
    deficit = reference - of(accuracy, "the study's", "zeros, pooled")["TF ChIP"]
    assert rows.loc["reproduction.chip_tf_deficit", "measured"] == pytest.approx(deficit)


@pytest.mark.parametrize(
    ("too_much", "verdict"), [(0.0, AGREES), (0.009, AGREES), (0.011, CONTRADICTS)]
)
def test_a_comparable_run_agrees_where_its_interval_holds_the_studys_number(
    accuracy, too_much, verdict
):
    change = -accuracy["track_type"].map(protocol_comparison.reported_drops()) - too_much
    like = accuracy.assign(
        pearson_r_change=change,
        pearson_r_change_low=change - 0.01,
        pearson_r_change_high=change + 0.01,
    )
    for name in ("chip_tf", "cage"):
        assert judged(like).loc[f"reproduction.{name}_deficit", "verdict"] == verdict
    unsure = like.assign(pearson_r_change_low=np.nan, pearson_r_change_high=np.nan)
    assert set(judged(unsure)["verdict"]) == {UNDECIDED}


def corr(x, y):
    return np.corrcoef(np.ravel(x).astype(np.float64), np.ravel(y).astype(np.float64))[0, 1]


def test_a_length_that_the_model_does_not_take_is_refused(human, model):
    with pytest.raises(ValueError, match="sequence_length_bp=1000 must be a multiple"):
        protocol_comparison.measure_accuracy(
            model, human, sequence_length_bp=RECORD_BP, context_length_bp=1000
        )
