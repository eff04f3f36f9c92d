"""What the Long-Range Arena's own numbers say of the study's sentences about it.

The study compares its times with the Arena's in words. Both sentences can be held against the
Arena's table; nothing that this project measures speaks of them.
"""

from __future__ import annotations

import pandas as pd

from senformer.study import claims
from senformer.study.published_tables import FULL_TRANSFORMER
from senformer.study.verdicts import STORED, judgement, table

BIGBIRD = "BigBird"
"""What the Arena calls the study's attention."""

LIKEWISE = ("Performer", "Reformer")
"""The other models that the study says to be slower at first."""


def judge_claims(arena: pd.DataFrame) -> pd.DataFrame:
    """Judge what the study says of the Long-Range Arena by the Arena's numbers.

    Args:
        arena: from `published_tables.read_long_range_arena`.

    Returns:
        One row of `claims.COLUMNS` per claim.
    """
    judged = {
        "long_range_arena_tokens": (_speed(arena, BIGBIRD), _is_slower_until_claimed(arena)),
        "long_range_arena_rank": _second_slowest(arena),
        "linear_memory_costs_time": (
            "; ".join(f"{model}: {_speed(arena, model)}" for model in LIKEWISE),
            all(_becomes_faster(arena, model) for model in LIKEWISE),
        ),
    }
    return table(
        judgement(f"runtime.{key}", STORED, measured, agrees)
        for key, (measured, agrees) in judged.items()
    )


def conclusion(arena: pd.DataFrame) -> str:
    """Say in words where the models that the study speaks of are faster, and what memory they take.

    Args:
        arena: from `published_tables.read_long_range_arena`.
    """
    models = (BIGBIRD, *LIKEWISE)
    speeds = ". ".join(f"{model} is {_speed(arena, model)}" for model in models)
    memory = ", ".join(f"{model} {_memory(arena, model)}" for model in models)
    return f"Beside the full Transformer, {speeds}. Of its memory they take: {memory}."


def _speed(arena: pd.DataFrame, model: str) -> str:
    """Where a model is slower than the full Transformer, where faster, and where they cross."""
    rows = arena[arena["model"] == model].sort_values("tokens")
    speed, tokens = rows["speed_over_transformer"], list(rows["tokens"])
    is_faster = speed > 1
    said = [
        f"{word} at {_lengths(rows.loc[these, 'tokens'], len(rows))} "
        f"({_span(speed[these], digits=1)} times as fast)"
        for word, these in (("slower", ~is_faster), ("faster", is_faster))
        if these.any()
    ]
    turns = zip(tokens, tokens[1:], is_faster, is_faster[1:], strict=False)
    said += [
        f"crossing between {before:,} and {after:,}"
        for before, after, was, becomes in turns
        if was != becomes
    ]
    return ", ".join(said)


def _memory(arena: pd.DataFrame, model: str) -> str:
    return _span(arena.loc[arena["model"] == model, "memory_over_transformer"], digits=2)


def _lengths(tokens: pd.Series, num_measured: int) -> str:
    if len(tokens) == num_measured:
        return f"every length from {tokens.min():,} to {tokens.max():,} tokens"
    return f"{' and '.join(f'{number:,}' for number in tokens)} tokens"


def _span(values: pd.Series, *, digits: int) -> str:
    return f"{values.min():.{digits}f} to {values.max():.{digits}f}"


def _is_slower_until_claimed(arena: pd.DataFrame) -> bool:
    """Slower at every length up to the claimed one, that one included, and faster beyond."""
    claimed = claims.get_value("runtime.long_range_arena_tokens")
    rows = arena[arena["model"] == BIGBIRD]
    is_slower = rows["speed_over_transformer"] < 1
    return bool((is_slower == (rows["tokens"] <= claimed)).all())


def _becomes_faster(arena: pd.DataFrame, model: str) -> bool:
    """Slower at the shortest length and faster at the longest."""
    speeds = arena[arena["model"] == model].sort_values("tokens")["speed_over_transformer"]
    return bool(speeds.iloc[0] < 1 < speeds.iloc[-1])


def _second_slowest(arena: pd.DataFrame) -> tuple[str, bool]:
    efficient = arena[arena["model"] != FULL_TRANSFORMER]
    place = efficient.groupby("tokens")["steps_per_second"].rank(method="min")
    places = place[efficient["model"] == BIGBIRD]
    is_second = places == 2
    count = efficient["model"].nunique()
    measured = f"second slowest of {count} at {is_second.sum()} of {len(places)} lengths"
    return measured, bool(is_second.all())
