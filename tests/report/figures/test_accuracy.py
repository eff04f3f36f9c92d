"""Accuracy figures: each model and track type in its panel, with its numbers."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
from figure_tables import (
    TYPES,
    axes,
    correlation,
    finetuning,
    overprediction,
    protocol_changes,
    track_profiles,
)

from senformer.evaluation.per_sequence import compare_per_sequence
from senformer.report.figures import accuracy
from senformer.study import published_tables


def draw_correlation(frame: pd.DataFrame) -> go.Figure:
    return accuracy.correlation(frame, compare_per_sequence(frame))


def test_finetuned_leaves_out_other_measures():
    frame = finetuning().groupby(["model", "track_type"]).last().reset_index()
    more = pd.concat([frame, frame[:1].assign(track_type="CAGE over promoters")])
    assert {label for trace in accuracy.finetuned(more).data for label in trace.y} == set(TYPES)


def test_untrained_model_is_a_dashed_level_line():
    figure = accuracy.finetuning(finetuning())
    enformer = [trace for trace in figure.data if trace.name == "Enformer"]
    assert len(enformer) == 4
    for trace in enformer:
        assert list(trace.x) == [0, 20]
        assert trace.line.dash == "dash"
        assert trace.y[0] == trace.y[1]


def test_legend_lists_models_of_any_panel():
    frame = finetuning()
    kept = frame[(frame["model"] == "Enformer") | (frame["track_type"] != TYPES[0])]
    shown = [trace.name for trace in accuracy.finetuning(kept).data if trace.showlegend]
    assert shown == ["Enformer", "S-Enformer", "S-Enformer, warm start"]


def test_correlation_shows_every_stored_sequence():
    frame = published_tables.read_correlation_per_sequence()
    figure = draw_correlation(frame)
    assert "r = 0.863" in figure.layout.annotations[-1].text
    assert "in 14.9%" in figure.layout.annotations[-1].text
    dots = [trace for trace in figure.data if trace.mode == "markers"]
    assert sum(len(trace.x) for trace in dots) == len(frame)
    assert len(figure.to_json()) < 300_000  # compact enough for a page


def test_correlation_leaves_no_empty_panel():
    frame = correlation()
    more = pd.concat([frame, frame[frame["track_type"] == "CAGE"].assign(track_type="RNA")])
    figure = draw_correlation(more)
    assert len(axes(figure, "x")) == len(axes(figure, "y")) == 5


def test_correlation_of_two_sequences_has_no_r():
    figure = draw_correlation(correlation().query("sequence < 2"))
    assert "r needs more sequences" in figure.layout.annotations[0].text


def test_track_profiles_share_a_scale_per_track():
    figure = accuracy.track_profiles(track_profiles())
    ranges = [tuple(axis.range) for axis in axes(figure, "y")]
    assert len(ranges) == 6
    assert len(set(ranges[:3])) == len(set(ranges[3:])) == 1
    assert ranges[0] != ranges[3]
    names = [trace.name for trace in figure.data if trace.showlegend]
    assert names == ["experiment", "Enformer", "S-Enformer"]


def test_protocol_changes_are_next_to_their_label():
    figure = accuracy.protocol_changes(protocol_changes())
    names = [text.replace("<br>", " ") for text in next(figure.select_yaxes()).ticktext]
    assert names == ["flanks: zeros", "flanks: none", "scale: log"]
    places = []
    for trace in figure.data:
        assert [symbol.endswith("-open") for symbol in trace.marker.symbol] == [False, True, True]
        for x, y, hover in zip(trace.x, trace.y, trace.hovertext, strict=True):
            choice, option = names[round(y)].split(": ")
            assert f"choice: {choice}<br>option: {option}<br>track_type: {trace.name}" in hover
            assert f"pearson_r_change: {x:.6g}<br>" in hover
        places += list(trace.y)
    assert len(set(places)) == 3 * len(TYPES)  # no mark hides another


def test_overprediction_has_a_line_at_one_half():
    figure = accuracy.overprediction(overprediction())
    lines = [shape for shape in figure.layout.shapes if shape.x0 == shape.x1 == 0.5]
    assert len(lines) == 2
