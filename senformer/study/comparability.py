"""Tell whether a run's settings are the study's, so that the run can judge a claim."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from senformer.config import ModelConfig, preset
from senformer.study import claims
from senformer.study.verdicts import NotComparableError

NUM_LAYERS = preset("enformer").num_transformer_layers
"""Number of transformer layers of the study's models."""


class _Setting(NamedTuple):
    """A setting of the study: its value, the unit in a sentence, and whether more is as good."""

    value: Any
    unit: str
    is_minimum: bool = False


_NUM_EXAMPLES = int(
    claims.get_value("finetuning.num_steps") * claims.get_value("finetuning.batch_size")
)
_NUM_TRACKS = int(sum(claims.get_value(f"data.human_{name}") for name in claims.TRACK_TYPE_NAMES))

_SETTINGS = {
    "channels": _Setting(preset("enformer").channels, "channels"),
    "num_transformer_layers": _Setting(NUM_LAYERS, "layers"),
    "attention": _Setting(preset("senformer").attention, "attention"),
    "sequence_length_bp": _Setting(claims.SEQUENCE_LENGTH_BP, "bp"),
    "num_tracks": _Setting(_NUM_TRACKS, "tracks"),
    "num_test_sequences": _Setting(int(claims.get_value("data.human_test")), "test sequences"),
    "num_finetuning_examples": _Setting(_NUM_EXAMPLES, "examples of each organism", True),
    "num_random_sequences": _Setting(
        int(claims.get_value("receptive_field.num_sequences")), "random sequences", True
    ),
}

_STEP_UNITS = {"trainable": "trained", "batch_size": "sequences a step"}
_UNITS = {name: setting.unit for name, setting in _SETTINGS.items()} | _STEP_UNITS


def describe_differences(
    config: ModelConfig, *, uses_published_weights: bool, **settings: int | str
) -> str:
    """Describe how a run's settings differ from the study's, for the settings that matter.

    Args:
        config: The run's model; width and number of layers always matter.
        uses_published_weights: Whether the weights are those that DeepMind published.
        **settings: Further settings that matter to the claims, out of `attention`,
            `sequence_length_bp`, `num_tracks`, `num_test_sequences`, `num_finetuning_examples` (of
            each organism) and `num_random_sequences`.

    Returns:
        A sentence that names each difference; empty if there is none.
    """
    sizes = {
        "channels": config.channels,
        "num_transformer_layers": config.num_transformer_layers,
    }
    differences = []
    for name, setting in _SETTINGS.items():
        value = (sizes | settings).get(name, setting.value)
        if setting.is_minimum and value > setting.value:
            continue
        if value != setting.value:
            differences.append(_describe([value], setting.value, setting.unit))
    if not uses_published_weights:
        differences.append("weights trained in this run instead of the published ones")
    return f"here {', '.join(differences)}." if differences else ""


def select_study_steps(
    measured: pd.DataFrame, attention: str, num_transformer_layers: int = NUM_LAYERS
) -> pd.DataFrame:
    """Select training steps with the study's settings: its width, attention trained, batch 1.

    Args:
        measured: One row per measurement.
        attention: Kind of attention of the claim.
        num_transformer_layers: Number of layers of the claim.

    Returns:
        The selected rows, sorted by the length of the input.

    Raises:
        NotComparableError: If there are none; the message says what was measured instead.
    """
    wanted = {
        "channels": preset("enformer").channels,
        "trainable": "attention",
        "batch_size": 1,
        "num_transformer_layers": num_transformer_layers,
        "attention": attention,
    }
    rows = measured
    for column, value in wanted.items():
        present = list(dict.fromkeys(rows[column]))
        rows = rows[rows[column] == value]
        if rows.empty:
            raise NotComparableError(f"here {_describe(present, value, _UNITS[column])}.")
    return rows.sort_values("sequence_length_bp")


def _describe(present: Sequence[Any], expected: Any, unit: str) -> str:
    if list(present) == [1]:
        unit = re.sub(r"(\w)s\b", r"\1", unit, count=1)
    *found, wanted = (
        value if isinstance(value, str) else f"{int(value):,}" for value in (*present, expected)
    )
    return f"{' and '.join(found)} {unit} instead of {wanted}"
