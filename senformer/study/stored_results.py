"""Analyse the study's stored results: 1,413 sequences (Figure 6) and 18 curves (Figure 8)."""

from __future__ import annotations

import pandas as pd

from senformer.evaluation.per_sequence import compare_per_sequence
from senformer.study.effect_curves import compare_effects, compare_steps, effect_by_position


def compare_correlations(per_sequence: pd.DataFrame) -> pd.DataFrame:
    """Compare both models' r by track type.

    Args:
        per_sequence: From `published_tables.read_correlation_per_sequence`.

    Returns:
        The columns of `compare_per_sequence`, and after track_type each model's mean r over the
        sequences, enformer_mean_r and senformer_mean_r, and the standard deviation over the
        sequences of their difference, difference_sd.
    """
    compared = compare_per_sequence(per_sequence)
    models = per_sequence[["enformer_pearson_r", "senformer_pearson_r"]]
    with_difference = models.assign(difference=models.iloc[:, 1] - models.iloc[:, 0])
    by_type = with_difference.groupby(per_sequence["track_type"])
    means, deviations = by_type.mean(), by_type.std(ddof=0)
    numbers = pd.DataFrame(
        {
            "enformer_mean_r": means["enformer_pearson_r"],
            "senformer_mean_r": means["senformer_pearson_r"],
            "difference_sd": deviations["difference"],
        }
    )
    merged = numbers.reset_index().merge(compared, on="track_type")
    return merged.set_index("track_type").loc[compared["track_type"]].reset_index()


def describe_correlations(compared: pd.DataFrame) -> str:
    """Write which model is ahead, by how much, and in how many sequences.

    Args:
        compared: From `compare_correlations`.
    """
    by_type = compared.set_index("track_type")
    drop = by_type["enformer_mean_r"] - by_type["senformer_mean_r"]
    return (
        f"Enformer's mean r is the higher for {int((drop > 0).sum())} of {len(compared)} types of "
        f"track, by {_format_range(drop, '.3f')}. S-Enformer is ahead in "
        f"{_format_range(by_type['share_senformer_ahead'], '.1%')} of the sequences, while r "
        f"between the models is {_format_range(by_type['pearson_r'], '.3f')}."
    )


def describe_receptive_field(curves: pd.DataFrame) -> str:
    """Write which model's effect is greater at which positions, and where S-Enformer's curves step.

    Args:
        curves: From `published_tables.read_receptive_field`.
    """
    effect = effect_by_position(curves)
    greater_at, _ = compare_effects(effect)
    steps, _ = compare_steps(curves)
    ratio = effect["senformer_over_enformer"]
    others = 1 / ratio[ratio <= 1]
    return (
        f"{greater_at[0].upper()}{greater_at[1:]}, by {ratio.max() - 1:.1%} at most; when another "
        f"is, Enformer's is {others.min():.1f} to {others.max():.1f} times as large. {steps}."
    )


def _format_range(by_type: pd.Series, text: str) -> str:
    """Write the smallest and the largest value with their track types."""
    ordered = by_type.sort_values().iloc[[0, -1]]
    return " to ".join(f"{value:{text}} ({name})" for name, value in ordered.items())
