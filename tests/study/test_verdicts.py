import pandas as pd
import pytest

from senformer.report import results
from senformer.study import claims, verdicts
from senformer.study.verdicts import AGREES, CONTRADICTS, DIFFERS, STORED, STUDYS_CODE, THIS_CODE

PROVENANCE = dict.fromkeys(results.PROVENANCE_KEYS, "x")
CROSSING = "memory.crossover_bp"


def row(key=CROSSING, evidence=THIS_CODE, measured=1.0, verdict=AGREES, reason=""):
    return verdicts.Judgement(key, evidence, measured, verdict, reason)


def write(folder, *rows, name="memory"):
    return results.write(verdicts.table(rows), folder / f"{name}_claims.csv", PROVENANCE)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (300_000.0, "bp", "300,000 bp"),
        (0.8763, "", "0.8763"),
        (15.4, "%", "15.4 %"),
        (0.0001, "", "0.0001"),
        ("out of memory", "GB", "out of memory"),
        (None, "GB", ""),
        (float("nan"), "GB", ""),
    ],
)
def test_values_are_written_for_reading(value, unit, text):
    assert claims.format_quantity(value, unit) == text


@pytest.mark.parametrize(
    ("key", "measured", "text"),
    [
        ("reproduction.cage_deficit", 0.005517, "0.0055"),  # 0.021 is stated
        ("correlation.chip_histone_ahead_percent", 24.0, "24.00 %"),  # 3.4 %
        (CROSSING, 198_000.0, "198,000 bp"),
        ("finetuning.learning_rate", 0.0001, "0.0001"),  # a setting is as it was set
    ],
)
def test_a_number_has_one_decimal_more_than_that_of_the_finding(key, measured, text):
    assert verdicts.measured_text({"key": key, "measured": measured}) == text


@pytest.mark.parametrize(
    ("agrees", "verdict"), [(True, AGREES), (False, CONTRADICTS), (None, verdicts.UNDECIDED)]
)
def test_other_settings_leave_no_verdict_whatever_the_numbers_are(agrees, verdict):
    assert verdicts.judgement(CROSSING, THIS_CODE, 1.0, agrees, reason="why").verdict == verdict
    elsewhere = verdicts.judgement(
        CROSSING, THIS_CODE, 1.0, agrees, unlike="2 layers", reason="why"
    )
    assert (elsewhere.verdict, elsewhere.reason) == (DIFFERS, "2 layers")


def test_a_number_without_an_interval_decides_nothing():
    nan = float("nan")
    assert verdicts.is_within(0.5, nan, nan) is None
    assert verdicts.is_within(0.5, 0.4, 0.6) is True
    assert verdicts.is_within(0.5, 0.51, 0.6) is False


def test_rows_come_back_as_they_were_written_numbers_beside_words(tmp_path):
    rows = [row(measured=262144.0), row("memory.growth", measured="linear", reason="so")]
    write(tmp_path, *rows)
    read = verdicts.read(tmp_path)
    assert [tuple(found) for found in read.itertuples(index=False)] == [tuple(r) for r in rows]


def test_no_tables_is_no_rows(tmp_path):
    assert verdicts.read(tmp_path).empty


def test_a_table_that_cannot_be_set_beside_the_claims_is_refused(tmp_path):
    path = tmp_path / "memory_claims.csv"
    results.write(pd.DataFrame({"key": [CROSSING]}), path, PROVENANCE)
    with pytest.raises(ValueError, match=r"memory_claims.csv: no column 'evidence'"):
        verdicts.read(tmp_path)
    write(tmp_path, row(), row())
    with pytest.raises(ValueError, match=r"two rows judge 'memory.crossover_bp' by this project's"):
        verdicts.read(tmp_path)
    write(tmp_path, row("memory.no_such"))
    with pytest.raises(KeyError, match=r"memory.no_such"):
        verdicts.read(tmp_path)
    write(tmp_path, row(verdict="maybe"))
    with pytest.raises(ValueError, match="verdict 'maybe', expected one of agrees, contradicts"):
        verdicts.read(tmp_path)


def test_a_claim_is_decided_by_the_studys_code_before_its_results_before_this_code():
    rows = [
        row(evidence=THIS_CODE, verdict=CONTRADICTS),
        row(evidence=STORED, verdict=AGREES),
        row(evidence=STUDYS_CODE, verdict=DIFFERS),
    ]
    assert list(verdicts.decisive(verdicts.table(rows))["evidence"]) == [STORED]
    assert list(verdicts.decisive(verdicts.table(rows[2:]))["evidence"]) == [STUDYS_CODE]


def test_every_finding_of_a_topic_is_counted_once():
    rows = verdicts.table(
        [row(), row(evidence=STORED, verdict=CONTRADICTS), row("memory.growth", verdict=DIFFERS)]
    )
    counted = verdicts.counts(rows, "memory")
    assert counted == {CONTRADICTS: 1, DIFFERS: 1, verdicts.NOT_MEASURED: 3}
    assert verdicts.in_words(counted) == (
        "1 is contradicted, 1 was measured in other settings, 3 were not measured"
    )
    findings = [claim for claim in claims.CLAIMS if claim.kind == "finding"]
    assert sum(verdicts.counts(rows).values()) == len(findings)


def test_claims_stand_in_the_order_of_publication_and_what_there_is_not_is_a_dash():
    nothing = row("memory.growth", measured=float("nan"))
    shown = verdicts.side_by_side(verdicts.table([nothing, row(measured=262144.0)]))
    assert list(shown["stated"]) == ["300,000 bp", "in words"]
    assert list(shown["measured"]) == ["262,144 bp", "–"]
