"""What the study's own stored results say: of who is ahead, and of its claims about them.

Its Figures 6 and 8 stand on 1,413 sequences and 18 curves that travel with this project. Judged on
these, a claim is held against the study's measurements; whether this project's models and code
agree is another question, which `correlation` and `receptive_field.judgement` answer.
"""

from __future__ import annotations

import pandas as pd

from senformer.evaluation.per_sequence import compare_per_sequence
from senformer.experiments.receptive_field.curves import (
    MODELS,
    NO_SPREAD,
    effect_by_position,
    favours_the_ends,
    greatest_steps,
    shape_beside_enformers,
    shape_of_curves,
)
from senformer.study import claims, published_tables
from senformer.study.verdicts import STORED, Judgement, judgement, table


def compare(per_sequence: pd.DataFrame) -> pd.DataFrame:
    """Compare both models' r by track type: how high, how alike, who is ahead.

    Args:
        per_sequence: from `published_tables.read_correlation_per_sequence`.

    Returns:
        The columns of `compare_per_sequence`, and after track_type each model's mean r over the
        sequences, enformer_mean_r and senformer_mean_r, and the standard deviation over the
        sequences of their difference, difference_sd.
    """
    compared = compare_per_sequence(per_sequence)
    models = per_sequence[["enformer_pearson_r", "senformer_pearson_r"]]
    with_difference = models.assign(difference=models.iloc[:, 1] - models.iloc[:, 0])
    of_type = with_difference.groupby(per_sequence["track_type"])
    means, deviations = of_type.mean(), of_type.std(ddof=0)
    numbers = pd.DataFrame(
        {
            "enformer_mean_r": means["enformer_pearson_r"],
            "senformer_mean_r": means["senformer_pearson_r"],
            "difference_sd": deviations["difference"],
        }
    )
    beside = numbers.reset_index().merge(compared, on="track_type")
    return beside.set_index("track_type").loc[compared["track_type"]].reset_index()


def who_is_ahead(compared: pd.DataFrame) -> str:
    """Say in words which model is ahead, by how much, and in how many sequences.

    Args:
        compared: from `compare`.
    """
    behind = compared["enformer_mean_r"] - compared["senformer_mean_r"]
    of_type = compared.set_index("track_type")
    return (
        f"Enformer's mean r is the higher for {int((behind > 0).sum())} of {len(compared)} types "
        f"of track, by {_span(behind.set_axis(of_type.index), '.3f')}. S-Enformer is ahead in "
        f"{_span(of_type['share_senformer_ahead'], '.1%')} of the sequences, while r between the "
        f"models is {_span(of_type['pearson_r'], '.3f')}."
    )


def judge_correlation_claims(compared: pd.DataFrame) -> pd.DataFrame:
    """Judge what the study states of its Figure 6 by the sequences that it stored.

    A number agrees when it is the claimed one in as many digits. How r was taken, and whether
    predictions are too high, cannot be read off an r.

    Args:
        compared: from `compare`.

    Returns:
        One row of `claims.COLUMNS` per claim.
    """
    of_type = compared.set_index("track_type")
    rows = []
    for name, track_type in claims.TRACK_TYPE_NAMES.items():
        r = float(of_type["pearson_r"][track_type])
        ahead_percent = 100 * float(of_type["share_senformer_ahead"][track_type])
        rows.append(_number(f"correlation.{name}_pearson_r", r, digits=3))
        rows.append(_number(f"correlation.{name}_ahead_percent", ahead_percent, digits=1))
    num_sequences = int(compared["num_sequences"].max())
    for key in ("num_sequences_stated", "num_sequences_stored"):
        rows.append(_number(f"correlation.{key}", num_sequences, digits=0))
    return table(rows)


def where_it_reaches(curves: pd.DataFrame) -> str:
    """Say in words whose effect is the greater where, and where S-Enformer's curves step.

    Args:
        curves: from `published_tables.read_receptive_field`.
    """
    effect = effect_by_position(curves)
    greater_at, _ = favours_the_ends(effect)
    steps, _ = _steps(curves)
    ratio = effect["senformer_over_enformer"]
    others = 1 / ratio[ratio <= 1]
    return (
        f"{greater_at[0].upper()}{greater_at[1:]}, by {ratio.max() - 1:.1%} at most; when another "
        f"is, Enformer's is {others.min():.1f} to {others.max():.1f} times as large. {steps}."
    )


def judge_receptive_field_claims(curves: pd.DataFrame) -> pd.DataFrame:
    """Judge what the study states of its Figure 8 by the curves that it stored.

    Args:
        curves: from `published_tables.read_receptive_field`.

    Returns:
        One row of `claims.COLUMNS` per claim. How many sequences a curve is the mean of, and by
        which bases one was replaced, the curves do not tell.
    """
    num_positions = int(curves["mutation_position_bp"].nunique())
    least = curves.groupby("model")["abs_change"].min()
    shape, has_the_shape = shape_beside_enformers(shape_of_curves(curves))
    greater_at, favours = favours_the_ends(effect_by_position(curves))
    steps, are_of_blocks = _steps(curves)
    full = "least change of a bin: " + ", ".join(f"{m} {least[m]:.1e}" for m in MODELS)
    key = "receptive_field"
    return table(
        [
            _number(f"{key}.num_positions", num_positions, digits=0),
            judgement(
                f"{key}.full",
                STORED,
                full,
                None if (least > 0).all() else False,
                reason="no control for rounding was stored.",
            ),
            _open_without_spread(f"{key}.shape", shape, has_the_shape),
            _open_without_spread(f"{key}.towards_ends", greater_at, favours),
            judgement(f"{key}.code_leading_blocks", STORED, steps, are_of_blocks),
        ]
    )


def judge_claims() -> pd.DataFrame:
    """Judge every claim that the study's stored results speak of, for the page of claims."""
    compared = compare(published_tables.read_correlation_per_sequence())
    curves = published_tables.read_receptive_field()
    judged = [judge_correlation_claims(compared), judge_receptive_field_claims(curves)]
    return pd.concat(judged, ignore_index=True)


def _number(key: str, measured: float, *, digits: int) -> Judgement:
    return judgement(key, STORED, measured, round(measured, digits) == claims.get_value(key))


def _open_without_spread(key: str, measured: str, agrees: bool | None) -> Judgement:
    return judgement(key, STORED, measured, agrees, reason=NO_SPREAD if agrees is None else "")


def _span(of_type: pd.Series, text: str) -> str:
    """The least and the greatest of some values, with the types of track that they are of."""
    ordered = of_type.sort_values()
    ends = zip(ordered.index[[0, -1]], ordered.iloc[[0, -1]], strict=True)
    return " to ".join(f"{value:{text}} ({name})" for name, value in ends)


def _steps(curves: pd.DataFrame) -> tuple[str, bool]:
    """Where curves step most, and whether S-Enformer's do where blocks meet and Enformer's not."""
    steps = greatest_steps(curves)
    is_of_blocks = steps["step_where_blocks_meet"] > steps["step_elsewhere"]
    share = is_of_blocks.groupby(steps["model"]).mean()
    count = is_of_blocks.groupby(steps["model"]).sum()
    enformer, senformer = MODELS
    of_senformer = steps[steps["model"] == senformer]
    said = (
        f"{senformer}'s curves step most where blocks of tokens meet for {count[senformer]} of "
        f"{len(of_senformer)} positions (up to {of_senformer['step_where_blocks_meet'].max():.1f} "
        f"times, elsewhere {of_senformer['step_elsewhere'].max():.1f}), {enformer}'s for "
        f"{count[enformer]}"
    )
    return said, bool(share[enformer] < 0.5 < share[senformer])
