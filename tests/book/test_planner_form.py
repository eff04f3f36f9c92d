import numpy as np
import pandas as pd
import pytest
from demo_run import measured_memory
from senformer_book import planner_form

from senformer.experiments.compiling.compiled_peaks import compiled_peaks, interpolated_peak_gb
from senformer.experiments.memory_and_time import planner


@pytest.fixture
def measured():
    return measured_memory().query("sequence_length_bp != 131_072").drop(columns="device")


@pytest.fixture
def compiled(measured):
    """Two cards; on the second one length did not compile."""
    of_card = {"device": "rtx", "device_label": "RTX", "device_memory_gb": 24.0}
    first = measured.assign(**of_card, status="compiled")
    second = first.assign(device="h", device_label="H", device_memory_gb=80.0)
    at_longest = (second["sequence_length_bp"] == 262_144) & (second["attention"] == "dense")
    second.loc[at_longest, ["peak_memory_gb", "status"]] = [None, "failed"]
    return pd.concat([first, second], ignore_index=True)


@pytest.fixture
def nothing(compiled):
    return compiled.iloc[:0]


def value(pieces, length):
    [*_, (_, *coefficients)] = (piece for piece in pieces if piece[0] <= length)
    return np.polyval(coefficients[::-1], length)


def cpu(offered):
    return offered["devices"][-1]


def test_choices_without_a_fit_keep_cards(measured, compiled, nothing):
    little = measured.iloc[:2]
    offered = planner_form.choices(little, compiled)
    assert [device["name"] for device in offered["devices"]] == ["rtx", "h"]
    with pytest.raises(planner.TooFewMeasurementsError, match="2 usable measurements"):
        planner_form.choices(little, nothing)


@pytest.mark.parametrize("length", [8192, 196_608, 999_424])
@pytest.mark.parametrize("layers", [1, 11, 16])
def test_polynomial_equals_the_fit(measured, nothing, length, layers):
    model = planner.fit_memory(measured)
    for fit in cpu(planner_form.choices(measured, nothing))["fits"]:
        peak = planner.predict_peak_gb(
            model,
            planner.PlannedStep(
                attention=fit["attention"],
                trainable=fit["trainable"],
                sequence_length_bp=length,
                num_transformer_layers=layers,
                channels=256,
            ),
        )
        assert value(fit["peak_gb"][layers - 1], length) == pytest.approx(peak, rel=1e-9)


@pytest.mark.parametrize("length", [16_384, 40_960, 65_536, 196_608, 262_144])
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_pieces_equal_compiled_peaks(measured, compiled, length, layers):
    of_card = compiled[compiled["device"] == "rtx"]
    card = planner_form.choices(measured, compiled)["devices"][0]
    assert (card["name"], card["memory_gb"], card["how"]) == ("rtx", 24.0, "compiled")
    for fit in card["fits"]:
        peaks = compiled_peaks(of_card)[fit["attention"], fit["trainable"]]
        peak = interpolated_peak_gb(peaks, sequence_length_bp=length, num_transformer_layers=layers)
        assert value(fit["peak_gb"][layers - 1], length) == pytest.approx(peak, rel=1e-9)
        assert fit["answers_bp"] == [16_384, 262_144]


def test_card_answers_within_compiled_lengths(measured, compiled):
    offered = planner_form.choices(measured, compiled)
    assert [device["name"] for device in offered["devices"]] == ["rtx", "h", "cpu"]
    fits = {fit["attention"]: fit for fit in offered["devices"][1]["fits"]}
    assert fits["dense"]["failed"] == [[1, 262_144], [4, 262_144]]
    assert fits["dense"]["answers_bp"] == [16_384, 65_536]
    assert fits["dense"]["largest_error"] is None  # with two lengths, none lies between others
    assert fits["bigbird"]["largest_error"] == pytest.approx(0, abs=1e-9)  # the peaks are a line
    assert [p is None for p in fits["bigbird"]["peak_gb"]] == [False] * 4 + [True] * 12


def test_choices_reject_several_widths(measured, compiled, nothing):
    other = measured.assign(channels=512)
    for rows, cards in ((pd.concat([measured, other]), nothing), (other, compiled)):
        with pytest.raises(
            ValueError, match=r"channels \[256, 512\], expected models of one width"
        ):
            planner_form.choices(rows, cards)


def test_form_offers_devices_and_trainable_sets(measured, compiled):
    everything = measured.assign(trainable="all")
    offered = planner_form.choices(pd.concat([everything, measured]), compiled)
    form = planner_form.form_html(offered)
    assert '<option value="rtx">RTX</option><option value="h">H</option>' in form
    assert 'name="budget_gb" type="number" min="1" step="any" value="24"' in form
    sets = '<option value="attention">attention</option><option value="all">all</option>'
    assert sets in form  # the study's first


def test_figure_has_a_curve_per_part_and_kind(measured, compiled):
    drawn = planner_form.figure(planner_form.choices(measured, compiled))
    parts = ("fit", "beyond", "known", "failed")
    assert {(trace.meta["part"], trace.meta["attention"]) for trace in drawn.data} == {
        *((part, kind) for part in parts for kind in ("dense", "bigbird")),
        ("budget", ""),
        ("asked", ""),
    }


def test_choices_separate_known_and_failed_steps(measured, nothing):
    failed = measured.iloc[:1].assign(
        status="out_of_memory", sequence_length_bp=524_288, peak_memory_gb=None
    )
    fits = cpu(planner_form.choices(pd.concat([measured, failed]), nothing))["fits"]
    (dense,) = (fit for fit in fits if fit["attention"] == "dense")
    of_dense = measured[measured["attention"] == "dense"]
    assert sorted(dense["known"]) == sorted(
        of_dense[["num_transformer_layers", "sequence_length_bp", "peak_memory_gb"]].values.tolist()
    )
    assert dense["failed"] == [[1, 524_288]]
