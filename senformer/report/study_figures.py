"""The index of the study's figures: page, notebook, function and table of each."""

from senformer.report.figures import accuracy, cost, gpu_cost, reach
from senformer.report.figures.builders import REGISTERED

__all__ = ["STUDY_FIGURES", "accuracy", "cost", "gpu_cost", "reach"]

STUDY_FIGURES = tuple(sorted(REGISTERED, key=lambda figure: figure.number))
"""All eight figures in order, as `builders.study_figure` registered them on import."""
