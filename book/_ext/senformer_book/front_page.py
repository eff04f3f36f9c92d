"""The landing page's answers and its one figure, from the tables that the results pages stand on.

Who arrives wants four answers and a picture, small enough to be there at once. Each answer is a
sentence that `senformer.experiments.answers` makes of numbers; none is typed.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from senformer.experiments import answers
from senformer.experiments.memory_and_time import scaling
from senformer.report import gpu_steps, results
from senformer.report.figures import cost, gpu_cost
from senformer.report.row_labels import CODES
from senformer.workflow import notebooks
from senformer_book.plotly_figures import figure_html

HEIGHT_PX = 400

_DATA = "results/data"


class Answer(SphinxDirective):
    """One of the report's answers, by its name: `memory`, `time`, `accuracy`, ...

    Where the results do not tell, as real records do not from how far regulation comes, it says so.
    """

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build a paragraph.

        Raises:
            docutils.parsers.rst.DirectiveError: if there is no such answer.
        """
        [name] = self.arguments
        if name not in _ANSWERS:
            raise self.error(f"no answer {name!r}; there are {', '.join(_ANSWERS)}")
        files, answer = _ANSWERS[name]
        paths = [_path(Path(self.env.srcdir), file) for file in files]
        for path in paths:
            self.env.note_dependency(str(path))
        is_known = all(path.exists() for path in paths)
        sentence = answer(*map(results.read, paths)) if is_known else _UNKNOWN
        nodes_of_text, _ = self.state.inline_text(sentence, self.lineno)
        return [nodes.paragraph("", "", *nodes_of_text, classes=["answer"])]


class MemoryOverview(SphinxDirective):
    """The directive `memory-overview`: the figure of `overview`, with a link to its page."""

    def run(self) -> list[nodes.Node]:
        """Build the figure's node.

        Raises:
            docutils.parsers.rst.DirectiveError: if the book has no measurements of memory.
        """
        tables = []
        for name in ("memory_compiled.csv", "memory.csv"):
            path = Path(self.env.srcdir) / _DATA / name
            self.env.note_dependency(str(path))
            try:
                tables.append(scaling.in_float32(results.read(path)))
            except (FileNotFoundError, ValueError, KeyError) as error:
                raise self.error(f"{path}: no figure of it: {error}") from error
        figure = overview(*tables)
        page = self.env.app.builder.get_relative_uri(self.env.docname, "results/memory")
        figure["layout"]["meta"]["links"] = {"how it was measured": page}
        return [nodes.raw("", figure_html(figure), format="html")]


def overview(compiled: pd.DataFrame, measured: pd.DataFrame) -> dict[str, Any]:
    """Draw the landing page's figure: the peaks of the deepest models as the study trained them.

    Args:
        compiled: rows as `compilations.compile_all` gives them, read by `results.read`; may be
            empty: then `measured` is drawn.
        measured: rows as `measurements.measure_all` gives them.

    Returns:
        A Plotly figure as JSON holds it.

    Raises:
        ValueError: if there is no row, or a column is missing.
    """
    steps = compiled if len(compiled) else measured
    if steps.empty:
        raise ValueError("figure overview: the table has no rows")
    chosen = scaling.deepest(steps)
    if len(compiled):
        rows = chosen.assign(code=CODES[0])
        rows.attrs = compiled.attrs
        figure = gpu_cost.compiled_memory(rows[[name for name in rows if name not in _UNDRAWN]])
    else:
        rows = chosen[[name for name in chosen if name not in _UNDRAWN]]
        rows.attrs = measured.attrs
        figure = cost.memory(rows)
    drawn: dict[str, Any] = json.loads(figure.update_layout(height=HEIGHT_PX).to_json())
    drawn["layout"]["meta"]["caption"] = results.caption_of(chosen)
    return drawn


_UNDRAWN = ("commit", "time_utc", "message")
"""What a hover need not show: the line below the figure has it, and the page stays light."""


def _memory(compiled: pd.DataFrame, measured: pd.DataFrame) -> str:
    """Of the first card that steps were compiled for, or else of what they were run on."""
    if compiled.empty:
        run = scaling.in_float32(measured)
        return answers.memory(run, f"Run on {run['device'].iloc[0]}")
    of_card = compiled[compiled["device"] == compiled["device"].iloc[0]]
    card = scaling.in_float32(of_card)
    return answers.memory(card, f"{card['device_label'].iloc[0]}, compiled and not run")


def _time(ran: pd.DataFrame) -> str:
    own = scaling.in_float32(gpu_steps.steps_of_this_package(ran))
    return answers.time(own, f"Run on an {own['ran_on'].iloc[0]}")


def _distance(used: pd.DataFrame) -> str:
    lengths_bp = sorted(bp for bp in used["sequence_length_bp"].unique() if bp)
    middle_bp = lengths_bp[len(lengths_bp) // 2]
    return answers.distance(used[used["sequence_length_bp"] == middle_bp])


_ANSWERS: dict[str, tuple[tuple[str, ...], Callable[..., str]]] = {
    "memory": (("memory_compiled.csv", "memory.csv"), _memory),
    "time": (("steps_on_gpu.csv",), _time),
    "accuracy": (("finetuning_causes.csv",), answers.accuracy),
    "distance": (("receptive_field_use.csv",), _distance),
    "trained-enformer": (("finetuning_causes.csv",), answers.trained_enformer),
}
"""From which tables each is made, and how."""

_UNKNOWN = "The results of this run do not tell."


def _path(book: Path, file: str) -> Path:
    """Of a table of the results, or of the benchmarks, which no run changes."""
    of_benchmark = notebooks.ROOT / "benchmarks" / "results" / file
    return of_benchmark if of_benchmark.exists() else book / _DATA / file


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.add_directive("memory-overview", MemoryOverview)
    app.add_directive("answer", Answer)
