import numpy as np
import pandas as pd
import pytest

from senformer import planner, planner_page


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
    for fit in planner_page.choices(measured)["fits"]:
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
        planner_page.choices(pd.concat([measured, other]))


def test_form_offers_what_was_measured(measured):
    form = planner_page.form_html(planner_page.choices(measured), "device <1>")
    assert "<option>dense</option>" in form and "<option>bigbird</option>" in form
    assert "device &lt;1&gt;" in form
