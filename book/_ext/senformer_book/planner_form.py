"""The memory planner of the site: a form that answers, in words and as a figure, for each kind.

It answers for the device that a reader chooses: for a card from what was compiled for it, and for
any other from what was measured on a CPU. Whichever it is, at a given number of layers the peak is
a polynomial of second degree between two lengths, and planner_form.js evaluates that.
"""

import html
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from senformer.attention_kinds import attention_kind
from senformer.config import TRAINABLE_SETS
from senformer.experiments.compiling.compiled_peaks import (
    CompiledPeaks,
    compiled_peaks,
    interpolated_peak_gb,
)
from senformer.experiments.memory_and_time import planner, scaling
from senformer.report import results
from senformer.report.figures.style import NEUTRAL_COLOR, TEMPLATE
from senformer_book import plotly_figures, static_files

MOST_LAYERS = 16
BLOCK_BP = 8192
TRUSTED_LENGTHS = 2
"""Beyond how many times the longest input that was measured a fit is not asked."""

FORM_CLASS = "memory-planner"
SHORTEST_BP, LONGEST_BP = 2**14, 2**23
"""Ends of the figure's axis."""

_HERE = Path(__file__).parent
_SCRIPT = _HERE / "planner_form.js"
_MEASURED, _COMPILED = "results/data/memory.csv", "results/data/memory_compiled.csv"


def choices(measured: pd.DataFrame, compiled: pd.DataFrame) -> dict[str, Any]:
    """Reduce measured and compiled peaks to what the form needs.

    Args:
        measured: Rows as `measurements.measure_all` gives them, all of one width.
        compiled: Rows as `compilations.compile_all` gives them, of the same width; may be empty.

    Returns:
        `channels`; and `devices`, the cards and then the CPU, each with `name`, `label`, `how`
        (measured or compiled), `memory_gb` (none where a reader has to say it), `caption` and
        `fits`, one entry per attention and trainable set: `attention`, `trainable`,
        `largest_error` (none where too few lengths tell), `longest_bp`,
        `answers_bp` (from and to which length it answers); `peak_gb`, for each number of layers
        from 1 the pieces of a curve (none for a number without), each a length in bp from which on
        it holds and three coefficients (GB, GB per bp, GB per bp squared); `known`, the points
        behind it, each a list of layers, length in bp and peak in GB; and `failed`, layers and
        length of what did not run.

    Raises:
        ValueError: If this is no table of measurements, or models of several widths were measured.
        TooFewMeasurementsError: If nothing was compiled, and too few of any kind measured to fit.
    """
    if "channels" not in measured:
        raise ValueError(f"{_MEASURED}: no column 'channels'; expected a table of measurements")
    widths = sorted({*measured["channels"], *compiled["channels"]})
    if len(widths) != 1:
        found = [int(width) for width in widths]
        raise ValueError(f"{_MEASURED}: channels {found}, expected models of one width")
    devices = [_card(of_card) for _, of_card in compiled.groupby("device", sort=False)]
    try:
        devices.append(_cpu(measured, int(widths[0])))
    except planner.TooFewMeasurementsError:
        if not devices:
            raise
    return {"channels": int(widths[0]), "devices": devices}


def _card(compiled: pd.DataFrame) -> dict[str, Any]:
    fits = []
    for (attention, trainable), peaks in compiled_peaks(compiled).items():
        lengths = [int(length) for length in peaks.sequence_lengths_bp]
        fits.append(
            {
                "attention": attention,
                "trainable": trainable,
                "largest_error": peaks.largest_error,
                "longest_bp": lengths[-1],
                "answers_bp": [lengths[0], lengths[-1]],
                "peak_gb": [_lines(peaks, n) for n in range(1, MOST_LAYERS + 1)],
                "known": _points(compiled, attention, trainable),
                "failed": _failures(compiled, attention, trainable),
            }
        )
    first = compiled.iloc[0]
    return {
        "name": str(first["device"]),
        "label": str(first["device_label"]),
        "how": "compiled",
        "memory_gb": float(first["device_memory_gb"]),
        "caption": results.caption_of(compiled) if "provenance" in compiled.attrs else "",
        "fits": fits,
    }


def _cpu(measured: pd.DataFrame, channels: int) -> dict[str, Any]:
    model = planner.fit_memory(measured)
    fits = [
        {
            "attention": attention,
            "trainable": trainable,
            "largest_error": fit.largest_error,
            "longest_bp": fit.longest_bp,
            "answers_bp": [BLOCK_BP, TRUSTED_LENGTHS * fit.longest_bp],
            "peak_gb": [
                [[0, *_polynomial(model, attention, trainable, layers, channels)]]
                for layers in range(1, MOST_LAYERS + 1)
            ],
            "known": _points(measured, attention, trainable),
            "failed": _failures(measured, attention, trainable),
        }
        for (attention, trainable), fit in model.items()
    ]
    return {
        "name": "cpu",
        "label": "another, by what a CPU took",
        "how": "measured",
        "memory_gb": None,
        "caption": results.caption_of(measured) if "provenance" in measured.attrs else "",
        "fits": fits,
    }


def _lines(peaks: CompiledPeaks, layers: int) -> list[list[float]] | None:
    """The pieces of a curve that is straight between the lengths that were compiled."""
    depths = peaks.num_transformer_layers
    if not depths[0] <= layers <= depths[-1]:
        return None
    lengths = peaks.sequence_lengths_bp
    at = [
        interpolated_peak_gb(peaks, sequence_length_bp=length, num_transformer_layers=layers)
        for length in lengths
    ]
    slopes = np.diff(at) / np.diff(lengths)
    return [
        [int(length), float(peak - slope * length), float(slope), 0.0]
        for length, peak, slope in zip(lengths, at, slopes, strict=False)
    ]


def _polynomial(
    model: planner.MemoryModel, attention: str, trainable: str, layers: int, channels: int
) -> list[float]:
    step = 2**17
    at_zero, at_step, at_two_steps = (
        planner.predict_peak_gb(
            model,
            attention=attention,
            trainable=trainable,
            sequence_length_bp=length,
            num_transformer_layers=layers,
            channels=channels,
        )
        for length in (0, step, 2 * step)
    )
    quadratic = (at_two_steps - 2 * at_step + at_zero) / (2 * step**2)
    return [at_zero, (at_step - at_zero) / step - quadratic * step, quadratic]


def _points(rows: pd.DataFrame, attention: str, trainable: str) -> list[list[float]]:
    known = _of_kind(rows, attention, trainable).dropna(subset="peak_memory_gb")
    columns = ["num_transformer_layers", "sequence_length_bp", "peak_memory_gb"]
    return [list(row) for row in known[columns].itertuples(index=False, name=None)]


def _failures(rows: pd.DataFrame, attention: str, trainable: str) -> list[list[int]]:
    of_kind = _of_kind(rows, attention, trainable)
    failed = of_kind[of_kind["peak_memory_gb"].isna()]
    columns = ["num_transformer_layers", "sequence_length_bp"]
    return [list(row) for row in failed[columns].itertuples(index=False, name=None)]


def _of_kind(rows: pd.DataFrame, attention: str, trainable: str) -> pd.DataFrame:
    of_kind = rows.query("attention == @attention and trainable == @trainable")
    return of_kind.sort_values("sequence_length_bp")


class MemoryPlanner(SphinxDirective):
    """The directive `memory-planner`: form and figure, from the results of the book."""

    def run(self) -> list[nodes.Node]:
        """Build form and figure.

        Raises:
            docutils.parsers.rst.DirectiveError: If there is nothing to answer from.
        """
        try:
            measured, compiled = (
                scaling.in_float32(self._table(t)) for t in (_MEASURED, _COMPILED)
            )
            offered = choices(measured, compiled)
        except planner.TooFewMeasurementsError as error:
            text = f"This run measured too little to answer: {error}."
            return [nodes.paragraph("", text)]
        except (FileNotFoundError, ValueError) as error:
            raise self.error(str(error)) from error
        drawn = json.loads(figure(offered).to_json())
        return [
            nodes.raw("", form_html(offered), format="html", classes=[FORM_CLASS]),
            nodes.raw("", plotly_figures.figure_html(drawn), format="html"),
        ]

    def _table(self, name: str) -> pd.DataFrame:
        path = Path(self.env.srcdir) / name
        self.env.note_dependency(str(path))
        return results.read(path)


def figure(offered: dict[str, Any]) -> go.Figure:
    """Draw the axes and name the curves; planner_form.js gives each its points, by its `meta`.

    Args:
        offered: As `choices` gives it.
    """
    drawn = go.Figure()
    fits = [fit for device in offered["devices"] for fit in device["fits"]]
    for name in dict.fromkeys(fit["attention"] for fit in fits):
        kind = attention_kind(name)
        for part, dash in (("fit", "solid"), ("beyond", "dot")):
            drawn.add_scatter(
                mode="lines",
                line={"color": kind.color, "width": 2, "dash": dash},
                **_curve(part, name, kind.label, showlegend=False),
            )
        marker = {"color": kind.color, "size": 9, "symbol": kind.symbol}
        drawn.add_scatter(mode="markers", marker=marker, **_curve("known", name, kind.label))
        cross = {"color": kind.color, "size": 11, "symbol": "x-thin-open", "line_width": 3}
        failed = _curve("failed", name, kind.label, showlegend=False)
        failed |= {"hovertemplate": f"{kind.label}<br>%{{x:,}} bp: did not run<extra></extra>"}
        drawn.add_scatter(mode="markers", marker=cross, **failed)
    line = {"color": NEUTRAL_COLOR, "width": 2, "dash": "dash"}
    drawn.add_scatter(mode="lines", line=line, **_curve("budget", "", "memory of the device"))
    ring = {"color": NEUTRAL_COLOR, "size": 16, "symbol": "circle-open", "line_width": 3}
    drawn.add_scatter(mode="markers", marker=ring, **_curve("asked", "", "what you ask for"))
    doublings = [SHORTEST_BP << power for power in range(10)]
    drawn.update_xaxes(type="log", title="input length (bp)", tickvals=doublings, tickformat=".3~s")
    drawn.update_yaxes(type="log", title="peak memory (GB)", dtick="D2", tickformat="~g")
    drawn.update_layout(
        template=TEMPLATE,
        height=460,
        meta={
            "caption": offered["devices"][0]["caption"],
            "description": "Peak memory of a training step in GB against input length in base "
            "pairs, one line per kind of attention, with the points behind it, for the device, the "
            "layers and the training chosen above; a dashed line is the memory of the device, "
            "rings are what is asked for, crosses what did not run.",
        },
    )
    return drawn


def _curve(part: str, attention: str, name: str, **options: Any) -> dict[str, Any]:
    # Without a point Plotly would leave the curve out of the legend.
    return {
        "x": [None],
        "y": [None],
        "name": name,
        "legendgroup": name,
        "hovertemplate": f"{name}<br>%{{x:,}} bp: %{{y:.3g}} GB<extra></extra>",
        "meta": {"part": part, "attention": attention},
        **options,
    }


def form_html(offered: dict[str, Any]) -> str:
    """Write the form's HTML, `offered` as `choices` gives it."""
    devices = offered["devices"]
    known = {fit["trainable"] for device in devices for fit in device["fits"]}
    trainables = [(name, name) for name in TRAINABLE_SETS if name in known]  # the study's first
    labels = [(device["name"], device["label"]) for device in devices]
    budget_gb = devices[0]["memory_gb"] or 24
    kinds = {fit["attention"] for device in devices for fit in device["fits"]}
    names = {name: attention_kind(name).label for name in sorted(kinds)}
    stored = json.dumps({**offered, "labels": names}, separators=(",", ":")).replace("<", "\\u003c")
    return f"""<form class="{FORM_CLASS}">
<label>Device <select name="device">{_options(labels)}</select></label>
<label>Memory of the device (GB)
  <input name="budget_gb" type="number" min="1" step="any" value="{budget_gb:g}"></label>
<label>Input length (bp)
  <input name="sequence_length_bp" type="number" min="1" step="1" value="196608"></label>
<label>Transformer layers
  <input name="num_transformer_layers" type="number" min="1" max="{MOST_LAYERS}" value="11"></label>
<label>Trained <select name="trainable">{_options(trainables)}</select></label>
<output aria-live="polite"></output>
<div class="pst-scrollable-table-container"></div>
<script type="application/json">{stored}</script>
<noscript><p>This needs JavaScript; <code>predict_peak_gb</code> answers too.</p></noscript>
</form>"""


def _options(values: Iterable[tuple[str, str]]) -> str:
    return "".join(
        f'<option value="{html.escape(value)}">{html.escape(label)}</option>'
        for value, label in values
    )


def setup(app: Sphinx) -> None:
    """Register the directive, and its script for pages that have the form."""
    app.add_directive("memory-planner", MemoryPlanner)
    static_files.ship(app, (_SCRIPT,))
    app.connect("html-page-context", _load_script_where_needed)


def _load_script_where_needed(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    if doctree is not None and any(
        FORM_CLASS in node["classes"] for node in doctree.findall(nodes.raw)
    ):
        app.add_js_file(_SCRIPT.name, loading_method="defer")
