"""Values of label columns that a table's writer and its figure share."""

ORIGINS = ("measured", "published code", "study")
"""Column `origin` of memory and time: measured here, the study's code measured here, or a number
that the study states.
"""

CODES = ("this package", "published")
"""Column `code` of steps on a GPU: whose implementation of the model the step runs."""

CEILING = "ceiling"
"""Column `attention`: the best possible prediction from an input of the row's length."""

NO_ENHANCER = "no enhancer"
"""Column `attention`: the best possible prediction by a model that ignores enhancers."""

EXPERIMENT = "experiment"
"""Column `source` of track profiles: the measured track, not a model's prediction."""
