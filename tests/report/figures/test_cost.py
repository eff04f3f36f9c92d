"""Memory and time: each measurement in its place, failures and published points distinct."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from figure_tables import axes, count_points, draw, scaling

from senformer.attention_kinds import KINDS
from senformer.report.figures import cost
from senformer.study import published_tables


def measurements(figure):
    return [trace for trace in figure.data if trace.hovertext is not None]


def test_out_of_memory_is_a_mark_in_a_strip():
    figure = cost.memory(scaling())
    [cross] = [trace for trace in measurements(figure) if "x" in trace.marker.symbol]
    assert list(cross.x) == [262_144]
    assert cross.mode == "markers"
    assert "status: out_of_memory" in cross.hovertext[0]
    strip = figure.layout[cross.yaxis.replace("y", "yaxis")]
    values = [trace for trace in measurements(figure) if trace is not cross]
    tops = [figure.layout[trace.yaxis.replace("y", "yaxis")].domain[1] for trace in values]
    assert strip.domain[0] > min(tops)
    assert list(strip.tickvals) == []  # a strip has no scale


def test_unknown_attention_raises():
    with pytest.raises(ValueError, match="attention='unheard', expected one of dense"):
        cost.memory(scaling().replace({"attention": {"bigbird": "unheard"}}))


@pytest.mark.parametrize("draw_cost", [cost.memory, cost.runtime])
def test_new_kind_is_drawn_as_its_row_says(draw_cost, monkeypatch):
    row = dataclasses.replace(KINDS["bigbird"], label="mine", color="#123456", symbol="pentagon")
    monkeypatch.setitem(KINDS, "mine", row)
    figure = draw_cost(scaling().replace({"attention": {"bigbird": "mine"}}))
    (key,) = (trace for trace in figure.data if trace.name == "mine" and trace.showlegend)
    assert (key.marker.color, key.marker.symbol) == ("#123456", "pentagon")


def test_failure_on_an_unknown_device_is_drawn():
    frame = scaling()
    frame.loc[frame["status"] != "ok", "device"] = None
    assert count_points(cost.memory(frame)) == len(frame)


def test_only_panels_with_failures_have_a_strip():
    frame = scaling()
    kept = cost.memory(frame[frame["status"] == "ok"])
    assert len(axes(kept, "y")) == 2
    assert len(axes(cost.memory(frame), "y")) == 3  # `attention` has no failure


def test_titles_are_above_drawn_panels():
    figure = cost.memory(scaling())
    drawn = {trace.yaxis for trace in measurements(figure)}
    titles = {a.text: a.yref.removesuffix(" domain") for a in figure.layout.annotations}
    assert set(titles) == {"trained: attention", "trained: all"}
    assert set(titles.values()) <= drawn


def test_panels_share_a_scale_of_costs():
    frame = scaling()
    scales = [axis for axis in axes(cost.memory(frame), "y") if axis.type == "log"]
    assert len(scales) == 2
    assert scales[0].range == scales[1].range
    least, greatest = 10 ** np.array(scales[0].range)
    assert least < frame["peak_memory_gb"].min()
    assert greatest > frame["peak_memory_gb"].max()
    assert list(scales[0].tickvals) == [1, 2]


def test_table_of_failures_alone_is_drawn():
    frame = scaling().assign(peak_memory_gb=np.nan, status="out_of_memory")
    assert count_points(cost.memory(frame)) == len(frame)


def test_length_ticks_are_doublings():
    frame = scaling().replace({"sequence_length_bp": {262_144: 3_145_728}})
    ticks = {tuple(axis.tickvals) for axis in axes(cost.memory(frame), "x")}
    assert ticks == {(131_072, 262_144, 524_288, 1_048_576, 2_097_152)}


def test_failure_differs_from_out_of_memory():
    frame = scaling()
    frame.loc[frame["status"] != "ok", "status"] = "failed"
    names = [trace.name for trace in cost.memory(frame).data]
    assert "failed" in names
    assert "out of memory" not in names


def test_published_points_have_open_marks():
    frame = pd.concat([scaling(), published_tables.published_memory()], ignore_index=True)
    figure = cost.memory(frame)
    assert count_points(figure) == len(frame)
    for trace in measurements(figure):
        is_published = "origin: measured" not in trace.hovertext[0]
        assert all(("open" in symbol) == is_published for symbol in trace.marker.symbol)
    labels = {
        "open: the study's code, measured here",
        "open, with a dot: what the study states",
    }
    assert labels <= {trace.name for trace in figure.data}
    assert not labels & {trace.name for trace in cost.memory(scaling()).data}


@pytest.mark.parametrize("name", ["memory", "runtime"])
def test_legend_groups_measurements_by_attention(name):
    figure = draw(name)
    shown = [trace for trace in figure.data if trace.showlegend is not False]
    labels = [trace.name for trace in shown]
    assert len(labels) == len(set(labels))
    colors = {kind.label: kind.color for kind in KINDS.values()}
    groups = {trace.legendgroup for trace in measurements(figure)}
    assert groups == {KINDS["dense"].label, KINDS["bigbird"].label} <= set(labels)
    for trace in measurements(figure):
        assert trace.marker.color == trace.line.color == colors[trace.legendgroup]
