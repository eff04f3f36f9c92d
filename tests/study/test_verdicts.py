import pandas as pd
import pytest
from provenance_example import PROVENANCE

from senformer.report import results
from senformer.study import claims, judges, verdicts
from senformer.study.verdicts import AGREES, CONTRADICTS, DIFFERS, STORED, THIS_CODE, UNDECIDED

CROSSING = "memory.crossover_bp"


def row(key=CROSSING, evidence=THIS_CODE, measured=1.0, verdict=AGREES, reason=""):
    return verdicts.Judgement(key, evidence, measured, verdict, reason)


def as_table(rows):
    return pd.DataFrame(rows, columns=list(verdicts.COLUMNS))


def write(folder, *rows, name="memory"):
    return results.write(as_table(rows), folder / f"{name}_claims.csv", PROVENANCE)


@pytest.mark.parametrize(
    ("key", "measured", "text"),
    [
        ("reproduction.cage_deficit", 0.005517, "0.0055"),  # 0.021 is stated
        ("correlation.chip_histone_ahead_percent", 24.0, "24.00 %"),  # 3.4 %
        (CROSSING, 198_000.0, "198,000 bp"),
        ("finetuning.learning_rate", 0.0001, "0.0001"),  # a setting is as it was set
    ],
)
def test_measured_has_one_decimal_more(key, measured, text):
    assert verdicts.format_measured({"key": key, "measured": measured}) == text


@pytest.mark.parametrize(
    ("outcome", "difference", "expected"),
    [
        (verdicts.Found(1.0, True, "why"), "", (1.0, AGREES, "why")),
        (verdicts.Found(1.0, False, "why"), "", (1.0, CONTRADICTS, "why")),
        (verdicts.Found(1.0, None, "why"), "", (1.0, UNDECIDED, "why")),
        (verdicts.Found(1.0, True, "why"), "2 layers", (1.0, DIFFERS, "2 layers")),
        (verdicts.UndecidedError("why"), "", (None, UNDECIDED, "why")),
        (verdicts.NotComparableError("why"), "", (None, DIFFERS, "why")),
    ],
)
def test_apply_judges_turns_outcomes_into_verdicts(outcome, difference, expected):
    def extract(tables):
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    judge = verdicts.Judge(CROSSING, STORED, extract)
    [row] = verdicts.apply_judges([judge], {}, difference).itertuples(index=False, name=None)
    assert row == (CROSSING, STORED, *expected)


def test_apply_judges_skips_missing_tables():
    judge = verdicts.Judge(CROSSING, STORED, lambda _: verdicts.Found(1.0, True), needs="steps")
    assert verdicts.apply_judges([judge], {}).empty
    assert len(verdicts.apply_judges([judge], {"steps": 1})) == 1


@pytest.mark.parametrize("notebook", judges.JUDGES)
def test_each_finding_of_a_notebook_is_judged(notebook):
    findings = {c.key for c in claims.CLAIMS if c.topic == notebook and c.kind == "finding"}
    judged = {judge.key for judge in judges.JUDGES[notebook]}
    assert findings <= judged | set(judges.judge_stored_results()["key"])


def test_is_within_needs_an_interval():
    nan = float("nan")
    assert verdicts.is_within(0.5, nan, nan) is None
    assert verdicts.is_within(0.5, 0.4, 0.6) is True
    assert verdicts.is_within(0.5, 0.51, 0.6) is False


def test_read_verdicts_keeps_numbers_and_words(tmp_path):
    assert verdicts.read_verdicts(tmp_path).empty
    rows = [row(measured=262144.0), row("memory.growth", measured="linear", reason="so")]
    write(tmp_path, *rows)
    read = verdicts.read_verdicts(tmp_path)
    assert [tuple(found) for found in read.itertuples(index=False)] == [tuple(r) for r in rows]


def test_read_verdicts_refuses_bad_tables(tmp_path):
    path = tmp_path / "memory_claims.csv"
    results.write(pd.DataFrame({"key": [CROSSING]}), path, PROVENANCE)
    with pytest.raises(ValueError, match=r"memory_claims.csv: no column 'evidence'"):
        verdicts.read_verdicts(tmp_path)
    write(tmp_path, row(), row())
    with pytest.raises(ValueError, match=r"two rows judge 'memory.crossover_bp' by this project's"):
        verdicts.read_verdicts(tmp_path)
    write(tmp_path, row("memory.no_such"))
    with pytest.raises(KeyError, match=r"memory.no_such"):
        verdicts.read_verdicts(tmp_path)
    write(tmp_path, row(verdict="maybe"))
    with pytest.raises(ValueError, match="verdict 'maybe', expected one of agrees, contradicts"):
        verdicts.read_verdicts(tmp_path)


def test_select_decisive_prefers_verdicts():
    rows = [
        row(evidence=THIS_CODE, verdict=CONTRADICTS),
        row(evidence=STORED, verdict=AGREES),
        row(evidence=verdicts.STUDYS_CODE, verdict=DIFFERS),
    ]
    assert list(verdicts.select_decisive(as_table(rows))["evidence"]) == [STORED]
    assert list(verdicts.select_decisive(as_table(rows[2:]))["evidence"]) == [verdicts.STUDYS_CODE]


def test_count_verdicts_counts_findings_once():
    rows = as_table(
        [row(), row(evidence=STORED, verdict=CONTRADICTS), row("memory.growth", verdict=DIFFERS)]
    )
    counted = verdicts.count_verdicts(rows, "memory")
    assert counted == {CONTRADICTS: 1, DIFFERS: 1, verdicts.NOT_MEASURED: 3}
    assert verdicts.describe_counts(counted) == (
        "1 is contradicted, 1 was measured in other settings, 3 were not measured"
    )
    findings = [claim for claim in claims.CLAIMS if claim.kind == "finding"]
    assert sum(verdicts.count_verdicts(rows).values()) == len(findings)


def test_compare_with_claims_is_in_order():
    nothing = row("memory.growth", measured=float("nan"))
    shown = verdicts.compare_with_claims(as_table([nothing, row(measured=262144.0)]))
    assert list(shown["stated"]) == ["300,000 bp", "in words"]
    assert list(shown["measured"]) == ["262,144 bp", "–"]
