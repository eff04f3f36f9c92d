import pandas as pd
import pytest
from senformer_book import front_page

from senformer.report import results

PROVENANCE = dict.fromkeys(results.PROVENANCE_KEYS, "x")


def measured(channels=1536, **other):
    rows = [
        {
            "attention": attention,
            "num_transformer_layers": layers,
            "channels": channels,
            "sequence_length_bp": length,
            "trainable": trainable,
            "peak_memory_gb": layers * length / 1e5,
            "status": "ok",
            "device": "a test",
            "message": "m" * 1000,
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


def texts(figure):
    return "".join(text for trace in figure["data"] for text in trace.get("hovertext") or ())


def test_the_deepest_models_are_shown_as_the_study_trained_them():
    said = texts(front_page.overview(measured()))
    assert "trainable: attention" in said and "trainable: all" not in said
    assert "num_transformer_layers: 11<" in said and "num_transformer_layers: 1<" not in said
    assert "origin: study" in said and "message" not in said
    assert "origin: study" not in texts(front_page.overview(measured(channels=256)))


def test_the_line_under_it_names_the_commit_and_the_day_of_the_rows():
    frame = measured(commit="1" * 40, time_utc="2026-01-02T08:00:00+00:00")
    figure = front_page.overview(frame)
    assert figure["layout"]["meta"]["caption"] == "a test · x · commit 1111111 · 2026-01-02"
    assert "time_utc" not in texts(figure)


def test_a_run_without_the_studys_training_shows_what_it_has():
    frame = measured()
    assert "trainable: all" in texts(front_page.overview(frame[frame["trainable"] == "all"]))


def test_a_table_that_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="no column 'device'"):
        front_page.overview(measured().drop(columns="device"))
    with pytest.raises(ValueError, match="no rows"):
        front_page.overview(measured().iloc[:0])
