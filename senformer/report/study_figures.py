"""The index of the study's figures: page, notebook, function and table of each."""

import importlib
import pkgutil

from senformer.report import figures
from senformer.report.figures.builders import REGISTERED

for module in pkgutil.iter_modules(figures.__path__, prefix=f"{figures.__name__}."):
    importlib.import_module(module.name)

STUDY_FIGURES = tuple(sorted(REGISTERED, key=lambda figure: figure.number))
"""All eight figures in order, as `builders.study_figure` registers them on import."""
