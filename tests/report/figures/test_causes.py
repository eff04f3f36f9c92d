import numpy as np
from figure_tables import TABLES, draw

from senformer.attention_kinds import KINDS
from senformer.report.figures import causes

MODELS = ["Enformer", "sparse pattern", "S-Enformer"]


def test_a_path_is_read_from_top_to_bottom_before_and_after():
    figure = draw("cost_of_changes")
    assert len(figure.data) == 2 * 2
    for trace in figure.data:
        assert list(trace.y) == MODELS
        np.testing.assert_allclose(trace.error_x.array, 0.03)
        np.testing.assert_allclose(trace.error_x.arrayminus, 0.02)
    assert list(figure.layout.yaxis.categoryarray) == MODELS[::-1]
    assert {trace.name for trace in figure.data} == {"before training", "after training"}


def test_only_models_that_are_each_a_change_of_the_one_before_are_joined():
    table = TABLES["cost_of_changes"]()
    assert {trace.mode for trace in causes.cost_of_changes(table).data} == {"lines+markers"}
    beside = table.assign(of="Enformer")
    assert {trace.mode for trace in causes.cost_of_changes(beside).data} == {"markers"}


def test_patterns_stand_by_the_attention_that_they_take_away():
    marks = draw("loss_by_attention_lost").data
    assert [(mark.name, *mark.x, *mark.y) for mark in marks] == [
        ("sparse pattern", 0.2, 0.1),
        ("window alone", 0.6, 0.3),
    ]
    assert marks[0].marker.symbol != marks[1].marker.symbol


def test_ceilings_are_no_kind_of_attention_and_frame_what_is():
    traces = {trace.name: trace for trace in draw("accuracy_by_length").data}
    assert list(traces) == [
        KINDS["dense"].label,
        "best possible",
        "best without any enhancer",
    ]
    assert traces[KINDS["dense"].label].line.color == KINDS["dense"].color
    floor = traces["best without any enhancer"]
    assert (list(floor.x), list(floor.y)) == ([32_768, 65_536], [0.5, 0.5])


def test_every_length_has_a_panel_and_bands_are_named_by_their_edges():
    figure = draw("use_by_distance")
    assert [trace.name for trace in figure.data] == [KINDS["dense"].label, "best possible"]
    assert list(figure.data[0].x) == ["0 to 8", "8 to 16"]


def test_what_is_kept_stands_beside_what_chance_would_keep():
    figure = draw("attention_kept")
    heads, chance = figure.data[:2]
    assert len(heads.x) == 4 and list(chance.x) == ["0 to 8", "over 8"]
    assert list(chance.y) == [0.4, 0.4]
