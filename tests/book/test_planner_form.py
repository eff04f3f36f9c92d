import numpy as np
import pandas as pd
import pytest
from senformer_book import planner_form

from senformer.experiments.memory_and_time import planner


@pytest.fixture
def measured():
    rows = [
        (attention, "attention", layers, 256, 1, length, 0.1 + length * layers / 1e6, "ok")
        for attention in ("dense", "bigbird")
        for layers in (1, 4)
        for length in (16_384, 65_536, 262_144)
    ]
    columns = ["attention", "trainable", "num_transformer_layers", "channels", "batch_size"]
    return pd.DataFrame(rows, columns=[*columns, "sequence_length_bp", "peak_memory_gb", "status"])


@pytest.mark.parametrize("length", [8192, 196_608, 999_424])
@pytest.mark.parametrize("layers", [1, 11, 16])
def test_three_numbers_hold_all_that_the_fit_says(measured, length, layers):
    model = planner.fit_memory(measured)
    for fit in planner_form.choices(measured)["fits"]:
        peak = planner.predict_peak_gb(
            model,
            attention=fit["attention"],
            trainable=fit["trainable"],
            sequence_length_bp=length,
            num_transformer_layers=layers,
            channels=256,
        )
        found = np.polyval(fit["peak_gb"][layers - 1][::-1], length)
        assert found == pytest.approx(peak, rel=1e-9)


def test_one_width_is_asked_for(measured):
    other = measured.assign(channels=512)
    with pytest.raises(ValueError, match=r"channels \[256, 512\], expected models of one width"):
        planner_form.choices(pd.concat([measured, other]))


def test_form_offers_what_was_measured(measured):
    form = planner_form.form_html(planner_form.choices(measured))
    assert "<option>dense</option>" in form and "<option>bigbird</option>" in form


def test_form_begins_with_what_the_study_trained(measured):
    everything = measured.assign(trainable="all")
    form = planner_form.form_html(planner_form.choices(pd.concat([everything, measured])))
    assert "<option>attention</option><option>all</option>" in form


def test_figure_has_a_place_for_each_kind_that_was_measured(measured):
    drawn = planner_form.figure(planner_form.choices(measured), "a device")
    assert drawn.layout.meta["caption"] == "a device"
    assert {(trace.meta["part"], trace.meta["attention"]) for trace in drawn.data} == {
        *((part, kind) for part in ("fit", "beyond", "measured") for kind in ("dense", "bigbird")),
        ("budget", ""),
        ("asked", ""),
    }


def test_points_are_those_that_were_measured_and_fitted(measured):
    failed = measured.iloc[:1].assign(status="out_of_memory", sequence_length_bp=524_288)
    fits = planner_form.choices(pd.concat([measured, failed]))["fits"]
    (dense,) = (fit for fit in fits if fit["attention"] == "dense")
    of_dense = measured[measured["attention"] == "dense"]
    assert sorted(dense["measured"]) == sorted(
        of_dense[["num_transformer_layers", "sequence_length_bp", "peak_memory_gb"]].values.tolist()
    )
