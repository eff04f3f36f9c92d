import dataclasses

import numpy as np
import pytest

from senformer.config import preset
from senformer.data import datasets
from senformer.data.tracks import track_types
from senformer.data.windows import InputWindow
from senformer.evaluation.predictions import predictor
from senformer.evaluation.track_accuracy import evaluate_track_types
from senformer.experiments import run_data
from senformer.experiments.reproduction import protocol_comparison
from senformer.model import checkpoints
from senformer.model.enformer import Enformer
from senformer.report.row_labels import ALL_STUDY_CHOICES
from senformer.study import judges
from senformer.study.verdicts import AGREES, CONTRADICTS, DIFFERS, UNDECIDED

RECORD_BP, CONTEXT_BP, INPUT_BP, BINS = 10_240, 8192, 12_288, 48
CHANGE = ["pearson_r_change", "pearson_r_change_low", "pearson_r_change_high"]


@pytest.fixture(scope="module")
def model(human):
    return Enformer(preset("enformer_tiny", tracks={"human": human.num_tracks}, target_length=BINS))


def measure(model, human, **settings):
    defaults = {"sequence_length_bp": INPUT_BP, "context_length_bp": CONTEXT_BP}
    defaults["fasta"] = run_data.genome_of(human)
    return protocol_comparison.measure_accuracy(model, human, **defaults | settings)


@pytest.fixture(scope="module")
def accuracy(human, model):
    return measure(model, human)


@pytest.fixture(scope="module")
def accuracy_on_records(human, model):
    return measure(model, human, sequence_length_bp=RECORD_BP, fasta=None)


def read_inputs(human, flanks, *, context_bp=CONTEXT_BP):
    window = InputWindow(INPUT_BP, BINS, fasta=run_data.genome_of(human))
    examples = protocol_comparison.examples_with_flanks(human, flanks, window, context_bp)
    return [(np.asarray(one["sequence"]), np.asarray(one["target"])) for one in examples]


def select_r(frame, choice, option):
    rows = frame[(frame["choice"] == choice) & (frame["option"] == option)]
    return rows.set_index("track_type")["pearson_r"]


def test_flanks_keep_the_context(human):
    flank = (INPUT_BP - CONTEXT_BP) // 2
    inputs = [read_inputs(human, flanks) for flanks in protocol_comparison.FLANKS]
    for (real, real_target), (zeros, zeros_target), (context, target) in zip(*inputs, strict=True):
        assert len(real) == len(zeros) == INPUT_BP and len(context) == CONTEXT_BP
        np.testing.assert_array_equal([real[flank:-flank], zeros[flank:-flank]], [context] * 2)
        np.testing.assert_array_equal([real_target, zeros_target], [target] * 2)
        assert not zeros[:flank].any() and not zeros[-flank:].any()
        assert (real.sum(axis=-1) == 1).all()


def test_zero_flanks_of_whole_records_are_the_studys(human):
    padded = read_inputs(human, "zeros", context_bp=RECORD_BP)
    study = datasets.examples(human, "test", InputWindow(INPUT_BP, BINS))
    for (sequence, target), expected in zip(padded, study, strict=True):
        np.testing.assert_array_equal(sequence, expected["sequence"])
        np.testing.assert_array_equal(target, expected["target"])


def test_real_flanks_beyond_records_need_a_genome(human, model):
    with pytest.raises(ValueError, match="no real flanks up to 12288 bp, expected a FASTA"):
        measure(model, human, fasta=None)


def test_measure_accuracy_covers_protocols_and_types(accuracy):
    num_types = accuracy.groupby(["choice", "option"], sort=False)["track_type"].nunique()
    assert num_types.to_dict() == {
        (one.choice, one.option): 4 for one in protocol_comparison.ALTERNATIVES
    }


def test_alternatives_differ_in_one_choice():
    reference = dataclasses.asdict(protocol_comparison.Choices())
    expected = {protocol_comparison.REFERENCE: 0, ALL_STUDY_CHOICES: 2}
    study = {}
    for one in protocol_comparison.ALTERNATIVES:
        differing = dataclasses.asdict(one.choices).items() - reference.items()
        assert len(differing) == expected.get(one.choice, 1), one
        if one.choice == ALL_STUDY_CHOICES:
            assert study == dict(differing)
        elif one.is_study_choice:
            study |= differing


def test_reference_equals_plain_accuracy(human, model, accuracy_on_records):
    frame = accuracy_on_records
    reference = frame[frame["choice"] == protocol_comparison.REFERENCE]
    plain = evaluate_track_types(model, human, "test", sequence_length_bp=RECORD_BP).table
    np.testing.assert_allclose(reference["pearson_r"], plain["pearson_r"], atol=1e-6)
    by_type = reference.set_index("track_type")["pearson_r"]
    change = frame["pearson_r"] - frame["track_type"].map(by_type)
    np.testing.assert_allclose(frame["pearson_r_change"], change, atol=1e-12)


def test_changes_are_paired(accuracy):
    """Both protocols see the same sequences, so the interval of the change is narrow."""
    reference = accuracy[accuracy["choice"] == protocol_comparison.REFERENCE]
    assert (reference[CHANGE] == 0).all(axis=None)
    rounded = accuracy[accuracy["option"] == "bfloat16"]
    change = rounded["pearson_r_change_high"] - rounded["pearson_r_change_low"]
    assert (change > 0).all()
    assert (change < 0.2 * (rounded["pearson_r_high"] - rounded["pearson_r_low"])).all()


def test_protocols_equal_their_definitions(human, model, accuracy):
    predict = predictor(model, "human")
    types = track_types(human.targets).to_numpy()
    sequence, x = map(np.stack, zip(*read_inputs(human, "genome"), strict=True))
    y = predict(sequence)
    both_strands = (y + predict(sequence[:, ::-1, ::-1])[:, ::-1]) / 2
    middle = slice(BINS // 4, BINS // 4 + BINS // 2)
    padded, x_zeros = map(np.stack, zip(*read_inputs(human, "zeros"), strict=True))
    y_zeros = predict(padded)
    curated = track_types(human.targets, "curated").to_numpy()

    def corr(x, y):
        return np.corrcoef(np.ravel(x).astype(np.float64), np.ravel(y).astype(np.float64))[0, 1]

    def per_track(x, y, types=types):
        tracks = np.flatnonzero(types == "TF ChIP")
        return np.mean([corr(x[..., track], y[..., track]) for track in tracks])

    is_tf = types == "TF ChIP"
    expected = {
        ("reference", "Enformer's paper"): per_track(x, y),
        ("flanks", "zeros"): per_track(x_zeros, y_zeros),
        ("scale", "log(1 + x)"): per_track(np.log1p(x), np.log1p(y)),
        ("histones", "by name, not H3 alone"): per_track(x, y, curated),
        ("averaging", "both strands"): per_track(x, both_strands),
        ("bins", "central half"): per_track(x[:, middle], y[:, middle]),
        ("the study's", "zeros, pooled"): corr(x_zeros[..., is_tf], y_zeros[..., is_tf]),
    }
    for (choice, option), r in expected.items():
        assert select_r(accuracy, choice, option)["TF ChIP"] == pytest.approx(r, abs=1e-5), option


@pytest.mark.slow
def test_precision_keeps_the_weights(human, model, accuracy_on_records):
    rounded = Enformer(model.config.replace(compute_dtype="bfloat16"))
    checkpoints.copy_weights(model, rounded)
    plain = evaluate_track_types(rounded, human, "test", sequence_length_bp=RECORD_BP).table
    r = select_r(accuracy_on_records, "precision", "bfloat16")
    np.testing.assert_allclose(r, plain["pearson_r"], rtol=0, atol=1e-6)


def test_measure_accuracy_predicts_each_input_once(human, model, monkeypatch):
    seen = []

    def counting(model, head):
        def predict(sequence):
            seen.append((model.config.compute_dtype, sequence.tobytes()))
            return np.random.default_rng(len(seen)).random((1, BINS, human.num_tracks))

        return predict

    monkeypatch.setattr(protocol_comparison, "predictor", counting)
    measure(model, human, num_sequences=2)
    # Two strands of three shifts for real flanks, one view for the others and for bfloat16.
    views_of_flanks = 6 + 1 + 1 + 1
    assert len(seen) == len(set(seen)) == 2 * views_of_flanks


def test_reported_drops_are_appended(accuracy):
    measured = accuracy.copy()
    measured.attrs["provenance"] = {"seed": 0}
    both = protocol_comparison.append_reported(measured)
    assert both.attrs["provenance"] == {"seed": 0}
    added = both.iloc[len(measured) :].set_index("track_type")["pearson_r_change"]
    assert added.to_dict() == {"TF ChIP": -0.129, "CAGE": -0.021}
    summary = protocol_comparison.compare_study_choices(accuracy).set_index("track_type")
    assert summary["study_reports"].dropna().to_dict() == added.to_dict()


def judged(accuracy, unlike=""):
    return judges.judge_claims("reproduction", {"accuracy": accuracy}, unlike).set_index("key")


def test_deficit_is_measured_from_the_reference(accuracy):
    rows = judged(accuracy, "here 2 tracks.")
    assert set(rows["verdict"]) == {DIFFERS} and set(rows["reason"]) == {"here 2 tracks."}
    reference = select_r(accuracy, "reference", "Enformer's paper")["TF ChIP"]
    deficit = reference - select_r(accuracy, "the study's", "zeros, pooled")["TF ChIP"]
    assert rows.loc["reproduction.chip_tf_deficit", "measured"] == pytest.approx(deficit)


@pytest.mark.parametrize(
    ("too_much", "verdict"), [(0.0, AGREES), (0.009, AGREES), (0.011, CONTRADICTS)]
)
def test_deficit_agrees_within_the_interval(accuracy, too_much, verdict):
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
