"""Compiled steps: one card at a time, whose code is seen, and what a layer adds."""

from __future__ import annotations

import pytest
from figure_tables import compiled_steps

from senformer.report.figures import on_gpu


def test_the_menu_shows_the_marks_of_one_card_and_its_memory():
    figure = on_gpu.memory(compiled_steps().query("device == 'rtx' or attention == 'dense'"))
    [menu] = figure.layout.updatemenus
    assert [button.label for button in menu.buttons] == ["RTX", "H"]
    shown_first = [trace.visible for trace in figure.data]
    masks = [list(button.args[0]["visible"]) for button in menu.buttons]
    assert masks[0] == shown_first
    assert [any(pair) and not all(pair) for pair in zip(*masks, strict=True)] == [True] * len(
        figure.data
    )
    lines = [trace for trace in figure.data if trace.name == "memory of the card"]
    assert [list(line.y) for line in lines] == [[24.0, 24.0]] * 2


def test_the_published_code_has_open_marks():
    for trace in on_gpu.layer_memory(on_gpu.memory_of_a_layer(compiled_steps())).data:
        assert trace.marker.symbol.endswith("-open") == ("study's code" in trace.name)


def test_a_layer_adds_the_difference_of_two_peaks_over_that_of_their_layers():
    of_layer = on_gpu.memory_of_a_layer(compiled_steps())
    assert len(of_layer) == 2 * 2 * 2 * 2
    assert of_layer["layer_gb"].to_numpy() == pytest.approx(of_layer["sequence_length_bp"] / 1e6)
    alone = compiled_steps().query("num_transformer_layers == 11")
    assert on_gpu.memory_of_a_layer(alone).empty


def test_only_what_is_of_the_same_sizes_and_cards_stands_beside():
    ours = compiled_steps().query("code == 'this package' and device == 'rtx'").drop(columns="code")
    published = compiled_steps().query("code == 'published'").drop(columns="code")
    both = on_gpu.beside_published(ours, published)
    assert dict(both["code"].value_counts()) == {"this package": 8, "published": 8}
    assert set(both["device"]) == {"rtx"}
    wider = published.assign(channels=768)
    assert set(on_gpu.beside_published(ours, wider)["code"]) == {"this package"}
    assert on_gpu.beside_published(ours.iloc[:0], published).empty


def test_it_is_said_where_launches_weigh_most():
    said = on_gpu.launches_beside_work(compiled_steps().query("device == 'h'"))
    assert said.startswith("Launches take 7.6% to 100.0% of the least time")  # 0.02 of 0.26 s
    assert "at 131,072 bp on H." in said
    assert on_gpu.launches_beside_work(compiled_steps().iloc[:0]) == on_gpu.NOTHING


def test_a_kind_stands_in_the_legend_once_for_all_depths():
    shown = [trace for trace in on_gpu.memory(compiled_steps()).data if trace.visible is not False]
    named = [trace.name for trace in shown if trace.showlegend is not False]
    assert len(named) == len(set(named)) == 2 * 2 + 2 + 1  # kinds of two codes, depths, the card
    assert {"11 layers", "1 layer"} <= set(named)
    lines = [trace.line.dash for trace in shown if trace.name == "11 layers"]
    of_kinds = [trace for trace in shown if trace.hovertext and "layers: 11" in trace.hovertext[0]]
    assert {trace.line.dash for trace in of_kinds} == set(lines)
