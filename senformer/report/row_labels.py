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

ENFORMER = "Enformer"
"""Column `model` of fine-tuning: the model that all others are compared with."""

NEW_ATTENTION = "S-Enformer, new attention"
"""Column `model` of fine-tuning: S-Enformer whose attention starts at random, as in the study."""

WARM_START = "S-Enformer, warm start"
"""Column `model` of fine-tuning: S-Enformer that starts with Enformer's attention weights."""

OVER_TYPES = "mean of the types"
"""Column `track_type`: the mean of r over the track types."""

POOLED_TRACKS = "all tracks of a type"
"""Column `r_over` of correlations: one r over all tracks of a type, as the study's code does."""

ALL_STUDY_CHOICES = "the study's"
"""Column `choice` of reproduction: all of the study's evaluation choices together."""

EXPERIMENT = "experiment"
"""Column `source` of track profiles: the measured track, not a model's prediction."""
