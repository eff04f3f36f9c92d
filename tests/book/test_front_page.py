import pandas as pd
import pytest
from demo_run import measured_memory
from provenance_example import PROVENANCE
from senformer_book import front_page


def steps(**columns):
    commit = {"commit": "1" * 40, "time_utc": "2026-01-02T08:00:00+00:00"}
    both = [measured_memory().assign(trainable=trainable) for trainable in ("all", "attention")]
    frame = pd.concat(both, ignore_index=True).assign(message="m" * 1000, **commit, **columns)
    frame.attrs["provenance"] = PROVENANCE
    return frame


MEASURED = steps(device="a CPU")
COMPILED = steps(device="card", device_label="A card", device_memory_gb=24.0)


def texts(figure):
    return "".join(text for trace in figure["data"] for text in trace.get("hovertext") or ())


@pytest.mark.parametrize("compiled", [COMPILED, COMPILED.iloc[:0]], ids=["compiled", "measured"])
def test_overview_shows_deepest_models(compiled):
    hovers = texts(front_page.overview(compiled, MEASURED))
    assert "num_transformer_layers: 4<" in hovers and "num_transformer_layers: 1<" not in hovers
    assert "message" not in hovers and "time_utc" not in hovers
    assert ("A card" in hovers) == (len(compiled) > 0)
    drawn = front_page.overview(compiled, MEASURED[MEASURED["trainable"] == "all"])
    assert texts(drawn)


def test_overview_caption_names_commit_and_day():
    figure = front_page.overview(COMPILED, MEASURED)
    assert figure["layout"]["meta"]["caption"] == "A card · simulated · commit 1111111 · 2026-01-02"


def test_overview_rejects_empty_tables():
    with pytest.raises(ValueError, match="no rows"):
        front_page.overview(COMPILED.iloc[:0], MEASURED.iloc[:0])


def test_answers_name_their_device():
    assert front_page.answer_memory(COMPILED, MEASURED).endswith("(A card, compiled and not run.)")
    assert front_page.answer_memory(COMPILED.iloc[:0], MEASURED).endswith("(Run on a CPU.)")
    ran = steps(code="this package", step_seconds=0.1, ran_on="H200")
    assert front_page.answer_time(ran).endswith("(Run on an H200.)")
