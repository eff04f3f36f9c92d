"""The memory planner of the site: a form that answers from the fit of `senformer.planner`.

At a given number of layers the fitted peak is a polynomial of second degree in the input's length,
so three numbers per choice are all that the page needs; planner_page.js evaluates them.
"""

import html
import json
from pathlib import Path
from typing import Any

import pandas as pd
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from senformer import planner, results, scaling

MOST_LAYERS = 16
FORM_CLASS = "memory-planner"

_HERE = Path(__file__).parent
_SCRIPT = _HERE / "planner_page.js"
_TABLE = "results/data/memory.csv"


def choices(measured: pd.DataFrame) -> dict[str, Any]:
    """Reduce a fit of measured peaks to what the form needs.

    Args:
        measured: Rows as `profiling.measure_all` gives them, all of one width.

    Returns:
        `channels`; and `fits`, one entry per attention and trainable set that was measured:
        `attention`, `trainable`, `median_error`, `largest_error`, `longest_bp`, and `peak_gb`,
        one list of three coefficients (GB, GB per bp, GB per bp squared) for each number of
        layers from 1 to `MOST_LAYERS`.

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


class MemoryPlanner(SphinxDirective):
    """The directive `memory-planner`: the form, with the fit of the results that the book shows."""

    def run(self) -> list[nodes.Node]:
        """Build the form.

        Raises:
            docutils.parsers.rst.DirectiveError: If there is no fit to answer from.
        """
        path = Path(self.env.srcdir) / _TABLE
        self.env.note_dependency(str(path))
        try:
            measured = scaling.in_float32(results.read(path))
            form = form_html(choices(measured), results.caption(measured.attrs["provenance"]))
        except (FileNotFoundError, ValueError) as error:
            raise self.error(str(error)) from error
        return [nodes.raw("", form, format="html", classes=[FORM_CLASS])]


def form_html(fits: dict[str, Any], caption: str) -> str:
    """Write the form's HTML, `fits` as `choices` gives them."""
    attentions = dict.fromkeys(fit["attention"] for fit in fits["fits"])
    trainables = dict.fromkeys(fit["trainable"] for fit in fits["fits"])
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
<noscript><p>This needs JavaScript; <code>senformer.planner</code> answers too.</p></noscript>
<p class="planner-caption">{html.escape(caption)}</p>
</form>"""


def _options(values: dict[str, None]) -> str:
    return "".join(f"<option>{html.escape(value)}</option>" for value in values)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive, and its script for pages that have the form."""
    app.add_directive("memory-planner", MemoryPlanner)
    app.connect("builder-inited", _copy_script)
    app.connect("html-page-context", _load_script_where_needed)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


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
