"""Whether a run can be held against the study: its sizes, and how a claim's judgement is worded.

A claim is judged by models, inputs and data like the study's alone. Whatever a run lacks for that
is said in one sentence, the same on every page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from senformer.config import ModelConfig, preset
from senformer.data.record_folders import RecordFolder
from senformer.experiments.run_data import TEST_SPLIT
from senformer.study import claims

NUM_LAYERS = preset("enformer").num_transformer_layers
"""Transformer layers of the study's models."""

_STEP = {
    "channels": preset("enformer").channels,
    "trainable": "attention",
    "batch_size": 1,
}
_UNITS = {
    "channels": "channels",
    "trainable": "trained",
    "batch_size": "sequences a step",
    "num_transformer_layers": "layers",
    "attention": "attention",
}


class NotComparableError(Exception):
    """A run cannot judge a claim; the message says why."""


def unlike_the_study(
    config: ModelConfig,
    *,
    sequence_length_bp: int | None = None,
    attention: str | None = None,
    records: RecordFolder | None = None,
    num_test_sequences: int | None = None,
    num_finetuning_examples: int | None = None,
    num_random_sequences: int | None = None,
    published_weights: bool | None = None,
) -> str:
    """Say why what a run measures can not be held against what the study states.

    Name what the claims speak of; what is left out is not looked at.

    Args:
        config: The run's model; its width and its layers have to be the study's.
        sequence_length_bp: Length of its input.
        attention: The kind of attention that the study's model had, where claims are about it.
        records: What it is evaluated on: their tracks and their test sequences.
        num_test_sequences: How many of these; `None` is all.
        num_finetuning_examples: Of each organism; the study's or more.
        num_random_sequences: In which bases are changed; the study's or more.
        published_weights: Whether its weights are those that DeepMind published.

    Returns:
        A sentence that names each difference, or nothing where there is none.
    """
    study = preset("enformer")
    pairs: list[tuple[Any, Any, str]] = [
        (config.channels, study.channels, "channels"),
        (config.num_transformer_layers, NUM_LAYERS, "layers"),
    ]
    if attention is not None:
        pairs.append((config.attention, attention, "attention"))
    if sequence_length_bp is not None:
        pairs.append((sequence_length_bp, claims.SEQUENCE_LENGTH_BP, "bp"))
    if records is not None:
        num_here = len(records.intervals_of(TEST_SPLIT)[:num_test_sequences])
        pairs.append((records.num_tracks, _num_tracks(), "tracks"))
        pairs.append((num_here, int(claims.get_value("data.human_test")), "test sequences"))
    if num_finetuning_examples is not None:
        needed = _num_finetuning_examples()
        done = min(num_finetuning_examples, needed)
        pairs.append((done, needed, "examples of each organism"))
    if num_random_sequences is not None:
        needed = int(claims.get_value("receptive_field.num_sequences"))
        pairs.append((min(num_random_sequences, needed), needed, "random sequences"))
    differences = [_instead([here], there, unit) for here, there, unit in pairs if here != there]
    if published_weights is False:
        differences.append("weights trained in this run instead of the published ones")
    return _sentence(differences)


def steps_like_the_studys(
    measured: pd.DataFrame, attention: str, num_transformer_layers: int = NUM_LAYERS
) -> pd.DataFrame:
    """Select the measurements of the study's kind: its width, attention trained, batch 1.

    Args:
        measured: One row per measurement, as `measurements.measure_all` gives them.
        attention: The kind of attention that a claim speaks of.
        num_transformer_layers: The number of layers that it speaks of.

    Returns:
        Those rows, by the length of the input.

    Raises:
        NotComparableError: If there are none; the message says what was measured instead.
    """
    wanted = {
        **_STEP,
        "num_transformer_layers": num_transformer_layers,
        "attention": attention,
    }
    rows = measured
    for column, value in wanted.items():
        present = list(dict.fromkeys(rows[column]))
        rows = rows[rows[column] == value]
        if rows.empty:
            raise NotComparableError(_sentence([_instead(present, value, _UNITS[column])]))
    return rows.sort_values("sequence_length_bp")


def _num_tracks() -> int:
    return int(sum(claims.get_value(f"data.human_{key}") for key in claims.TRACK_TYPE_NAMES))


def _num_finetuning_examples() -> int:
    num_steps = claims.get_value("finetuning.num_steps")
    return int(num_steps * claims.get_value("finetuning.batch_size"))


def _instead(present: Sequence[Any], needed: Any, unit: str) -> str:
    if list(present) == [1]:
        unit = re.sub(r"(\w)s\b", r"\1", unit, count=1)
    return f"{' and '.join(map(_text, present))} {unit} instead of {_text(needed)}"


def _sentence(differences: list[str]) -> str:
    return f"here {', '.join(differences)}." if differences else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{int(value):,}"
