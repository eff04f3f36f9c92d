"""Figures of steps on a GPU: one card at a time, both codes, all numbers of layers."""

from figure_tables import compiled_steps, draw

from senformer.report.figures import gpu_cost


def test_menu_shows_one_card_and_its_memory():
    steps = compiled_steps().query("device == 'rtx' or attention == 'dense'")
    figure = gpu_cost.compiled_memory(steps)
    [menu] = figure.layout.updatemenus
    assert [button.label for button in menu.buttons] == ["RTX", "H"]
    masks = [list(button.args[0]["visible"]) for button in menu.buttons]
    assert masks[0] == [trace.visible for trace in figure.data]
    assert all(first != second for first, second in zip(*masks, strict=True))
    lines = [trace for trace in figure.data if trace.name == "memory of the card"]
    assert [list(line.y) for line in lines] == [[24.0, 24.0]] * 2


def test_published_code_has_open_marks():
    for trace in draw("layer_memory").data:
        assert trace.marker.symbol.endswith("-open") == ("study's code" in trace.name)


def test_legend_lists_each_kind_and_depth_once():
    shown = [trace for trace in draw("compiled_memory").data if trace.visible is not False]
    named = [trace.name for trace in shown if trace.showlegend is not False]
    assert len(named) == len(set(named)) == 2 * 2 + 2 + 1  # kinds of two codes, depths, the card
    assert {"11 layers", "1 layer"} <= set(named)
    lines = [trace.line.dash for trace in shown if trace.name == "11 layers"]
    of_kinds = [trace for trace in shown if trace.hovertext and "layers: 11" in trace.hovertext[0]]
    assert {trace.line.dash for trace in of_kinds} == set(lines)
