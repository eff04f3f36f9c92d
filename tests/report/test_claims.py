import pandas as pd
import pytest

from senformer.report import claims, published, results

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
    assert claims.quantity(value, unit) == text


def test_measured_values_are_found_by_the_claim_they_speak_of(tmp_path):
    write(tmp_path, "memory", key=["memory.crossover_bp"], measured=[262144.0], agrees=["yes"])
    write(tmp_path, "runtime", key=["runtime.slower"], measured=["at 2 of 3"], agrees=["yes"])
    rows = claims.measured_claims(tmp_path)
    assert rows.loc["memory.crossover_bp", "measured"] == 262144.0
    assert rows.loc["runtime.slower", "measured"] == "at 2 of 3"


def test_no_tables_is_no_rows(tmp_path):
    assert claims.measured_claims(tmp_path).empty


def test_a_table_that_cannot_be_set_beside_the_claims_is_refused(tmp_path):
    path = write(tmp_path, "memory", key=["memory.crossover_bp"], measured=[1.0])
    with pytest.raises(ValueError, match=r"memory_claims.csv: no column 'agrees'"):
        claims.measured_claims(tmp_path)
    path.unlink()
    columns = {"measured": [1.0, 2.0], "agrees": ["yes", "no"]}
    write(tmp_path, "memory", key=["memory.crossover_bp"] * 2, **columns)
    with pytest.raises(ValueError, match=r"two rows measure 'memory.crossover_bp'"):
        claims.measured_claims(tmp_path)
    write(tmp_path, "memory", key=["memory.no_such", "memory.growth"], **columns)
    with pytest.raises(KeyError, match=r"memory.no_such"):
        claims.measured_claims(tmp_path)


def test_a_number_beside_words_stays_a_number(tmp_path):
    keys = ["memory.crossover_bp", "memory.growth"]
    write(tmp_path, "memory", key=keys, measured=[262144.0, "linear"], agrees=["yes", "no"])
    rows = claims.measured_claims(tmp_path)
    shown = claims.side_by_side(rows)
    assert list(shown["measured"]) == ["262,144 bp", "linear"]
    assert list(shown["published"]) == ["300,000 bp", "in words"]


def test_what_was_not_measured_is_a_dash_and_says_so():
    written = claims.texts("memory.crossover_bp", {})
    assert (written["measured"], written["agrees"]) == ("–", "not measured here")
    why = claims.not_comparable("another size")
    written = claims.texts("memory.crossover_bp", {"measured": float("nan"), "agrees": why})
    assert (written["measured"], written["agrees"]) == ("–", "not comparable: another size")


def test_what_was_found_in_stored_results_is_not_called_measured():
    judged = pd.DataFrame({"key": ["memory.growth"], "measured": ["x"], "agrees": ["yes"]})
    shown = claims.side_by_side(judged, found=claims.IN_STORED_RESULTS)
    assert list(shown) == ["claim", "published", "in its stored results", "agrees"]


def test_claims_stand_in_the_order_of_publication():
    keys = ["memory.growth", "memory.crossover_bp"]
    measured = pd.DataFrame({"key": keys, "measured": ["x", 1.0], "agrees": ["yes", "no"]})
    statements = list(claims.side_by_side(measured)["claim"])
    assert statements == [published.claim(key).statement for key in reversed(keys)]


def test_an_agreement_has_its_reason():
    assert claims.agreement(True, otherwise="it is lower.") == "yes"
    assert claims.agreement(False) == "no"
    assert claims.agreement(False, otherwise="it is lower.") == "no: it is lower."
    assert claims.agreement(True, unlike="here 8 tracks.") == "not comparable: here 8 tracks."
