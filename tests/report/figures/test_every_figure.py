"""Properties of every figure: its look, its description and its errors."""

from __future__ import annotations

import importlib

import pytest
from figure_tables import FIGURES, axes, count_points, draw

PROVENANCE = {
    "device": "two cores",
    "data": "simulated",
    "commit": "unknown",
    "time_utc": "2026-01-02T03:04:05+00:00",
}

OF_LENGTH = ("memory", "runtime", "compiled_memory", "accuracy_by_length", "ratios_by_length")
OF_POSITION = ("receptive_field", "effect_by_position", "share_reached", "input_gradients")

each_figure = pytest.mark.parametrize("name", FIGURES)


@each_figure
def test_figure_has_the_common_look(name):
    figure = draw(name)
    layout = figure.to_dict()["layout"]
    template = layout["template"]["layout"]
    assert layout["height"] >= 200 and template["autosize"] is True
    assert template["legend"]["orientation"] == "h"
    assert template["paper_bgcolor"] == template["plot_bgcolor"] == "rgba(0, 0, 0, 0)"
    assert not {"width", "paper_bgcolor", "plot_bgcolor"} & layout.keys()
    assert all(trace.name for trace in figure.data if trace.showlegend)
    assert any(axis.title.text for axis in axes(figure, "x"))


@each_figure
def test_figure_describes_itself_and_its_origin(name):
    drawn, table = FIGURES[name]
    frame = table()
    assert set(drawn(frame).layout.meta) == {"description", "drawn_by"}
    frame.attrs |= {"source": "from the Arena's table 2", "file": "table.csv"}
    assert drawn(frame).layout.meta["caption"] == "from the Arena's table 2"
    frame.attrs["provenance"] = PROVENANCE
    meta = drawn(frame).layout.meta
    assert meta["caption"] == "two cores · simulated · commit unknown · 2026-01-02"
    assert meta["description"].endswith(".") and "{" not in meta["description"]
    assert meta["file"] == "table.csv"
    module, function = meta["drawn_by"].rsplit(".", 1)
    assert callable(getattr(importlib.import_module(module), function))


@each_figure
def test_figure_names_a_missing_column(name):
    drawn, table = FIGURES[name]
    frame = table()
    required = 0
    for column in frame:
        try:
            drawn(frame.drop(columns=column))
        except ValueError as error:
            assert str(error).startswith(f"figure {name}: no column {column}; the table has ")
            assert "\n" not in str(error)
            required += 1
    assert required >= 3
    with pytest.raises(ValueError, match=f"figure {name}: the table has no rows"):
        drawn(frame.iloc[:0])


@pytest.mark.parametrize(
    ("unit", "names"),
    {
        "(bp)": [*OF_LENGTH, "track_profiles", *OF_POSITION],
        "(GB)": ["memory"],
        "(s)": ["runtime"],
        "(tokens)": ["speed_and_memory"],
        "Pearson's r": ["finetuning", "finetuned", "protocol_changes"],
    }.items(),
)
def test_figure_axes_have_units(unit, names):
    for name in names:
        titles = [axis.title.text or "" for letter in "xy" for axis in axes(draw(name), letter)]
        assert any(unit in title for title in titles), (name, titles)


@pytest.mark.parametrize("name", ["memory", "runtime", "finetuned", "overprediction"])
def test_figure_shows_each_row_on_hover(name):
    drawn, table = FIGURES[name]
    frame = table()
    figure = drawn(frame)
    assert count_points(figure) == len(frame)
    hovers = [text.split("<br>") for trace in figure.data for text in (trace.hovertext or ())]
    for column in frame:
        present = sum(any(line.startswith(f"{column}: ") for line in lines) for lines in hovers)
        assert present == frame[column].notna().sum()
