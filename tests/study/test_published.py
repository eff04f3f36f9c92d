"""Published values stand in one place, each with its source, and fit our own tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from senformer.data import tracks
from senformer.evaluation import per_sequence
from senformer.report import row_labels
from senformer.report.figures import cost
from senformer.study import published


def test_every_claim_is_unique_sourced_and_in_words():
    keys = [claim.key for claim in published.CLAIMS]
    assert len(keys) == len(set(keys))
    for claim in published.CLAIMS:
        assert claim.source, claim.key
        assert claim.statement.endswith("."), claim.key
        assert claim.value is None or np.isfinite(claim.value), claim.key
        assert claim.value is not None or not claim.unit, claim.key


def test_claims_cover_the_six_parts_of_the_report():
    topics = {claim.key.partition(".")[0] for claim in published.CLAIMS}
    parts = {"memory", "runtime", "reproduction", "finetuning", "correlation", "receptive_field"}
    assert parts <= topics


def test_a_claim_by_its_key():
    assert published.value("memory.dense_out_of_memory_bp") == 589_824
    assert published.claim("memory.bigbird_trains_bp").unit == "bp"


def test_an_unknown_key_is_named_with_those_there_are():
    with pytest.raises(KeyError, match=r"no published claim 'memory\.gb'.*memory\.budget_gb"):
        published.value("memory.gb")


def test_a_claim_in_words_has_no_number():
    with pytest.raises(ValueError, match=r"'runtime\.slower' has no number"):
        published.value("runtime.slower")


def test_the_eleven_lengths():
    assert len(published.SEQUENCE_LENGTHS_BP) == 11
    assert published.SEQUENCE_LENGTHS_BP[0] == 131_072
    assert published.SEQUENCE_LENGTHS_BP[-1] == 786_432
    assert set(np.diff(published.SEQUENCE_LENGTHS_BP)) == {65_536}


def test_names_of_track_types_are_the_projects():
    assert set(published.TRACK_TYPE_NAMES.values()) <= set(tracks.TRACK_TYPES)


def test_memory_points_say_where_they_come_from_and_can_be_drawn():
    frame = published.memory()
    assert set(frame["origin"]) == {"study", "published code"}
    assert set(frame["origin"]) <= set(row_labels.ORIGINS)
    lost = frame[frame["status"] == "out_of_memory"]
    assert lost[["attention", "sequence_length_bp"]].to_numpy().tolist() == [["dense", 589_824]]
    code = frame[frame["origin"] == "published code"]
    assert (code["peak_memory_gb"] > code["resident_memory_gb"]).all()
    cost.memory(frame)


def test_track_counts_are_those_of_the_real_table(shared):
    targets = tracks.read_targets(shared / "data" / "basenji2" / "targets_human.txt")
    counts = tracks.track_types(targets, "published").value_counts()
    for name, track_type in published.TRACK_TYPE_NAMES.items():
        assert counts[track_type] == published.value(f"data.human_{name}")


def test_the_studys_files_come_in_the_columns_that_analysis_and_figures_take():
    correlations = published.read_correlation_per_sequence()
    assert set(correlations["track_type"]) == set(published.TRACK_TYPE_NAMES.values())
    stored = published.value("correlation.num_sequences_stored")
    assert correlations["sequence"].nunique() == stored
    curves = published.read_receptive_field()
    assert correlations.attrs["source"] == curves.attrs["source"] == published.STORED
    assert set(curves["model"]) == {"Enformer", "S-Enformer"}
    assert len(curves) == 9 * 896 * 2
    assert curves["bin_start_bp"].min() == 40_960
    peak = curves.loc[curves["abs_change"].idxmax()]
    assert abs(peak["mutation_position_bp"] - peak["bin_start_bp"]) <= 128


def test_the_comparison_has_the_columns_of_our_own():
    frame = published.per_sequence_comparison()
    ours = per_sequence.compare_per_sequence(
        pd.DataFrame(
            {
                "sequence": [0, 1, 2],
                "track_type": "CAGE",
                "enformer_pearson_r": [0.1, 0.2, 0.4],
                "senformer_pearson_r": [0.1, 0.3, 0.3],
            }
        )
    )
    assert set(frame.columns) <= set(ours.columns)
    assert frame["share_senformer_ahead"].between(0, 1).all()


def test_a_missing_file_column_or_unknown_type_is_named(tmp_path):
    path = tmp_path / "study.csv"
    with pytest.raises(FileNotFoundError, match=r"study\.csv: no such file"):
        published.read_receptive_field(path)
    path.write_text("sequence,track_type,enformer_pearson_r\n0,cage,0.1\n")
    with pytest.raises(ValueError, match=r"study\.csv: no column 'senformer_pearson_r'"):
        published.read_correlation_per_sequence(path)
    path.write_text("sequence,track_type,enformer_pearson_r,senformer_pearson_r\n0,rna,0.1,0.2\n")
    with pytest.raises(ValueError, match=r"study\.csv: track_type 'rna'; expected one of dnase"):
        published.read_correlation_per_sequence(path)
