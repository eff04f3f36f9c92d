"""The landing page's figure: peak memory of the deepest measured models, and nothing else.

The memory page shows every measurement. Who arrives wants one picture of the answer, small enough
to be there at once, so this one is drawn from the same result file with fewer rows and columns.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from senformer.experiments.memory_and_time import scaling
from senformer.report import published, results
from senformer.report.figures import cost
from senformer_book.plotly_figures import figure_html

HEIGHT_PX = 360

_TABLE = "results/data/memory.csv"
_SHOWN = [
    "attention",
    "num_transformer_layers",
    "channels",
    "sequence_length_bp",
    "trainable",
    "peak_memory_gb",
    "status",
    "device",
]


def overview(memory: pd.DataFrame) -> dict[str, Any]:
    """Draw the landing page's figure.

    Args:
        memory: rows as `measurements.measure_all` gives them, read by `results.read`.

    Returns:
        A Plotly figure as JSON holds it: the most layers that were measured, attention trained (as
        in the study; the first set measured where there is no such row), beside the published
        points of models of this size.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    missing = [column for column in _SHOWN if column not in memory]
    if missing or memory.empty:
        raise ValueError(f"no column {missing[0]!r}" if missing else "the table has no rows")
    deepest = memory[memory["num_transformer_layers"] == memory["num_transformer_layers"].max()]
    sets = list(deepest["trainable"])
    trainable = "attention" if "attention" in sets else sets[0]
    chosen = deepest[deepest["trainable"] == trainable]
    rows = chosen[_SHOWN].assign(origin="measured")
    points = published.memory()
    same_size = points["channels"].isin(rows["channels"]) & points["num_transformer_layers"].isin(
        rows["num_transformer_layers"]
    )
    shown = pd.concat([rows, points.loc[same_size, [*_SHOWN, "origin"]]], ignore_index=True)
    shown.attrs = memory.attrs
    figure = cost.memory(shown).update_layout(height=HEIGHT_PX)
    drawn: dict[str, Any] = json.loads(figure.to_json())
    drawn["layout"]["meta"]["caption"] = results.caption_of(chosen)  # commits are not drawn
    return drawn


class MemoryOverview(SphinxDirective):
    """The directive `memory-overview`: the figure of `overview`, with a link to its page."""

    def run(self) -> list[nodes.Node]:
        """Build the figure's node.

        Raises:
            docutils.parsers.rst.DirectiveError: if the book has no measurements of memory.
        """
        path = Path(self.env.srcdir) / _TABLE
        self.env.note_dependency(str(path))
        try:
            figure = overview(scaling.in_float32(results.read(path)))
        except (FileNotFoundError, ValueError) as error:
            raise self.error(f"{path}: no figure of it: {error}") from error
        page = self.env.app.builder.get_relative_uri(self.env.docname, "results/memory")
        figure["layout"]["meta"]["source"] = page
        return [nodes.raw("", figure_html(figure), format="html")]


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.add_directive("memory-overview", MemoryOverview)
