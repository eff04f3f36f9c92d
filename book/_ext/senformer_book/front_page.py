"""Answer the report's questions on the landing page, from the tables of the results pages.

Each answer is a sentence that `senformer.experiments.answers` writes from numbers.
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

_UNKNOWN = "The results of this run do not answer this question."
_HOVER_OMITS = ("commit", "time_utc", "message")


def answer_memory(compiled: pd.DataFrame, measured: pd.DataFrame) -> str:
    """Answer for the first card with compiled steps, else for the device that was measured."""
    if compiled.empty:
        run = scaling.select_float32(measured)
        return answers.answer_memory(run, f"Run on {run['device'].iloc[0]}")
    first_card = compiled[compiled["device"] == compiled["device"].iloc[0]]
    card = scaling.select_float32(first_card)
    return answers.answer_memory(card, f"{card['device_label'].iloc[0]}, compiled and not run")


def answer_time(steps: pd.DataFrame) -> str:
    """Answer from the steps of this package that ran on a GPU."""
    own = scaling.select_float32(gpu_steps.steps_of_this_package(steps))
    return answers.answer_runtime(own, f"Run on an {own['ran_on'].iloc[0]}")


def answer_distance(use: pd.DataFrame) -> str:
    """Answer for the input length in the middle of those measured."""
    lengths_bp = sorted(bp for bp in use["sequence_length_bp"].unique() if bp)
    middle_bp = lengths_bp[len(lengths_bp) // 2]
    return answers.answer_receptive_field(use[use["sequence_length_bp"] == middle_bp])


ANSWERS: dict[str, tuple[tuple[str, ...], Callable[..., str]]] = {
    "memory": (("memory_compiled.csv", "memory.csv"), answer_memory),
    "time": (("steps_on_gpu.csv",), answer_time),
    "accuracy": (("finetuning_ablations.csv",), answers.answer_finetuning),
    "distance": (("receptive_field_use.csv",), answer_distance),
    "trained-enformer": (("finetuning_ablations.csv",), answers.answer_warm_start),
}
"""Tables and function of each answer."""


class Answer(SphinxDirective):
    """The directive `answer`: one of `ANSWERS`, or a sentence that says that it is unknown."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build a paragraph.

        Raises:
            docutils.parsers.rst.DirectiveError: If there is no answer of this name.
        """
        [name] = self.arguments
        if name not in ANSWERS:
            raise self.error(
                f"answer {name!r} does not exist; expected one of {', '.join(ANSWERS)}"
            )
        files, answer = ANSWERS[name]
        paths = [_table_path(Path(self.env.srcdir), file) for file in files]
        for path in paths:
            self.env.note_dependency(str(path))
        is_known = all(path.exists() for path in paths)
        sentence = answer(*map(results.read, paths)) if is_known else _UNKNOWN
        text, _ = self.state.inline_text(sentence, self.lineno)
        return [nodes.paragraph("", "", *text, classes=["answer"])]


class MemoryOverview(SphinxDirective):
    """The directive `memory-overview`: the figure of `overview` with a link to its page."""

    def run(self) -> list[nodes.Node]:
        """Build the figure's node.

        Raises:
            docutils.parsers.rst.DirectiveError: If the book has no measurements of memory.
        """
        tables = []
        for name in ("memory_compiled.csv", "memory.csv"):
            path = Path(self.env.srcdir) / "results/data" / name
            self.env.note_dependency(str(path))
            try:
                tables.append(scaling.select_float32(results.read(path)))
            except (FileNotFoundError, ValueError, KeyError) as error:
                raise self.error(f"memory-overview: cannot draw {path}: {error}") from error
        figure = overview(*tables)
        page = self.env.app.builder.get_relative_uri(self.env.docname, "results/memory")
        figure["layout"]["meta"]["links"] = {"how it was measured": page}
        return [nodes.raw("", figure_html(figure), format="html")]


def overview(compiled: pd.DataFrame, measured: pd.DataFrame) -> dict[str, Any]:
    """Draw the peak memory of the deepest models, trained as in the study.

    Args:
        compiled: Rows of `compilations.compile_all`, read with `results.read`; if empty, the
            figure shows `measured`.
        measured: Rows of `measurements.measure_all`.

    Returns:
        A Plotly figure as a JSON object.

    Raises:
        ValueError: If there are no rows or a column is missing.
    """
    steps = compiled if len(compiled) else measured
    if steps.empty:
        raise ValueError("figure overview: the table has no rows")
    deepest = scaling.select_deepest(steps)
    rows = deepest[[name for name in deepest if name not in _HOVER_OMITS]]
    rows.attrs = steps.attrs
    figure = (
        gpu_cost.compiled_memory(rows.assign(code=CODES[0])) if len(compiled) else cost.memory(rows)
    )
    drawn: dict[str, Any] = json.loads(figure.update_layout(height=HEIGHT_PX).to_json())
    drawn["layout"]["meta"]["caption"] = results.caption_of(deepest)
    return drawn


def _table_path(book: Path, file: str) -> Path:
    """Return the path of a table of the benchmarks, which no run changes, or of the results."""
    benchmark = notebooks.ROOT / "benchmarks" / "results" / file
    return benchmark if benchmark.exists() else book / "results/data" / file


def setup(app: Sphinx) -> None:
    """Register the directives."""
    app.add_directive("memory-overview", MemoryOverview)
    app.add_directive("answer", Answer)
