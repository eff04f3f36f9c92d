"""Judge what the study says about the Long-Range Arena by the Arena's own table.

Nothing that this project measures bears on these claims.
"""

from __future__ import annotations

import pandas as pd

from senformer.study.claims import get_value
from senformer.study.published_tables import FULL_TRANSFORMER
from senformer.study.verdicts import STORED, Found, Judge, Tables

BIGBIRD = "BigBird"
"""Name of the study's attention in the Arena's table."""

SLOW_AT_FIRST = ("Performer", "Reformer")
"""Further models that the study calls slower up to some length."""


def judge_tokens(tables: Tables) -> Found:
    """Tell whether BigBird is slower up to the claimed length and faster beyond."""
    arena = tables["arena"]
    rows = arena[arena["model"] == BIGBIRD]
    is_slower = rows["speed_over_transformer"] < 1
    is_short = rows["tokens"] <= get_value("runtime.long_range_arena_tokens")
    return Found(describe_speed(arena, BIGBIRD), bool((is_slower == is_short).all()))


def judge_rank(tables: Tables) -> Found:
    """Tell whether BigBird is the second slowest efficient transformer at each length."""
    arena = tables["arena"]
    efficient = arena[arena["model"] != FULL_TRANSFORMER]
    rank = efficient.groupby("tokens")["steps_per_second"].rank(method="min")
    is_second = rank[efficient["model"] == BIGBIRD] == 2
    count = efficient["model"].nunique()
    measured = f"second slowest of {count} at {is_second.sum()} of {len(is_second)} lengths"
    return Found(measured, bool(is_second.all()))


def judge_slow_at_first(tables: Tables) -> Found:
    """Tell whether Performer and Reformer are slower at the shortest and faster at the longest."""
    arena = tables["arena"]
    measured = "; ".join(f"{model}: {describe_speed(arena, model)}" for model in SLOW_AT_FIRST)
    by_model = arena.sort_values("tokens").groupby("model")["speed_over_transformer"]
    shortest, longest = by_model.first(), by_model.last()
    agrees = all(shortest[model] < 1 < longest[model] for model in SLOW_AT_FIRST)
    return Found(measured, agrees)


def describe_arena(arena: pd.DataFrame) -> str:
    """Write where the models that the study names are faster, and how much memory they take.

    Args:
        arena: From `published_tables.read_long_range_arena`.
    """
    models = (BIGBIRD, *SLOW_AT_FIRST)
    speeds = ". ".join(f"{model} is {describe_speed(arena, model)}" for model in models)
    by_model = arena.groupby("model")["memory_over_transformer"]
    memory = ", ".join(
        f"{model} {_format_range(by_model.get_group(model), digits=2)}" for model in models
    )
    return f"Compared with the full Transformer, {speeds}. Of its memory they take: {memory}."


def describe_speed(arena: pd.DataFrame, model: str) -> str:
    """Write where a model is slower than the full Transformer, where faster, and where they cross.

    Args:
        arena: From `published_tables.read_long_range_arena`.
        model: A model of the table.
    """
    rows = arena[arena["model"] == model].sort_values("tokens")
    speed, tokens = rows["speed_over_transformer"], list(rows["tokens"])
    is_faster = speed > 1
    phrases = []
    for word, selected in (("slower", ~is_faster), ("faster", is_faster)):
        if selected.any():
            lengths = " and ".join(f"{number:,}" for number in rows.loc[selected, "tokens"])
            where = f"{lengths} tokens"
            if selected.all():
                where = f"every length from {min(tokens):,} to {max(tokens):,} tokens"
            times = _format_range(speed[selected], digits=1)
            phrases.append(f"{word} at {where} ({times} times as fast)")
    neighbours = zip(tokens, tokens[1:], is_faster, is_faster[1:], strict=False)
    phrases += [
        f"crossing between {before:,} and {after:,}"
        for before, after, was_faster, is_now_faster in neighbours
        if was_faster != is_now_faster
    ]
    return ", ".join(phrases)


def _format_range(values: pd.Series, *, digits: int) -> str:
    return f"{values.min():.{digits}f} to {values.max():.{digits}f}"


ARENA_JUDGES = (
    Judge("runtime.long_range_arena_tokens", STORED, judge_tokens, difference=""),
    Judge("runtime.long_range_arena_rank", STORED, judge_rank, difference=""),
    Judge("runtime.linear_memory_costs_time", STORED, judge_slow_at_first, difference=""),
)
"""Judges of table `arena`, from `published_tables.read_long_range_arena`."""
