"""Published tables are complete, have the columns of this project, and errors are named."""

from __future__ import annotations

import pytest

from senformer.report import row_labels
from senformer.report.figures import cost
from senformer.study import claims, published_tables


def test_arena_is_complete_and_relative_to_dense():
    arena = published_tables.read_long_range_arena()
    assert arena.notna().all(axis=None) and "Tay et al. 2020" in arena.attrs["source"]
    speed = arena.pivot(index="model", columns="tokens", values="speed_over_transformer").round(1)
    assert speed.shape == (9, 4)
    assert speed.loc["BigBird"].tolist() == [0.9, 0.8, 1.2, 1.1]
    assert speed.loc["Transformer"].tolist() == [1, 1, 1, 1]
    memory = arena.pivot(index="model", columns="tokens", values="memory_over_transformer")
    assert memory.loc["Linformer", 4000] == pytest.approx(0.99 / 9.48)


def test_arena_needs_the_transformer_at_each_length(tmp_path):
    path = tmp_path / "arena.csv"
    path.write_text("model,tokens,steps_per_second,peak_memory_gb\nBigBird,1000,7.4,0.77\n")
    with pytest.raises(ValueError, match=r"arena\.csv: no model 'Transformer' at 1,000 tokens"):
        published_tables.read_long_range_arena(path)


def test_memory_points_can_be_drawn():
    frame = published_tables.published_memory()
    assert set(frame["origin"]) == {"study", "published code"} < set(row_labels.ORIGINS)
    lost = frame[frame["status"] == "out_of_memory"]
    assert lost[["attention", "sequence_length_bp"]].to_numpy().tolist() == [["dense", 589_824]]
    code = frame[frame["origin"] == "published code"]
    assert (code["peak_memory_gb"] > code["resident_memory_gb"]).all()
    cost.memory(frame)


def test_correlations_hold_the_stated_sequences():
    frame = published_tables.read_correlation_per_sequence()
    assert set(frame["track_type"]) == set(claims.TRACK_TYPE_NAMES.values())
    assert frame["sequence"].nunique() == claims.get_value("correlation.num_sequences_stored")
    assert frame.attrs["source"] == published_tables.STORED


def test_receptive_field_peaks_at_the_mutation():
    curves = published_tables.read_receptive_field()
    assert set(curves["model"]) == {"Enformer", "S-Enformer"}
    assert len(curves) == 9 * 896 * 2
    assert curves["bin_start_bp"].min() == 40_960
    peak = curves.loc[curves["abs_change"].idxmax()]
    assert abs(peak["mutation_position_bp"] - peak["bin_start_bp"]) <= 128


def test_readers_name_file_column_and_type(tmp_path):
    path = tmp_path / "study.csv"
    with pytest.raises(FileNotFoundError, match=r"study\.csv: no such file"):
        published_tables.read_receptive_field(path)
    header = "sequence,track_type,enformer_pearson_r"
    for text, message in (
        (f"{header}\n0,cage,0.1\n", "no column 'senformer_pearson_r'"),
        (f"{header},senformer_pearson_r\n0,rna,0.1,0.2\n", "track_type 'rna'; expected one of dn"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=rf"study\.csv: {message}"):
            published_tables.read_correlation_per_sequence(path)
