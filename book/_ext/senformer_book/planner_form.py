"""Build the memory planner: a form that says, for each attention, whether a training step fits.

For a card the planner answers from steps compiled for this card, for any other device from steps
measured on a CPU. In both cases the peak memory at a given number of layers is, between two
lengths, a polynomial of degree two in the length, which planner_form.js evaluates.
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
from senformer_book import plotly_figures

MAX_LAYERS = 16
BLOCK_BP = 8192
MAX_EXTRAPOLATION = 2
"""Largest length that a fit answers for, as a multiple of the longest measured length."""

FORM_CLASS = "memory-planner"
SHORTEST_BP = 2**14
"""Left end of the figure's axis."""

_MEASURED, _COMPILED = "results/data/memory.csv", "results/data/memory_compiled.csv"


def choices(measured: pd.DataFrame, compiled: pd.DataFrame) -> dict[str, Any]:
    """Reduce measured and compiled peaks to the numbers that the form needs.

    Args:
        measured: Rows of `measurements.measure_all`, all of one width.
        compiled: Rows of `compilations.compile_all`, of the same width; may be empty.

    Returns:
        `channels`, and `devices`: the cards, then the CPU. Each device has `name`, `label`, `how`
        ("measured" or "compiled"), `memory_gb` (None if the reader must enter it), `caption` and
        `fits`, one per attention and trainable set. A fit has `attention`, `trainable`,
        `largest_error` (None if there are too few lengths), `longest_bp`, `answers_bp` (the
        shortest and the longest length it answers for), `known` (points `[layers, length in bp,
        peak in GB]`), `failed` (`[layers, length in bp]` of steps that did not run), and `peak_gb`:
        for each number of layers from 1 the pieces of a curve, or None. A piece is the length in bp
        where it begins and three coefficients (GB, GB per bp, GB per square bp).

    Raises:
        ValueError: If `measured` is not a table of measurements, or has models of several widths.
        TooFewMeasurementsError: If there are neither compiled steps nor enough measurements.
    """
    if "channels" not in measured:
        raise ValueError(f"{_MEASURED}: no column 'channels'; expected a table of measurements")
    widths = sorted({*measured["channels"], *compiled["channels"]})
    if len(widths) != 1:
        found = [int(width) for width in widths]
        raise ValueError(f"{_MEASURED}: channels {found}, expected models of one width")
    devices = [_card(rows) for _, rows in compiled.groupby("device", sort=False)]
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
                "largest_error": peaks.largest_error,
                "longest_bp": lengths[-1],
                "answers_bp": [lengths[0], lengths[-1]],
                "peak_gb": [_lines(peaks, layers) for layers in range(1, MAX_LAYERS + 1)],
                **_steps_of(compiled, attention, trainable),
            }
        )
    first = compiled.iloc[0]
    return {
        "name": str(first["device"]),
        "label": str(first["device_label"]),
        "how": "compiled",
        "memory_gb": float(first["device_memory_gb"]),
        "caption": _caption(compiled),
        "fits": fits,
    }


def _cpu(measured: pd.DataFrame, channels: int) -> dict[str, Any]:
    model = planner.fit_memory(measured)
    fits = []
    for (attention, trainable), fit in model.items():
        asked = {"attention": attention, "trainable": trainable, "channels": channels}
        fits.append(
            {
                "largest_error": fit.largest_error,
                "longest_bp": fit.longest_bp,
                "answers_bp": [BLOCK_BP, MAX_EXTRAPOLATION * fit.longest_bp],
                "peak_gb": [
                    [[0, *_polynomial(model, num_transformer_layers=layers, **asked)]]
                    for layers in range(1, MAX_LAYERS + 1)
                ],
                **_steps_of(measured, attention, trainable),
            }
        )
    return {
        "name": "cpu",
        "label": "another, estimated from a CPU",
        "how": "measured",
        "memory_gb": None,
        "caption": _caption(measured),
        "fits": fits,
    }


def _lines(peaks: CompiledPeaks, layers: int) -> list[list[float]] | None:
    """Return the pieces of a curve that is straight between the compiled lengths."""
    depths = peaks.num_transformer_layers
    if not depths[0] <= layers <= depths[-1]:
        return None
    lengths = peaks.sequence_lengths_bp
    peaks_gb = [
        interpolated_peak_gb(peaks, sequence_length_bp=length, num_transformer_layers=layers)
        for length in lengths
    ]
    slopes = np.diff(peaks_gb) / np.diff(lengths)
    return [
        [int(length), float(peak - slope * length), float(slope), 0.0]
        for length, peak, slope in zip(lengths, peaks_gb, slopes, strict=False)
    ]


def _polynomial(model: planner.MemoryModel, **asked: Any) -> list[float]:
    """Return the coefficients of the fitted peak in GB, from three of its values."""
    step = 2**17
    at_zero, at_step, at_two_steps = (
        planner.predict_peak_gb(model, planner.PlannedStep(sequence_length_bp=length, **asked))
        for length in (0, step, 2 * step)
    )
    quadratic = (at_two_steps - 2 * at_step + at_zero) / (2 * step**2)
    return [at_zero, (at_step - at_zero) / step - quadratic * step, quadratic]


def _steps_of(rows: pd.DataFrame, attention: str, trainable: str) -> dict[str, Any]:
    """Return attention, trainable set, and the steps of both that ran and that did not run."""
    steps = rows.query("attention == @attention and trainable == @trainable")
    steps = steps.sort_values("sequence_length_bp")
    has_peak = steps["peak_memory_gb"].notna()
    columns = ["num_transformer_layers", "sequence_length_bp", "peak_memory_gb"]
    known, failed = steps.loc[has_peak, columns], steps.loc[~has_peak, columns[:2]]
    return {
        "attention": attention,
        "trainable": trainable,
        "known": [list(row) for row in known.itertuples(index=False, name=None)],
        "failed": [list(row) for row in failed.itertuples(index=False, name=None)],
    }


def _caption(rows: pd.DataFrame) -> str:
    return results.caption_of(rows) if "provenance" in rows.attrs else ""


class MemoryPlanner(SphinxDirective):
    """The directive `memory-planner`: the form and its figure, from the results of the book."""

    def run(self) -> list[nodes.Node]:
        """Build form and figure.

        Raises:
            docutils.parsers.rst.DirectiveError: If a table is missing or not usable.
        """
        try:
            measured, compiled = (
                scaling.select_float32(self._table(t)) for t in (_MEASURED, _COMPILED)
            )
            offered = choices(measured, compiled)
        except planner.TooFewMeasurementsError as error:
            text = f"This run has too few measurements for the planner: {error}."
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
    """Draw the axes and name the curves; planner_form.js adds the points by each curve's `meta`.

    Args:
        offered: Numbers returned by `choices`.
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
    drawn.add_scatter(mode="markers", marker=ring, **_curve("asked", "", "your question"))
    doublings = [SHORTEST_BP << power for power in range(10)]
    drawn.update_xaxes(type="log", title="input length (bp)", tickvals=doublings, tickformat=".3~s")
    drawn.update_yaxes(type="log", title="peak memory (GB)", dtick="D2", tickformat="~g")
    drawn.update_layout(
        template=TEMPLATE,
        height=460,
        meta={
            "caption": offered["devices"][0]["caption"],
            "description": "Peak memory of a training step in GB by input length in base pairs: "
            "one line per attention with its data points, for the device, the layers and the "
            "trainable set chosen above. The dashed line is the memory of the device, rings are "
            "your question, crosses are steps that did not run.",
        },
    )
    return drawn


def _curve(part: str, attention: str, name: str, **options: Any) -> dict[str, Any]:
    # Plotly omits a curve without any point from the legend.
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
    """Write the form's HTML from the numbers returned by `choices`."""
    devices = offered["devices"]
    known = {fit["trainable"] for device in devices for fit in device["fits"]}
    trainables = [
        (name, name) for name in TRAINABLE_SETS if name in known
    ]  # attention, as in the study, first
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
  <input name="num_transformer_layers" type="number" min="1" max="{MAX_LAYERS}" value="11"></label>
<label>Trained <select name="trainable">{_options(trainables)}</select></label>
<output aria-live="polite"></output>
<div class="pst-scrollable-table-container"></div>
<script type="application/json">{stored}</script>
<noscript><p>This form needs JavaScript; use <code>predict_peak_gb</code> instead.</p></noscript>
</form>"""


def _options(values: Iterable[tuple[str, str]]) -> str:
    return "".join(
        f'<option value="{html.escape(value)}">{html.escape(label)}</option>'
        for value, label in values
    )


def setup(app: Sphinx) -> None:
    """Register the directive, and load its script on pages that have the form."""
    app.add_directive("memory-planner", MemoryPlanner)
    app.connect("html-page-context", _load_script_where_needed)


def _load_script_where_needed(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    if doctree is not None and any(
        FORM_CLASS in node["classes"] for node in doctree.findall(nodes.raw)
    ):
        app.add_js_file("planner_form.js", loading_method="defer")
