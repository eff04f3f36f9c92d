"""Memory and time: each measurement in its place, losses and published points told apart."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from figure_tables import axes, draw, points, scaling

from senformer.attention_kinds import KINDS
from senformer.report.figures import cost
from senformer.study import published


class TestScaling:
    def test_out_of_memory_is_a_mark_in_a_strip_above_not_a_gap(self):
        figure = cost.memory(scaling())
        crosses = [
            trace
            for trace in figure.data
            if trace.hovertext is not None and "x" in (trace.marker.symbol or ())
        ]
        assert [list(trace.x) for trace in crosses] == [[262_144]]
        assert "status: out_of_memory" in crosses[0].hovertext[0]
        strip = figure.layout[crosses[0].yaxis.replace("y", "yaxis")]
        values = [t for t in figure.data if t.hovertext is not None and t is not crosses[0]]
        tops = [figure.layout[t.yaxis.replace("y", "yaxis")].domain[1] for t in values]
        assert strip.domain[0] > min(tops)
        assert list(strip.tickvals) == []  # it has no scale to be misread on

    def test_an_unknown_attention_is_named(self):
        with pytest.raises(ValueError, match="attention='unheard', expected one of dense"):
            cost.memory(scaling().replace({"attention": {"bigbird": "unheard"}}))

    @pytest.mark.parametrize("draw_cost", [cost.memory, cost.runtime])
    def test_a_new_kind_is_drawn_as_its_row_says(self, draw_cost, monkeypatch):
        row = dataclasses.replace(
            KINDS["bigbird"], label="mine", color="#123456", symbol="pentagon"
        )
        monkeypatch.setitem(KINDS, "mine", row)
        figure = draw_cost(scaling().replace({"attention": {"bigbird": "mine"}}))
        (key,) = (trace for trace in figure.data if trace.name == "mine" and trace.showlegend)
        assert (key.marker.color, key.marker.symbol) == ("#123456", "pentagon")

    def test_a_loss_whose_device_is_not_known_is_drawn_all_the_same(self):
        frame = scaling()
        frame.loc[frame["status"] != "ok", "device"] = None
        assert points(cost.memory(frame)) == len(frame)

    def test_no_line_leads_to_what_was_not_measured(self):
        for trace in cost.memory(scaling()).data:
            if trace.hovertext is not None and "x" in trace.marker.symbol:
                assert trace.mode == "markers"

    def test_without_losses_there_is_no_strip(self):
        frame = scaling()
        kept = cost.memory(frame[frame["status"] == "ok"])
        assert len(axes(kept, "y")) == 2
        assert len(axes(cost.memory(frame), "y")) == 3  # all of `attention` was measured

    def test_every_panel_has_its_title_over_something_that_is_drawn(self):
        figure = cost.memory(scaling())
        drawn = {trace.yaxis for trace in figure.data if trace.hovertext is not None}
        titles = {a.text: a.yref.removesuffix(" domain") for a in figure.layout.annotations}
        assert set(titles) == {"trained: attention", "trained: all"}
        assert set(titles.values()) <= drawn

    def test_costs_can_be_compared_between_panels(self):
        frame = scaling()
        scales = [axis for axis in axes(cost.memory(frame), "y") if axis.type == "log"]
        assert len(scales) == 2
        assert scales[0].range == scales[1].range
        least, greatest = 10 ** np.array(scales[0].range)
        assert least < frame["peak_memory_gb"].min()
        assert greatest > frame["peak_memory_gb"].max()
        assert list(scales[0].tickvals) == [1, 2]

    def test_where_all_is_lost_the_strips_are_left(self):
        frame = scaling().assign(peak_memory_gb=np.nan, status="out_of_memory")
        assert points(cost.memory(frame)) == len(frame)

    def test_lengths_are_marked_from_the_shortest_on_in_doublings(self):
        frame = scaling().replace({"sequence_length_bp": {262_144: 3_145_728}})
        ticks = {tuple(axis.tickvals) for axis in axes(cost.memory(frame), "x")}
        assert ticks == {(131_072, 262_144, 524_288, 1_048_576, 2_097_152)}

    def test_a_failure_looks_different_from_out_of_memory(self):
        frame = scaling()
        frame.loc[frame["status"] != "ok", "status"] = "failed"
        names = [trace.name for trace in cost.memory(frame).data]
        assert "failed" in names
        assert "out of memory" not in names

    def test_measured_and_published_are_told_apart(self):
        frame = pd.concat([scaling(), published.memory()], ignore_index=True)
        figure = cost.memory(frame)
        assert points(figure) == len(frame)
        for trace in figure.data:
            if trace.hovertext is None:
                continue
            is_published = "origin: measured" not in trace.hovertext[0]
            assert all(("open" in symbol) == is_published for symbol in trace.marker.symbol)
        names = [trace.name for trace in figure.data]
        assert "open: the study's code, measured here" in names
        assert "open, with a dot: what the study states" in names
        measured_only = cost.memory(scaling())
        assert "open: published" not in [trace.name for trace in measured_only.data]

    def test_colour_is_the_attentions_everywhere(self):
        for name in ("memory", "runtime"):
            for trace in draw(name).data:
                if trace.hovertext is not None:
                    color = KINDS[trace.legendgroup].color
                    assert trace.marker.color == color
                    assert trace.line.color == color

    def test_the_legend_switches_a_kind_of_attention_as_a_whole(self):
        figure = cost.memory(scaling())
        shown = [trace for trace in figure.data if trace.showlegend is not False]
        labels = [trace.name for trace in shown]
        assert len(labels) == len(set(labels))
        groups = {trace.legendgroup for trace in figure.data if trace.hovertext is not None}
        assert groups == {"dense", "bigbird"}
        assert groups <= {trace.legendgroup for trace in shown}
