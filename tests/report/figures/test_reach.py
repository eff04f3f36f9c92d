"""Reach: curves, marks and blocks stand where the bases and blocks are."""

from __future__ import annotations

import numpy as np
import pandas as pd
from figure_tables import attention_pattern, axes, input_gradients, receptive_field

from senformer.report.figures import reach
from senformer.study import published


def test_the_receptive_field_of_the_study_is_drawn_with_the_changed_base():
    frame = published.read_receptive_field()
    figure = reach.receptive_field(frame)
    curves = [trace for trace in figure.data if trace.mode == "lines"]
    assert len(curves) == 18
    assert sum(len(trace.x) for trace in curves) == len(frame)
    assert {shape.x0 for shape in figure.layout.shapes} == set(frame["mutation_position_bp"])
    assert all(axis.type == "log" for axis in axes(figure, "y"))
    assert len(figure.to_json()) < 300_000


def test_a_bin_that_did_not_change_is_a_dash_on_the_lower_edge_of_the_logarithmic_axis():
    frame = receptive_field()
    frame.loc[[0, 5], "abs_change"] = 0.0
    figure = reach.receptive_field(frame)
    dashes = [trace for trace in figure.data if trace.mode == "markers"]
    marked = [(trace.name, list(np.array(trace.x)[pd.notna(trace.y)])) for trace in dashes]
    assert marked == [("Enformer", [256]), ("S-Enformer", [384])]
    assert all("no change" in trace.hovertemplate for trace in dashes)
    smallest = frame.loc[frame["abs_change"] > 0, "abs_change"].min()
    assert all(np.nanmax(np.array(trace.y, float)) < smallest for trace in dashes)
    assert [trace.name for trace in figure.data if trace.showlegend] == ["Enformer", "S-Enformer"]


def test_lines_stand_at_the_edges_of_blocks_where_they_are_asked_for():
    assert all(
        axis.minor.dtick is None for axis in axes(reach.receptive_field(receptive_field()), "x")
    )
    figure = reach.receptive_field(receptive_field(), block_bp=8192)
    lines = {
        (axis.minor.tick0, axis.minor.dtick, axis.minor.showgrid) for axis in axes(figure, "x")
    }
    assert lines == {(0, 8192, True)}


def test_gradients_are_curves_and_mutations_marks_of_the_same_colour():
    figure = reach.input_gradients(input_gradients())
    assert len(figure.data) == 8
    for trace in figure.data:
        assert trace.mode == ("lines" if "gradient" in trace.name else "markers")
        assert trace.line.color == trace.marker.color
    assert {shape.x0 for shape in figure.layout.shapes} == {256 + 64, 256 + 7 * 128 + 64}


def test_the_attention_pattern_reads_down_its_queries():
    figure = reach.attention_pattern(attention_pattern().sample(frac=1, random_state=0))
    [heatmap] = figure.data
    np.testing.assert_array_equal(heatmap.z, np.arange(36).reshape(6, 6) % 9)
    assert figure.layout.yaxis.autorange == "reversed"


def test_numbers_are_stored_compactly_and_positions_exactly():
    figure = reach.receptive_field(receptive_field())
    curve = figure.data[0]
    assert np.asarray(curve.x).tolist() == [256, 384, 512, 640]
    assert np.asarray(curve.y).dtype == np.float32
