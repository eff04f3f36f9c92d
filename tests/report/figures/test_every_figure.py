"""What holds for every figure: it shows its table in one look, and says what is missing."""

from __future__ import annotations

import importlib

import pytest
from figure_tables import FIGURES, TABLES, axes, draw, points

REQUIRED = {
    "memory": ("attention", "trainable", "peak_memory_gb", "status", "device"),
    "runtime": ("num_transformer_layers", "channels", "sequence_length_bp", "step_seconds"),
    "compiled_memory": ("attention", "device_label", "device_memory_gb", "peak_memory_gb", "code"),
    "layer_memory": ("layer_gb", "sequence_length_bp"),
    "kernels_and_time": ("kernels", "least_seconds"),
    "step_time": ("step_seconds", "code"),
    "finetuning": ("step", "model", "track_type", "pearson_r", "pearson_r_low"),
    "finetuned": ("model", "track_type", "pearson_r", "pearson_r_high"),
    "correlation": ("sequence", "track_type", "enformer_pearson_r", "senformer_pearson_r"),
    "track_profiles": ("track", "bin", "source", "value"),
    "input_gradients": ("bin", "model", "method", "position_bp", "abs_change_of_mean"),
    "attention_pattern": ("query_block", "key_block", "num_heads"),
    "receptive_field": ("mutation_position_bp", "bin", "bin_start_bp", "model", "abs_change"),
    "effect_by_position": (
        "mutation_position_bp",
        "enformer_abs_change",
        "senformer_abs_change",
    ),
    "speed_and_memory": (
        "model",
        "tokens",
        "speed_over_transformer",
        "memory_over_transformer",
    ),
    "protocol_changes": ("choice", "option", "track_type", "change", "change_low", "of_the_study"),
    "overprediction": ("model", "track_type", "statistic", "share_above", "share_above_low"),
    "cost_of_changes": ("model", "of", "when", "measure", "pearson_r", "pearson_r_low"),
    "loss_by_attention_lost": ("model", "share_lost", "measure", "loss", "loss_high"),
    "accuracy_by_length": ("attention", "sequence_length_bp", "pearson_r", "pearson_r_high"),
    "use_by_distance": ("attention", "nearest_bp", "farthest_bp", "share_used", "share_low"),
    "attention_kept": ("layer", "head", "nearest_bp", "share_of_attention", "share_kept"),
    "by_length": ("attention", "sequence_length_bp", "ratio", "panel"),
    "growth": ("attention", "exponent", "panel"),
    "in_turn": ("panel", "pair", "ratio", "ratio_low"),
    "between_models": ("source", "pearson_r", "share_senformer_ahead", "share_low"),
    "share_reached": ("mutation_position_bp", "line", "share"),
}

each_figure = pytest.mark.parametrize("name", FIGURES)


@each_figure
def test_what_a_legend_shows_has_a_name(name):
    assert all(trace.name for trace in draw(name).data if trace.showlegend)


@each_figure
def test_has_the_one_look_and_fits_its_page(name):
    figure = draw(name)
    layout = figure.to_dict()["layout"]
    template = layout["template"]["layout"]
    assert "width" not in layout
    assert layout["height"] >= 200
    assert template["autosize"] is True
    assert template["legend"]["orientation"] == "h"
    for background in ("paper_bgcolor", "plot_bgcolor"):
        assert template[background] == "rgba(0, 0, 0, 0)"
        assert background not in layout


@each_figure
def test_says_in_words_what_it_shows_and_where_it_was_measured(name):
    frame = TABLES[name]()
    assert set(FIGURES[name](frame).layout.meta) == {"description", "drawn_by"}
    frame.attrs["provenance"] = {
        "device": "two cores",
        "data": "simulated",
        "commit": "unknown",
        "time_utc": "2026-01-02T03:04:05+00:00",
    }
    meta = FIGURES[name](frame).layout.meta
    assert meta["caption"] == "two cores · simulated · commit unknown · 2026-01-02"
    assert meta["description"].endswith(".")


@each_figure
def test_names_the_function_that_drew_it_and_the_file_of_its_table(name):
    frame = TABLES[name]()
    frame.attrs["file"] = "table.csv"
    meta = FIGURES[name](frame).layout.meta
    assert meta["file"] == "table.csv"
    module, function = meta["drawn_by"].rsplit(".", 1)
    assert callable(getattr(importlib.import_module(module), function))


@each_figure
def test_says_whose_measurements_it_shows_where_others_published_them(name):
    frame = TABLES[name]()
    frame.attrs["source"] = "from the Arena's table 2"
    assert FIGURES[name](frame).layout.meta["caption"] == "from the Arena's table 2"


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("memory", "(GB)"),
        ("memory", "(bp)"),
        ("runtime", "(s)"),
        ("runtime", "(bp)"),
        ("track_profiles", "(bp)"),
        ("input_gradients", "(bp)"),
        ("attention_pattern", "block"),
        ("receptive_field", "(bp)"),
        ("effect_by_position", "(bp)"),
        ("speed_and_memory", "(tokens)"),
        ("compiled_memory", "(bp)"),
        ("finetuning", "step"),
        ("finetuning", "Pearson's r"),
        ("correlation", "Enformer's r"),
        ("finetuned", "Pearson's r"),
        ("protocol_changes", "change in Pearson's r"),
        ("overprediction", "(%)"),
        ("by_length", "(bp)"),
        ("by_length", "over that of dense"),
        ("growth", "1 is linear"),
        ("in_turn", "times as fast"),
        ("share_reached", "(bp)"),
    ],
)
def test_axes_carry_their_units(name, unit):
    figure = draw(name)
    titles = [str(axis.title.text) for letter in "xy" for axis in axes(figure, letter)]
    assert any(unit in title for title in titles), titles


@pytest.mark.parametrize(
    ("name", "column"), [(name, column) for name, columns in REQUIRED.items() for column in columns]
)
def test_a_missing_column_is_named_in_one_line(name, column):
    with pytest.raises(ValueError, match=f"figure {name}: no column .*{column}") as error:
        FIGURES[name](TABLES[name]().drop(columns=column))
    assert "\n" not in str(error.value)


@each_figure
def test_an_empty_table_is_refused(name):
    with pytest.raises(ValueError, match=f"figure {name}: the table has no rows"):
        FIGURES[name](TABLES[name]().iloc[:0])


@pytest.mark.parametrize("name", ["memory", "runtime", "finetuned", "overprediction"])
def test_every_row_is_drawn_with_a_hover_that_gives_it(name):
    frame = TABLES[name]()
    figure = draw(name)
    assert points(figure) == len(frame)
    hovers = [text for trace in figure.data for text in (trace.hovertext or ())]
    for column in REQUIRED[name]:
        lines = [line for text in hovers for line in text.split("<br>")]
        present = sum(line.startswith(f"{column}: ") for line in lines)
        assert present == frame[column].notna().sum()
