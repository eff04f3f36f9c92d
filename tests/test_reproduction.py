import numpy as np
import pytest

from senformer import comparison, datasets, experiments, reproduction
from senformer.config import preset
from senformer.enformer import Enformer

RECORD_BP, CONTEXT_BP, INPUT_BP, BINS = 10_240, 8192, 12_288, 48


@pytest.fixture(scope="module")
def human(small_data):
    return experiments.open_data(small_data, "unused")["human"]


@pytest.fixture(scope="module")
def model(human):
    return Enformer(preset("enformer_tiny", tracks={"human": human.num_tracks}, target_length=BINS))


def inputs(human, flanks, **changes):
    options = {
        "split": "test",
        "sequence_length_bp": INPUT_BP,
        "context_length_bp": CONTEXT_BP,
        "target_length": BINS,
        "fasta": experiments.genome_of(human),
    }
    return list(reproduction._examples(human, flanks, **{**options, **changes}))


def test_flanks_change_what_surrounds_the_context_and_nothing_else(human):
    flank = (INPUT_BP - CONTEXT_BP) // 2
    for real, zeros, none in zip(
        *(inputs(human, flanks) for flanks in reproduction.FLANKS), strict=True
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
    study = datasets.examples(human, "test", sequence_length_bp=INPUT_BP, target_length=BINS)
    for ours, theirs in zip(padded, study, strict=True):
        np.testing.assert_array_equal(ours["sequence"], theirs["sequence"])
        np.testing.assert_array_equal(ours["target"], theirs["target"])


def test_records_that_are_long_enough_need_no_genome(human):
    inputs(human, "genome", sequence_length_bp=RECORD_BP, fasta=None)
    with pytest.raises(ValueError, match="no real flanks up to 12288 bp, expected a FASTA"):
        inputs(human, "genome", fasta=None)


def test_the_reference_is_plain_accuracy_and_changes_are_from_it(human, model):
    frame = reproduction.accuracy(
        model, human, sequence_length_bp=RECORD_BP, context_length_bp=CONTEXT_BP
    )
    reference = frame[frame["protocol"] == reproduction.REFERENCE]
    plain = comparison.accuracy_by_track_type(model, human, "test", sequence_length_bp=RECORD_BP)
    np.testing.assert_allclose(reference["pearson_r"], plain["pearson_r"], atol=1e-6)
    assert (reference["change"] == 0).all()
    by_protocol = frame.pivot(index="protocol", columns="track_type", values="pearson_r")
    change = by_protocol - by_protocol.loc[reproduction.REFERENCE]
    shown = frame.pivot(index="protocol", columns="track_type", values="change")
    np.testing.assert_allclose(shown, change, atol=1e-12)
    every = {name for of in reproduction.protocols(human.targets).values() for name in of}
    assert set(frame["protocol"]) == every


def test_a_length_that_the_model_does_not_take_is_refused(human, model):
    with pytest.raises(ValueError, match="sequence_length_bp=1000 must be a multiple"):
        reproduction.accuracy(model, human, sequence_length_bp=RECORD_BP, context_length_bp=1000)
