"""Figures show every row, in one visual language, and say what is missing from a table."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from senformer import attention_kinds
from senformer.report import figures, published

TYPES = ("DNase/ATAC", "Histone ChIP", "TF ChIP", "CAGE")


def scaling() -> pd.DataFrame:
    rows = [
        {
            "attention": kind,
            "num_transformer_layers": layers,
            "channels": 1536,
            "sequence_length_bp": length,
            "trainable": trainable,
            "peak_memory_gb": 1.0 + layers * length / 1e6,
            "resident_memory_gb": 1.0,
            "step_seconds": layers * length / 1e5,
            "first_step_seconds": 9.0,
            "status": "ok",
            "message": "",
            "device": "two cores",
        }
        for kind, layers, length, trainable in itertools.product(
            ("dense", "bigbird"), (1, 11), (131_072, 262_144), ("attention", "all")
        )
    ]
    frame = pd.DataFrame(rows)
    longest = (frame["attention"] == "dense") & (frame["sequence_length_bp"] == 262_144)
    lost = longest & (frame["num_transformer_layers"] == 11) & (frame["trainable"] == "all")
    frame.loc[lost, ["peak_memory_gb", "step_seconds"]] = np.nan
    frame.loc[lost, "status"] = "out_of_memory"
    return frame


def speedups() -> pd.DataFrame:
    rows = itertools.product(
        ("attention alone", "a layer"),
        ("onednn", "own"),
        (1536, 6144),
        (("bigbird", "baseline"), ("tiled", "dense")),
    )
    frame = pd.DataFrame([(*row, *pair) for *row, pair in rows])
    frame.columns = ["part", "kernels", "tokens", "kind", "as_fast_as"]
    median = np.geomspace(0.8, 12, len(frame))
    return frame.assign(median=median, low=0.9 * median, high=1.2 * median)


def finetuning() -> pd.DataFrame:
    rows = itertools.product(TYPES, ("S-Enformer", "S-Enformer, warm start"), (0, 10, 20))
    trained = pd.DataFrame(rows, columns=["track_type", "model", "step"])
    enformer = pd.DataFrame({"track_type": TYPES, "model": "Enformer", "step": 0})
    frame = pd.concat([enformer, trained], ignore_index=True)
    return frame.assign(pearson_r=np.linspace(0.2, 0.6, len(frame)))


def correlation() -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(itertools.product(range(20), TYPES), columns=["sequence", "track_type"])
    r = random.uniform(0.2, 0.8, len(frame))
    return frame.assign(enformer_pearson_r=r, senformer_pearson_r=r - 0.1 * random.random(len(r)))


def track_profiles() -> pd.DataFrame:
    rows = itertools.product(
        ("CAGE:liver", "DNASE:liver"), ("experiment", "Enformer", "S-Enformer"), range(8)
    )
    frame = pd.DataFrame(rows, columns=["track", "source", "bin"])
    return frame.assign(value=np.arange(len(frame), dtype=float))


def input_gradients() -> pd.DataFrame:
    rows = itertools.product(
        (0, 7), ("Enformer", "S-Enformer"), ("gradient", "mutation"), (64, 192, 320)
    )
    frame = pd.DataFrame(rows, columns=["bin", "model", "method", "position_bp"])
    return frame.assign(
        bin_start_bp=256 + 128 * frame["bin"],
        abs_change_of_mean=np.geomspace(1e-6, 1e-2, len(frame)),
    )


def attention_pattern() -> pd.DataFrame:
    rows = itertools.product(range(6), range(6))
    frame = pd.DataFrame(rows, columns=["query_block", "key_block"])
    return frame.assign(num_heads=np.arange(36) % 9)


def receptive_field() -> pd.DataFrame:
    rows = itertools.product((0, 511, 1023), ("Enformer", "S-Enformer"), range(4))
    frame = pd.DataFrame(rows, columns=["mutation_position_bp", "model", "bin"])
    return frame.assign(
        bin_start_bp=256 + 128 * frame["bin"], abs_change=np.geomspace(1e-6, 1e-2, len(frame))
    )


def protocol_changes() -> pd.DataFrame:
    protocols = [("reference", "paper"), ("flanks", "zeros"), ("flanks", "none"), ("scale", "log")]
    frame = pd.DataFrame(
        [(*protocol, track_type) for protocol in protocols for track_type in TYPES],
        columns=["choice", "option", "track_type"],
    )
    is_reference = frame["choice"] == "reference"
    change = np.linspace(-0.2, 0.1, len(frame))
    return frame.assign(
        change=np.where(is_reference, 0.0, change), of_the_study=frame["option"] == "zeros"
    )


def overprediction() -> pd.DataFrame:
    rows = itertools.product(("mean", "median"), ("Enformer", "S-Enformer"), TYPES)
    frame = pd.DataFrame(rows, columns=["statistic", "model", "track_type"])
    return frame.assign(share_above=np.linspace(0, 1, len(frame)))


TABLES = {
    "memory": scaling,
    "runtime": scaling,
    "speedups": speedups,
    "finetuning": finetuning,
    "finetuned": lambda: finetuning().groupby(["model", "track_type"]).last().reset_index(),
    "correlation": correlation,
    "track_profiles": track_profiles,
    "input_gradients": input_gradients,
    "attention_pattern": attention_pattern,
    "receptive_field": receptive_field,
    "protocol_changes": protocol_changes,
    "overprediction": overprediction,
}

REQUIRED = {
    "memory": ("attention", "trainable", "peak_memory_gb", "status", "device"),
    "runtime": ("num_transformer_layers", "channels", "sequence_length_bp", "step_seconds"),
    "speedups": ("part", "kernels", "tokens", "kind", "as_fast_as", "median", "low", "high"),
    "finetuning": ("step", "model", "track_type", "pearson_r"),
    "finetuned": ("model", "track_type", "pearson_r"),
    "correlation": ("sequence", "track_type", "enformer_pearson_r", "senformer_pearson_r"),
    "track_profiles": ("track", "bin", "source", "value"),
    "input_gradients": ("bin", "model", "method", "position_bp", "abs_change_of_mean"),
    "attention_pattern": ("query_block", "key_block", "num_heads"),
    "receptive_field": ("mutation_position_bp", "bin", "bin_start_bp", "model", "abs_change"),
    "protocol_changes": ("choice", "option", "track_type", "change", "of_the_study"),
    "overprediction": ("model", "track_type", "statistic", "share_above"),
}

each_figure = pytest.mark.parametrize("name", figures.FIGURES)


def draw(name: str) -> go.Figure:
    return figures.FIGURES[name](TABLES[name]())


@each_figure
def test_what_a_legend_shows_has_a_name(name):
    assert all(trace.name for trace in draw(name).data if trace.showlegend)


def axes(figure: go.Figure, letter: str) -> list[go.layout.XAxis | go.layout.YAxis]:
    found = figure.select_xaxes() if letter == "x" else figure.select_yaxes()
    return list(found)


def points(figure: go.Figure) -> int:
    """Marks that stand for a row: keys of the legend and lines to compare with have no hover."""
    return sum(len(trace.x) for trace in figure.data if trace.hovertext is not None)


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
    assert set(figures.FIGURES[name](frame).layout.meta) == {"description"}
    frame.attrs["provenance"] = {
        "device": "two cores",
        "data": "simulated",
        "commit": "unknown",
        "time_utc": "2026-01-02T03:04:05+00:00",
    }
    meta = figures.FIGURES[name](frame).layout.meta
    assert meta["caption"] == "two cores · simulated · commit unknown · 2026-01-02"
    assert meta["description"].endswith(".")


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("memory", "(GB)"),
        ("memory", "(bp)"),
        ("runtime", "(s)"),
        ("runtime", "(bp)"),
        ("speedups", "times as fast"),
        ("track_profiles", "(bp)"),
        ("input_gradients", "(bp)"),
        ("attention_pattern", "block"),
        ("receptive_field", "(bp)"),
        ("finetuning", "step"),
        ("finetuning", "Pearson's r"),
        ("correlation", "Enformer's r"),
        ("finetuned", "Pearson's r"),
        ("protocol_changes", "change in Pearson's r"),
        ("overprediction", "(%)"),
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
        figures.FIGURES[name](TABLES[name]().drop(columns=column))
    assert "\n" not in str(error.value)


@each_figure
def test_an_empty_table_is_refused(name):
    with pytest.raises(ValueError, match=f"figure {name}: the table has no rows"):
        figures.FIGURES[name](TABLES[name]().iloc[:0])


@pytest.mark.parametrize("name", ["memory", "runtime", "speedups", "finetuned", "overprediction"])
def test_every_row_is_drawn_with_a_hover_that_gives_it(name):
    frame = TABLES[name]()
    figure = draw(name)
    assert points(figure) == len(frame)
    hovers = [text for trace in figure.data for text in (trace.hovertext or ())]
    for column in REQUIRED[name]:
        lines = [line for text in hovers for line in text.split("<br>")]
        present = sum(line.startswith(f"{column}: ") for line in lines)
        assert present == frame[column].notna().sum()


def test_kinds_of_attention_have_colours_and_markers_of_their_own():
    assert set(attention_kinds.KINDS) <= set(figures.ATTENTION_COLORS)
    for table in (figures.ATTENTION_COLORS, figures.ATTENTION_SYMBOLS, figures.ATTENTION_LABELS):
        assert set(table) == set(figures.ATTENTION_COLORS)
        assert len(set(table.values())) == len(table)


@pytest.mark.parametrize("page", ["#ffffff", "#121212"])
@pytest.mark.parametrize("color", [*figures.ATTENTION_COLORS.values(), figures.NEUTRAL_COLOR])
def test_colours_stand_out_from_a_light_and_a_dark_page(color, page):
    light, dark = sorted([luminance(color), luminance(page)], reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 3


@pytest.mark.parametrize("sight", ["normal", "protanopia", "deuteranopia", "tritanopia"])
def test_colours_stay_apart_for_colour_blind_readers(sight):
    colors = [*figures.ATTENTION_COLORS.values(), figures.NEUTRAL_COLOR]
    seen = [lab(SIGHT[sight] @ linear(color)) for color in colors]
    for (a, first), (b, second) in itertools.combinations(zip(colors, seen, strict=True), 2):
        assert np.linalg.norm(first - second) > 12, (a, b)


# Machado, Oliveira, Fernandes 2009: what each kind of colour blindness makes of linear RGB.
SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}


def linear(color: str) -> np.ndarray:
    srgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def luminance(color: str) -> float:
    return float(linear(color) @ [0.2126, 0.7152, 0.0722])


def lab(rgb: np.ndarray) -> np.ndarray:
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = to_xyz @ np.clip(rgb, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


class TestScaling:
    def test_out_of_memory_is_a_mark_in_a_strip_above_not_a_gap(self):
        figure = figures.memory(scaling())
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
        with pytest.raises(ValueError, match="figure memory: attention='linear', expected one of"):
            figures.memory(scaling().replace({"attention": {"bigbird": "linear"}}))

    def test_a_loss_whose_device_is_not_known_is_drawn_all_the_same(self):
        frame = scaling()
        frame.loc[frame["status"] != "ok", "device"] = None
        assert points(figures.memory(frame)) == len(frame)

    def test_no_line_leads_to_what_was_not_measured(self):
        for trace in figures.memory(scaling()).data:
            if trace.hovertext is not None and "x" in trace.marker.symbol:
                assert trace.mode == "markers"

    def test_without_losses_there_is_no_strip(self):
        frame = scaling()
        kept = figures.memory(frame[frame["status"] == "ok"])
        assert len(axes(kept, "y")) == 2
        assert len(axes(figures.memory(frame), "y")) == 3  # all of `attention` was measured

    def test_every_panel_has_its_title_over_something_that_is_drawn(self):
        figure = figures.memory(scaling())
        drawn = {trace.yaxis for trace in figure.data if trace.hovertext is not None}
        titles = {a.text: a.yref.removesuffix(" domain") for a in figure.layout.annotations}
        assert set(titles) == {"trained: attention", "trained: all"}
        assert set(titles.values()) <= drawn

    def test_costs_can_be_compared_between_panels(self):
        frame = scaling()
        scales = [axis for axis in axes(figures.memory(frame), "y") if axis.type == "log"]
        assert len(scales) == 2
        assert scales[0].range == scales[1].range
        least, greatest = 10 ** np.array(scales[0].range)
        assert least < frame["peak_memory_gb"].min()
        assert greatest > frame["peak_memory_gb"].max()
        assert list(scales[0].tickvals) == [1, 2]

    def test_where_all_is_lost_the_strips_are_left(self):
        frame = scaling().assign(peak_memory_gb=np.nan, status="out_of_memory")
        assert points(figures.memory(frame)) == len(frame)

    def test_lengths_are_marked_from_the_shortest_on_in_doublings(self):
        frame = scaling().replace({"sequence_length_bp": {262_144: 3_145_728}})
        ticks = {tuple(axis.tickvals) for axis in axes(figures.memory(frame), "x")}
        assert ticks == {(131_072, 262_144, 524_288, 1_048_576, 2_097_152)}

    def test_a_failure_looks_different_from_out_of_memory(self):
        frame = scaling()
        frame.loc[frame["status"] != "ok", "status"] = "failed"
        names = [trace.name for trace in figures.memory(frame).data]
        assert "failed" in names
        assert "out of memory" not in names

    def test_measured_and_published_are_told_apart(self):
        frame = pd.concat([scaling(), published.memory()], ignore_index=True)
        figure = figures.memory(frame)
        assert points(figure) == len(frame)
        for trace in figure.data:
            if trace.hovertext is None:
                continue
            is_published = "origin: measured" not in trace.hovertext[0]
            assert all(("open" in symbol) == is_published for symbol in trace.marker.symbol)
        assert "open: published" in [trace.name for trace in figure.data]
        measured_only = figures.memory(scaling())
        assert "open: published" not in [trace.name for trace in measured_only.data]

    def test_colour_is_the_attentions_everywhere(self):
        for name in ("memory", "runtime"):
            for trace in draw(name).data:
                if trace.hovertext is not None:
                    color = figures.ATTENTION_COLORS[trace.legendgroup]
                    assert trace.marker.color == color
                    assert trace.line.color == color

    def test_the_legend_switches_a_kind_of_attention_as_a_whole(self):
        figure = figures.memory(scaling())
        shown = [trace for trace in figure.data if trace.showlegend is not False]
        labels = [trace.name for trace in shown]
        assert len(labels) == len(set(labels))
        groups = {trace.legendgroup for trace in figure.data if trace.hovertext is not None}
        assert groups == {"dense", "bigbird"}
        assert groups <= {trace.legendgroup for trace in shown}


def test_speedups_show_their_quartiles_and_differ_in_marker_by_kernels():
    frame = speedups()
    marks = [trace for trace in draw("speedups").data if trace.hovertext is not None]
    low = [x - e for trace in marks for x, e in zip(trace.x, trace.error_x.arrayminus, strict=True)]
    high = [x + e for trace in marks for x, e in zip(trace.x, trace.error_x.array, strict=True)]
    np.testing.assert_allclose(sorted(low), sorted(frame["low"]))
    np.testing.assert_allclose(sorted(high), sorted(frame["high"]))
    symbols = {
        text.split("kernels: ")[1].split("<br>")[0]: trace.marker.symbol
        for trace in marks
        for text in trace.hovertext
        if "kind: tiled" in text
    }
    assert symbols == {"onednn": "square", "own": "square-open"}


def test_unknown_kernels_are_named():
    with pytest.raises(
        ValueError, match=r"figure speedups: kernels='mine', expected one of onednn"
    ):
        figures.speedups(speedups().assign(kernels="mine"))


def test_models_of_one_colour_differ_in_marker():
    figure = figures.finetuned(
        pd.DataFrame(
            {
                "model": ["S-Enformer, warm start", "S-Enformer, warm start, untrained", "mine"],
                "track_type": "CAGE",
                "pearson_r": [0.3, 0.2, 0.1],
            }
        )
    )
    first, second, other = (trace.marker for trace in figure.data)
    assert first.color == second.color == figures.ATTENTION_COLORS["bigbird_relative"]
    assert first.symbol != second.symbol
    assert other.color == figures.NEUTRAL_COLOR


def test_a_model_that_was_not_trained_is_a_dashed_line_across():
    figure = figures.finetuning(finetuning())
    enformer = [trace for trace in figure.data if trace.name == "Enformer"]
    assert len(enformer) == 4
    for trace in enformer:
        assert list(trace.x) == [0, 20]
        assert trace.line.dash == "dash"
        assert trace.y[0] == trace.y[1]


def test_a_model_that_the_first_panel_lacks_is_in_the_legend():
    frame = finetuning()
    kept = frame[(frame["model"] == "Enformer") | (frame["track_type"] != TYPES[0])]
    shown = [trace.name for trace in figures.finetuning(kept).data if trace.showlegend]
    assert shown == ["Enformer", "S-Enformer", "S-Enformer, warm start"]


def test_correlation_of_the_study_shows_its_numbers(shared):
    frame = published.read_correlation_per_sequence(
        shared / "published" / "correlation_per_sequence.csv"
    )
    figure = figures.correlation(frame)
    titles = " ".join(annotation.text for annotation in figure.layout.annotations)
    for text in ("0.876", "0.898", "0.962", "0.863", "15.4%", "3.4%", "6.4%", "14.9%"):
        assert text in titles
    dots = [trace for trace in figure.data if trace.mode == "markers"]
    assert sum(len(trace.x) for trace in dots) == len(frame)
    assert len(figure.to_json()) < 300_000  # compact enough for a page


def test_the_receptive_field_of_the_study_is_drawn_with_the_changed_base(shared):
    frame = published.read_receptive_field(shared / "published" / "receptive_field.csv")
    figure = figures.receptive_field(frame)
    curves = [trace for trace in figure.data if trace.mode == "lines"]
    assert len(curves) == 18
    assert sum(len(trace.x) for trace in curves) == len(frame)
    assert {shape.x0 for shape in figure.layout.shapes} == set(frame["mutation_position_bp"])
    assert all(axis.type == "log" for axis in axes(figure, "y"))
    assert len(figure.to_json()) < 300_000


def test_a_bin_that_did_not_change_is_a_dash_on_the_lower_edge_of_the_logarithmic_axis():
    frame = receptive_field()
    frame.loc[[0, 5], "abs_change"] = 0.0
    figure = figures.receptive_field(frame)
    dashes = [trace for trace in figure.data if trace.mode == "markers"]
    marked = [(trace.name, list(np.array(trace.x)[pd.notna(trace.y)])) for trace in dashes]
    assert marked == [("Enformer", [256]), ("S-Enformer", [384])]
    assert all("no change" in trace.hovertemplate for trace in dashes)
    smallest = frame.loc[frame["abs_change"] > 0, "abs_change"].min()
    assert all(np.nanmax(np.array(trace.y, float)) < smallest for trace in dashes)
    assert [trace.name for trace in figure.data if trace.showlegend] == ["Enformer", "S-Enformer"]


def test_gradients_are_curves_and_mutations_marks_of_the_same_colour():
    figure = figures.input_gradients(input_gradients())
    assert len(figure.data) == 8
    for trace in figure.data:
        assert trace.mode == ("lines" if "gradient" in trace.name else "markers")
        assert trace.line.color == trace.marker.color
    assert {shape.x0 for shape in figure.layout.shapes} == {256 + 64, 256 + 7 * 128 + 64}


def test_the_attention_pattern_reads_down_its_queries():
    figure = figures.attention_pattern(attention_pattern().sample(frac=1, random_state=0))
    [heatmap] = figure.data
    np.testing.assert_array_equal(heatmap.z, np.arange(36).reshape(6, 6) % 9)
    assert figure.layout.yaxis.autorange == "reversed"


def test_an_odd_number_of_track_types_leaves_no_empty_panel():
    frame = correlation()
    more = pd.concat([frame, frame[frame["track_type"] == "CAGE"].assign(track_type="RNA")])
    figure = figures.correlation(more)
    assert len(axes(figure, "x")) == len(axes(figure, "y")) == 5


def test_too_few_sequences_for_an_r_are_said_in_words():
    figure = figures.correlation(correlation().query("sequence < 2"))
    assert "r needs more sequences" in figure.layout.annotations[0].text


def test_profiles_of_a_track_share_one_scale():
    figure = figures.track_profiles(track_profiles())
    ranges = [tuple(axis.range) for axis in axes(figure, "y")]
    assert len(ranges) == 6
    assert len(set(ranges[:3])) == 1
    assert len(set(ranges[3:])) == 1
    assert ranges[0] != ranges[3]
    names = [trace.name for trace in figure.data if trace.showlegend]
    assert names == ["experiment", "Enformer", "S-Enformer"]


def test_numbers_are_stored_compactly_and_positions_exactly():
    figure = figures.receptive_field(receptive_field())
    curve = figure.data[0]
    assert np.asarray(curve.x).tolist() == [256, 384, 512, 640]
    assert np.asarray(curve.y).dtype == np.float32


def test_changes_stand_at_their_protocol_one_beside_the_other():
    frame = protocol_changes()
    figure = figures.protocol_changes(frame)
    axis = next(figure.select_yaxes())
    names = [text.replace("<br>", " ") for text in axis.ticktext]
    assert names == ["flanks: zeros", "flanks: none", "scale: log"]
    drawn = set()
    for trace in figure.data:
        for x, y, hover in zip(trace.x, trace.y, trace.hovertext, strict=True):
            place = round(y)
            choice, option = names[place].split(": ")
            assert f"choice: {choice}<br>option: {option}<br>track_type: {trace.name}" in hover
            assert abs(y - place) < 0.5
            row = frame.query("choice == @choice and option == @option").set_index("track_type")
            assert x == row.loc[trace.name, "change"]
            drawn.add(y)
    assert len(drawn) == 3 * len(TYPES)  # none is hidden behind another


def test_only_the_studys_choices_are_filled():
    for trace in figures.protocol_changes(protocol_changes()).data:
        assert [symbol.endswith("-open") for symbol in trace.marker.symbol] == [False, True, True]


def test_too_high_as_often_as_too_low_is_a_line_in_each_panel():
    figure = figures.overprediction(overprediction())
    lines = [shape for shape in figure.layout.shapes if shape.x0 == shape.x1 == 0.5]
    assert len(lines) == 2
