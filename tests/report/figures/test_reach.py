"""Reach: curves, marks and blocks are at the places of their bases and blocks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from figure_tables import attention_pattern, axes, input_gradients, receptive_field

from senformer.report.figures import reach
from senformer.study import published_tables


def test_receptive_field_shows_the_studys_curves():
    frame = published_tables.read_receptive_field()
    figure = reach.receptive_field(frame)
    curves = [trace for trace in figure.data if trace.mode == "lines"]
    assert len(curves) == 18
    assert sum(len(trace.x) for trace in curves) == len(frame)
    assert {shape.x0 for shape in figure.layout.shapes} == set(frame["mutation_position_bp"])
    assert all(axis.type == "log" for axis in axes(figure, "y"))
    assert len(figure.to_json()) < 300_000


def test_unchanged_bin_is_a_dash_on_the_lower_edge():
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


@pytest.mark.parametrize(("block_bp", "edges"), [(None, (None, None)), (8192, (0, 8192))])
def test_receptive_field_draws_edges_of_blocks(block_bp, edges):
    figure = reach.receptive_field(receptive_field(), block_bp=block_bp)
    assert {(axis.minor.tick0, axis.minor.dtick) for axis in axes(figure, "x")} == {edges}


def test_gradients_are_curves_and_mutations_are_marks():
    figure = reach.input_gradients(input_gradients())
    assert len(figure.data) == 8
    for trace in figure.data:
        assert trace.mode == ("lines" if "gradient" in trace.name else "markers")
        assert trace.line.color == trace.marker.color
    assert {shape.x0 for shape in figure.layout.shapes} == {256 + 64, 256 + 7 * 128 + 64}


def test_attention_pattern_reads_down_its_queries():
    figure = reach.attention_pattern(attention_pattern().sample(frac=1, random_state=0))
    [heatmap] = figure.data
    np.testing.assert_array_equal(heatmap.z, np.arange(36).reshape(6, 6) % 9)
    assert figure.layout.yaxis.autorange == "reversed"
