"""The memory planner of the site: a form that answers, in words and as a figure, from a fit.

At a given number of layers the peak that the planner fits is a polynomial of second degree in the
input's length, so three numbers per choice are all that the page needs; planner_form.js evaluates
them.
"""

import html
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from senformer.attention_kinds import attention_kind
from senformer.config import TRAINABLE_SETS
from senformer.experiments.memory_and_time import planner, scaling
from senformer.report import results
from senformer.report.figures.style import NEUTRAL_COLOR, TEMPLATE
from senformer_book import plotly_figures

MOST_LAYERS = 16
FORM_CLASS = "memory-planner"
SHORTEST_BP, LONGEST_BP = 2**14, 2**23
"""Ends of the figure's axis."""

_HERE = Path(__file__).parent
_SCRIPT = _HERE / "planner_form.js"
_TABLE = "results/data/memory.csv"


def choices(measured: pd.DataFrame) -> dict[str, Any]:
    """Reduce a fit of measured peaks to what the form needs.

    Args:
        measured: Rows as `measurements.measure_all` gives them, all of one width.

    Returns:
        `channels`; and `fits`, one entry per attention and trainable set that was measured:
        `attention`, `trainable`, `median_error`, `largest_error`, `longest_bp`; `peak_gb`, one
        list of three coefficients (GB, GB per bp, GB per bp squared) for each number of layers
        from 1 to `MOST_LAYERS`; and `measured`, the points behind the fit, each a list of layers,
        length in bp and peak in GB.

    Raises:
        ValueError: If this is no table of measurements, models of several widths were measured, or
            too few of any kind to fit.
    """
    if "channels" not in measured:
        raise ValueError(f"{_TABLE}: no column 'channels'; expected a table of measurements")
    widths = sorted(measured["channels"].unique())
    if len(widths) != 1:
        raise ValueError(
            f"{_TABLE}: channels {[int(width) for width in widths]}, expected models of one width"
        )
    model = planner.fit_memory(measured)
    return {
        "channels": int(widths[0]),
        "fits": [
            {
                "attention": attention,
                "trainable": trainable,
                "median_error": fit.median_error,
                "largest_error": fit.largest_error,
                "longest_bp": fit.longest_bp,
                "peak_gb": [
                    _polynomial(model, attention, trainable, layers, int(widths[0]))
                    for layers in range(1, MOST_LAYERS + 1)
                ],
                "measured": _points(measured, attention, trainable),
            }
            for (attention, trainable), fit in model.items()
        ],
    }


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


def _points(measured: pd.DataFrame, attention: str, trainable: str) -> list[list[float]]:
    of_kind = measured.query(
        "attention == @attention and trainable == @trainable and status == 'ok'"
    ).sort_values("sequence_length_bp")
    columns = ["num_transformer_layers", "sequence_length_bp", "peak_memory_gb"]
    return [list(row) for row in of_kind[columns].itertuples(index=False, name=None)]


class MemoryPlanner(SphinxDirective):
    """The directive `memory-planner`: form and figure, with a fit of the results of the book."""

    def run(self) -> list[nodes.Node]:
        """Build form and figure.

        Raises:
            docutils.parsers.rst.DirectiveError: If there is no fit to answer from.
        """
        path = Path(self.env.srcdir) / _TABLE
        self.env.note_dependency(str(path))
        try:
            measured = scaling.in_float32(results.read(path))
            fits = choices(measured)
        except (FileNotFoundError, ValueError) as error:
            raise self.error(str(error)) from error
        drawn = json.loads(figure(fits, results.caption_of(measured)).to_json())
        return [
            nodes.raw("", form_html(fits), format="html", classes=[FORM_CLASS]),
            nodes.raw("", plotly_figures.figure_html(drawn), format="html"),
        ]


def figure(fits: dict[str, Any], caption: str) -> go.Figure:
    """Draw the axes and name the curves; planner_form.js gives each its points, by its `meta`.

    Args:
        fits: As `choices` gives them.
        caption: Where the points were measured.
    """
    drawn = go.Figure()
    for name in dict.fromkeys(fit["attention"] for fit in fits["fits"]):
        kind = attention_kind(name)
        for part, dash in (("fit", "solid"), ("beyond", "dot")):
            drawn.add_scatter(
                mode="lines",
                line={"color": kind.color, "width": 2, "dash": dash},
                **_curve(part, name, kind.label, showlegend=False),
            )
        marker = {"color": kind.color, "size": 9, "symbol": kind.symbol}
        drawn.add_scatter(mode="markers", marker=marker, **_curve("measured", name, kind.label))
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
            "caption": caption,
            "description": "Peak memory of a training step in GB against input length in base "
            "pairs, by the fit and as measured, for the layers and the training chosen above; a "
            "dashed line is the memory of the device, a ring the input asked for.",
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


def form_html(fits: dict[str, Any]) -> str:
    """Write the form's HTML, `fits` as `choices` gives them."""
    attentions = dict.fromkeys(fit["attention"] for fit in fits["fits"])
    measured = {fit["trainable"] for fit in fits["fits"]}
    trainables = [name for name in TRAINABLE_SETS if name in measured]  # the study's first
    stored = json.dumps(fits, separators=(",", ":")).replace("<", "\\u003c")
    return f"""<form class="{FORM_CLASS}">
<label>Memory of the device (GB)
  <input name="budget_gb" type="number" min="1" step="any" value="24"></label>
<label>Input length (bp)
  <input name="sequence_length_bp" type="number" min="8192" step="8192" value="196608"></label>
<label>Transformer layers
  <input name="num_transformer_layers" type="number" min="1" max="{MOST_LAYERS}" value="11"></label>
<label>Attention <select name="attention">{_options(attentions)}</select></label>
<label>Trained <select name="trainable">{_options(trainables)}</select></label>
<output aria-live="polite"></output>
<script type="application/json">{stored}</script>
<noscript><p>This needs JavaScript; <code>predict_peak_gb</code> answers too.</p></noscript>
</form>"""


def _options(values: Iterable[str]) -> str:
    return "".join(f"<option>{html.escape(value)}</option>" for value in values)


def setup(app: Sphinx) -> None:
    """Register the directive, and its script for pages that have the form."""
    app.add_directive("memory-planner", MemoryPlanner)
    app.connect("builder-inited", _copy_script)
    app.connect("html-page-context", _load_script_where_needed)


def _copy_script(app: Sphinx) -> None:
    if app.builder.format == "html":
        static = Path(app.outdir) / "_static"
        static.mkdir(parents=True, exist_ok=True)
        (static / _SCRIPT.name).write_bytes(_SCRIPT.read_bytes())


def _load_script_where_needed(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    if doctree is not None and any(
        FORM_CLASS in node["classes"] for node in doctree.findall(nodes.raw)
    ):
        app.add_js_file(_SCRIPT.name, loading_method="defer")
