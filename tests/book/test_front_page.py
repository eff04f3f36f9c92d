import pandas as pd
import pytest
from senformer_book import front_page

from senformer.report import results

PROVENANCE = dict.fromkeys(results.PROVENANCE_KEYS, "x")


def steps(**other):
    rows = [
        {
            "attention": attention,
            "num_transformer_layers": layers,
            "channels": 1536,
            "sequence_length_bp": length,
            "trainable": trainable,
            "peak_memory_gb": layers * length / 1e5,
            "compute_dtype": "float32",
            "status": "ok",
            "message": "m" * 1000,
            "commit": "1" * 40,
            "time_utc": "2026-01-02T08:00:00+00:00",
            **other,
        }
        for attention in ("dense", "bigbird")
        for layers in (1, 11)
        for trainable in ("all", "attention")
        for length in (131_072, 262_144)
    ]
    frame = pd.DataFrame(rows)
    frame.attrs["provenance"] = PROVENANCE
    return frame


MEASURED = steps(device="a CPU")
COMPILED = steps(device="card", device_label="A card", device_memory_gb=24.0)


def texts(figure):
    return "".join(text for trace in figure["data"] for text in trace.get("hovertext") or ())


@pytest.mark.parametrize("compiled", [COMPILED, COMPILED.iloc[:0]], ids=["compiled", "measured"])
def test_the_deepest_models_are_shown_as_the_study_trained_them(compiled):
    said = texts(front_page.overview(compiled, MEASURED))
    assert "num_transformer_layers: 11<" in said and "num_transformer_layers: 1<" not in said
    assert "message" not in said and "time_utc" not in said
    assert ("A card" in said) == (len(compiled) > 0)
    drawn = front_page.overview(compiled, MEASURED[MEASURED["trainable"] == "all"])
    assert texts(drawn)


def test_the_line_under_it_names_the_commit_and_the_day_of_the_rows():
    figure = front_page.overview(COMPILED, MEASURED)
    assert figure["layout"]["meta"]["caption"] == "A card · x · commit 1111111 · 2026-01-02"


def test_a_table_without_rows_is_refused():
    with pytest.raises(ValueError, match="no rows"):
        front_page.overview(COMPILED.iloc[:0], MEASURED.iloc[:0])


def test_memory_is_answered_for_the_first_card_and_time_for_what_ran():
    assert front_page._memory(COMPILED, MEASURED).endswith("(A card, compiled and not run.)")
    assert front_page._memory(COMPILED.iloc[:0], MEASURED).endswith("(Run on a CPU.)")
    ran = steps(code="this package", step_seconds=0.1, ran_on="H200")
    assert front_page._time(ran).endswith("(Run on an H200.)")
