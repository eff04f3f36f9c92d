import pandas as pd
import pytest

from senformer import claims_page, published, results

PROVENANCE = dict.fromkeys(results.PROVENANCE_KEYS, "x")


def write(folder, name, **columns):
    return results.write(pd.DataFrame(columns), folder / f"{name}_claims.csv", PROVENANCE)


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
    assert claims_page.quantity(value, unit) == text


def test_measured_values_are_found_by_the_claim_they_speak_of(tmp_path):
    write(tmp_path, "memory", key=["memory.crossover_bp"], measured=[262144.0], agrees=["yes"])
    write(tmp_path, "runtime", key=["runtime.slower"], measured=["at 2 of 3"], agrees=["yes"])
    rows = claims_page.measured_claims(tmp_path)
    assert rows.loc["memory.crossover_bp", "measured"] == 262144.0
    assert rows.loc["runtime.slower", "measured"] == "at 2 of 3"


def test_no_tables_is_no_rows(tmp_path):
    assert claims_page.measured_claims(tmp_path).empty


def test_a_table_that_cannot_be_set_beside_the_claims_is_refused(tmp_path):
    path = write(tmp_path, "memory", key=["memory.crossover_bp"], measured=[1.0])
    with pytest.raises(ValueError, match=r"memory_claims.csv: no column 'agrees'"):
        claims_page.measured_claims(tmp_path)
    path.unlink()
    columns = {"measured": [1.0, 2.0], "agrees": ["yes", "no"]}
    write(tmp_path, "memory", key=["memory.crossover_bp"] * 2, **columns)
    with pytest.raises(ValueError, match=r"two rows measure 'memory.crossover_bp'"):
        claims_page.measured_claims(tmp_path)
    write(tmp_path, "memory", key=["memory.no_such", "memory.growth"], **columns)
    with pytest.raises(KeyError, match=r"memory.no_such"):
        claims_page.measured_claims(tmp_path)


def test_every_claim_of_a_topic_is_a_row_with_its_source():
    claim = published.claim("memory.crossover_bp")
    texts = [node.astext() for node in claims_page._row(claim, {"measured": 2.0, "agrees": "no"})]
    assert claim.statement in texts[0] and claim.source in texts[0]
    assert texts[1:] == ["300,000 bp", "2 bp", "no"]
