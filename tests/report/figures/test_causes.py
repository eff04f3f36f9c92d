import numpy as np
from figure_tables import draw

from senformer.attention_kinds import KINDS

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
