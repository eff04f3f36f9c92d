"""Judge claims about the Long-Range Arena by its own numbers and by altered ones."""

from __future__ import annotations

import pandas as pd
import pytest

from senformer.study import arena_judges, claims
from senformer.study.published_tables import read_long_range_arena
from senformer.study.verdicts import AGREES, CONTRADICTS, STORED, apply_judges


def judged(table: pd.DataFrame) -> dict[str, tuple[str, str]]:
    rows = apply_judges(arena_judges.ARENA_JUDGES, {"arena": table})
    assert set(rows["evidence"]) == {STORED}
    keys = rows["key"].str.removeprefix("runtime.")
    return dict(zip(keys, zip(rows["measured"], rows["verdict"], strict=True), strict=True))


@pytest.fixture
def table():
    return read_long_range_arena()


def with_speeds(table, model, speeds):
    changed = table.copy()
    changed.loc[changed["model"] == model, "speed_over_transformer"] = speeds
    return changed


def test_arena_agrees_only_with_the_rank(table):
    found = judged(table)
    assert found["long_range_arena_tokens"] == (
        "slower at 1,000 and 2,000 tokens (0.8 to 0.9 times as fast), faster at 3,000 and 4,000 "
        "tokens (1.1 to 1.2 times as fast), crossing between 2,000 and 3,000",
        CONTRADICTS,
    )
    assert found["long_range_arena_rank"] == ("second slowest of 8 at 4 of 4 lengths", AGREES)
    others, verdict = found["linear_memory_costs_time"]
    assert others.startswith("Performer: faster at every length from 1,000 to 4,000 tokens")
    assert "Reformer: slower at every length from 1,000 to 4,000 tokens" in others
    assert verdict == CONTRADICTS


def test_altered_speeds_change_verdicts(table):
    assert claims.get_value("runtime.long_range_arena_tokens") == 3000
    altered = with_speeds(table, "BigBird", [0.5, 0.5, 0.9, 1.1])
    for model in arena_judges.SLOW_AT_FIRST:
        altered = with_speeds(altered, model, [0.5, 0.9, 1.1, 2.0])
    is_fastest = (table["model"] == "BigBird") & (table["tokens"] == 4000)
    altered["steps_per_second"] = table["steps_per_second"].mask(is_fastest, 7.0)
    found = judged(altered)
    assert found["long_range_arena_tokens"][1] == found["linear_memory_costs_time"][1] == AGREES
    assert found["long_range_arena_rank"] == ("second slowest of 8 at 3 of 4 lengths", CONTRADICTS)


def test_describe_arena_names_speed_and_memory(table):
    said = arena_judges.describe_arena(table)
    assert "BigBird is slower at 1,000 and 2,000 tokens" in said
    assert said.endswith("BigBird 0.30 to 0.91, Performer 0.11 to 0.44, Reformer 0.24 to 0.56.")
