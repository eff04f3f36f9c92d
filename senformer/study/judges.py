"""Judge all claims of a notebook: one table of judges per notebook."""

from __future__ import annotations

import pandas as pd

from senformer.study import published_tables, stored_results
from senformer.study.accuracy_judges import (
    CORRELATION_JUDGES,
    FINETUNING_JUDGES,
    REPRODUCTION_JUDGES,
    STORED_CORRELATION_JUDGES,
)
from senformer.study.arena_judges import ARENA_JUDGES
from senformer.study.cost_judges import MEMORY_JUDGES, RUNTIME_JUDGES
from senformer.study.effect_judges import (
    RECEPTIVE_FIELD_JUDGES,
    STORED_RECEPTIVE_FIELD_JUDGES,
)
from senformer.study.verdicts import Judge, Tables, apply_judges

JUDGES: dict[str, tuple[Judge, ...]] = {
    "memory": MEMORY_JUDGES,
    "runtime": (*RUNTIME_JUDGES, *ARENA_JUDGES),
    "reproduction": REPRODUCTION_JUDGES,
    "finetuning": FINETUNING_JUDGES,
    "correlation": CORRELATION_JUDGES,
    "receptive_field": RECEPTIVE_FIELD_JUDGES,
}
"""Judges by notebook; each judge documents the tables that it takes."""


def judge_claims(notebook: str, tables: Tables, difference: str = "") -> pd.DataFrame:
    """Judge the study's claims about the topic of a notebook.

    Args:
        notebook: A key of `JUDGES`.
        tables: Tables by name, as the judges of the notebook take them.
        difference: From `comparability.describe_differences`; empty if the run can judge claims.

    Returns:
        A table with `verdicts.COLUMNS`, in the order of the judges.
    """
    return apply_judges(JUDGES[notebook], tables, difference)


def judge_stored_correlations(compared: pd.DataFrame) -> pd.DataFrame:
    """Judge the study's claims about its Figure 6 by the sequences that it stored.

    Args:
        compared: From `stored_results.compare_correlations`.
    """
    return apply_judges(STORED_CORRELATION_JUDGES, {"compared": compared})


def judge_stored_receptive_field(changes: pd.DataFrame) -> pd.DataFrame:
    """Judge the study's claims about its Figure 8 by the curves that it stored.

    Args:
        changes: From `published_tables.read_receptive_field`.
    """
    return apply_judges(STORED_RECEPTIVE_FIELD_JUDGES, {"changes": changes})


def judge_stored_results() -> pd.DataFrame:
    """Judge all claims that the study's stored results can judge, for the page of claims."""
    stored = published_tables.read_correlation_per_sequence()
    judged = [
        judge_stored_correlations(stored_results.compare_correlations(stored)),
        judge_stored_receptive_field(published_tables.read_receptive_field()),
    ]
    return pd.concat(judged, ignore_index=True)
