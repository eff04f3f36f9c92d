"""The Long-Range Arena's figure: the Transformer is level, the study's models are in colour."""

from __future__ import annotations

from figure_tables import long_range_arena

from senformer.report.figures import arena, style
from senformer.study.published_tables import read_long_range_arena


def test_transformer_is_the_level_line():
    figure = arena.speed_and_memory(read_long_range_arena())
    level = [trace.y for trace in figure.data if trace.name == "Transformer"]
    assert [list(y) for y in level] == [[1, 1, 1, 1]] * 2
    assert len(figure.data) == 2 * 9


def test_models_have_distinct_looks():
    figure = arena.speed_and_memory(long_range_arena())
    looks = {t.name: (t.line.color, t.line.dash, t.marker.symbol) for t in figure.data}
    assert len(figure.data) == 2 * len(looks) == 2 * len(set(looks.values()))
    coloured = {name for name, look in looks.items() if look[0] != style.NEUTRAL_COLOR}
    assert coloured == {"Transformer", "BigBird", "Performer", "Reformer"}
    last = [trace.name for trace in figure.data[:9]][-4:]
    assert set(last) == coloured  # no grey line covers them
