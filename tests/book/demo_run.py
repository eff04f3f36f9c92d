"""The content of a small run: notebooks with figures, tables of memory."""

import json
import math

import pandas as pd
import plotly.graph_objects as go
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from provenance_example import PROVENANCE

from senformer.report import tables
from senformer.workflow.executed_notebooks import PLOTLY_MIME

HOSTILE_PAGE = "finetuning"
HOSTILE_TEXT = (
    "</p><script>window.ran=1</script>\n\n```{literalinclude} ../../../pyproject.toml\n```\n"
    ":::{include} ../index.md\n:::\n{{ title }} ${HOME} `x` [x](javascript:y) &amp; *b* {x}`y`"
)
OF_A_HOSTILE_USER = PROVENANCE | {
    **dict.fromkeys(("data", "version", "commit", "device"), HOSTILE_TEXT),
    "libraries": {"python": HOSTILE_TEXT},
    "parameters": {"seed": 0, "data": HOSTILE_TEXT, "enformer_checkpoint": HOSTILE_TEXT},
}


def output(mime, content, **others):
    return new_output("display_data", data={mime: content, **others})


def plotly_output(title):
    figure = go.Figure(
        [go.Scatter(x=[131_072, 262_144], y=[1.0, 2.0]), go.Heatmap(z=[[1, 2], [3, 4]])],
        layout={"title": {"text": title}, "width": 900, "height": 300},
    )
    return output(
        PLOTLY_MIME, json.loads(figure.to_json()), **{"text/html": "<b>a second form</b>"}
    )


def measured_memory():
    """Return peaks that are linear in the length, and quadratic for dense attention."""
    rows = [
        {
            "attention": attention,
            "trainable": "attention",
            "num_transformer_layers": layers,
            "channels": 256,
            "batch_size": 1,
            "compute_dtype": "float32",
            "sequence_length_bp": length,
            "peak_memory_gb": 0.1
            + length / 1e6 * layers
            + (attention == "dense") * length**2 / 1e11,
            "status": "ok",
            "device": "a test's device",
        }
        for attention in ("dense", "bigbird")
        for layers in (1, 4)
        for length in (16_384, 65_536, 131_072, 262_144)
    ]
    return pd.DataFrame(rows)


def compiled_memory():
    """Return peaks for a card of 1 GB; the longest steps do not fit."""
    card = {"device": "card", "device_label": "A card (1 GB)", "device_memory_gb": 1.0}
    compiled = measured_memory().assign(**card)
    fits = compiled["peak_memory_gb"] <= 1
    return compiled.assign(status=fits.map({True: "compiled", False: "out_of_memory"}))


def results_notebook(name, num_figures):
    """Return an executed notebook with `num_figures` figures and one more in a fold."""
    anchor = f"verdicts-{name}"
    wide = "".join(f"<td>column_{i}</td>" for i in range(40))
    numbers = [1000, math.nan, *range(12, 0, -1)]
    long = pd.DataFrame({"name": [f"row {n}" for n in range(14)], "number": numbers})

    def code(source, *outputs, tags=()):
        return new_code_cell(
            source, execution_count=1, outputs=list(outputs), metadata={"tags": list(tags)}
        )

    def markdown(source, *tags):
        return new_markdown_cell(source, metadata={"tags": list(tags)})

    answer = f"The answer, and [how](#{anchor.replace('_', '-')})."
    cells = [
        markdown(f"# Title of {name}"),
        code("seed = 0", tags=["parameters"]),
        code("seed = 1", tags=["injected-parameters"]),
        code("answers", output("text/markdown", answer), tags=["answer"]),
        *(
            code(
                "figure",
                plotly_output(f"{name} {index}"),
                tags=[f"tab: {index}"] if name == "finetuning" else [],
            )
            for index in range(num_figures)
        ),
        code("nothing_is_shown()"),
        markdown("## Folded", "folded"),
        code("a_wide_table", output("text/html", f"<table><tr>{wide}</tr></table>")),
        code("a_long_table", output("text/html", tables.show(long).data)),
        code("folded_figure", plotly_output(f"{name} folded")),
        markdown(f"({anchor})=\n## Verdicts", "folded"),
    ]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    metadata |= {"language_info": {"name": "python"}}
    metadata |= {"papermill": {"parameters": {"parameters": PROVENANCE["parameters"]}}}
    return new_notebook(cells=cells, metadata=metadata)
