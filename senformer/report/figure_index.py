"""Where each of the study's figures is here: its page, its notebook, its function and its table."""

from __future__ import annotations

from typing import NamedTuple

_FIGURES = "senformer.report.figures"


class StudyFigure(NamedTuple):
    """One of the study's figures, or a part of one, as this report draws it.

    Attributes:
        number: of the study's figure.
        shows: what it shows, in a few words.
        notebook: its name; the page is `results/<notebook>`.
        function: what draws it, with its module.
        file: the table that it is drawn from, in `book/results/data/`.
    """

    number: int
    shows: str
    notebook: str
    function: str
    file: str


STUDY_FIGURES = (
    StudyFigure(
        1,
        "peak memory by length, for a GPU",
        "memory",
        f"{_FIGURES}.on_gpu.memory",
        "memory_compiled.csv",
    ),
    StudyFigure(
        1, "peak memory by length, on a CPU", "memory", f"{_FIGURES}.cost.memory", "memory.csv"
    ),
    StudyFigure(
        2,
        "memory of a further layer",
        "memory",
        f"{_FIGURES}.on_gpu.layer_memory",
        "memory_compiled.csv",
    ),
    StudyFigure(
        3,
        "time of a step by length, on a CPU",
        "runtime",
        f"{_FIGURES}.cost.runtime",
        "runtime.csv",
    ),
    StudyFigure(
        3,
        "least time of a step by length, for a GPU",
        "runtime",
        f"{_FIGURES}.on_gpu.kernels_and_time",
        "runtime_compiled.csv",
    ),
    StudyFigure(
        4,
        "what each choice in the evaluation changes",
        "reproduction",
        f"{_FIGURES}.accuracy.protocol_changes",
        "reproduction.csv",
    ),
    StudyFigure(
        5,
        "accuracy after training",
        "finetuning",
        f"{_FIGURES}.accuracy.finetuned",
        "finetuning_held_out.csv",
    ),
    StudyFigure(
        5,
        "accuracy during training",
        "finetuning",
        f"{_FIGURES}.accuracy.finetuning",
        "finetuning.csv",
    ),
    StudyFigure(
        6,
        "both models sequence by sequence",
        "correlation",
        f"{_FIGURES}.accuracy.correlation",
        "correlation.csv",
    ),
    StudyFigure(
        7,
        "tracks along a sequence",
        "correlation",
        f"{_FIGURES}.accuracy.track_profiles",
        "correlation_tracks.csv",
    ),
    StudyFigure(
        8,
        "how far a change of one base reaches",
        "receptive_field",
        f"{_FIGURES}.reach.receptive_field",
        "receptive_field.csv",
    ),
)
"""All eight figures, in order."""
