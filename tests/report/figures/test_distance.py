"""Figures of ablations, input length and distance."""

import numpy as np
from figure_tables import accuracy_of_ablations, draw

from senformer.attention_kinds import KINDS
from senformer.report.figures import ablation_accuracy

MODELS = ["Enformer", "sparse pattern", "S-Enformer"]


def test_path_of_ablations_reads_from_top_to_bottom():
    figure = draw("accuracy_of_ablations")
    assert len(figure.data) == 2 * 2
    for trace in figure.data:
        assert list(trace.y) == MODELS
        np.testing.assert_allclose(trace.error_x.array, 0.03)
        np.testing.assert_allclose(trace.error_x.arrayminus, 0.02)
    assert list(figure.layout.yaxis.categoryarray) == MODELS[::-1]
    assert {trace.name for trace in figure.data} == {"before training", "after training"}


def test_only_a_path_of_ablations_is_joined():
    table = accuracy_of_ablations()
    for of, mode in ((table["compared_with"], "lines+markers"), ("Enformer", "markers")):
        figure = ablation_accuracy.accuracy_of_ablations(table.assign(compared_with=of))
        assert {trace.mode for trace in figure.data} == {mode}


def test_patterns_are_ordered_by_attention_lost():
    marks = draw("drop_by_attention_lost").data
    assert [(mark.name, *mark.x, *mark.y) for mark in marks] == [
        ("sparse pattern", 0.2, 0.1),
        ("window alone", 0.6, 0.3),
    ]
    assert marks[0].marker.symbol != marks[1].marker.symbol


def test_bounds_of_accuracy_frame_the_attentions():
    traces = {trace.name: trace for trace in draw("accuracy_by_length").data}
    dense = KINDS["dense"].label
    assert list(traces) == [dense, "best possible", "best without any enhancer"]
    assert traces[dense].line.color == KINDS["dense"].color
    floor = traces["best without any enhancer"]
    assert (list(floor.x), list(floor.y)) == ([32_768, 65_536], [0.5, 0.5])


def test_bands_are_labelled_by_their_edges():
    figure = draw("use_by_distance")
    assert [trace.name for trace in figure.data] == [KINDS["dense"].label, "best possible"]
    assert list(figure.data[0].x) == ["0 to 8", "8 to 16"]


def test_attention_kept_has_a_line_of_chance():
    heads, chance = draw("attention_kept").data[:2]
    assert len(heads.x) == 4 and list(chance.x) == ["0 to 8", "over 8"]
    assert list(chance.y) == [0.4, 0.4]
