"""Interpolated peaks equal compiled ones and are linear between them."""

import pandas as pd
import pytest

from senformer.experiments.compiling.compiled_peaks import compiled_peaks, interpolated_peak_gb

LENGTHS = (131_072, 196_608, 393_216, 786_432)


def compiled(peak_gb):
    rows = [("dense", "attention", n, bp, peak_gb(n, bp)) for n in (1, 11) for bp in LENGTHS]
    columns = ["attention", "trainable", "num_transformer_layers", "sequence_length_bp"]
    return pd.DataFrame(rows, columns=[*columns, "peak_memory_gb"])


def quadratic_gb(layers, length):
    return 1 + 0.1 * layers + (length / 131_072) ** 2


@pytest.fixture
def peaks():
    return compiled_peaks(compiled(quadratic_gb))["dense", "attention"]


def test_peak_at_a_compiled_step_is_exact(peaks):
    for row in compiled(quadratic_gb).itertuples():
        peak_gb = interpolated_peak_gb(
            peaks,
            sequence_length_bp=row.sequence_length_bp,
            num_transformer_layers=row.num_transformer_layers,
        )
        assert peak_gb == row.peak_memory_gb


def test_peak_between_compiled_steps_is_linear(peaks):
    peak_gb = interpolated_peak_gb(peaks, sequence_length_bp=589_824, num_transformer_layers=6)
    ends = [quadratic_gb(6, length) for length in (393_216, 786_432)]
    assert peak_gb == pytest.approx(sum(ends) / 2)
    assert peak_gb > quadratic_gb(6, 589_824)


def test_largest_error_leaves_out_each_length(peaks):
    between = [
        (196_608, 131_072, 393_216),
        (393_216, 196_608, 786_432),
    ]
    errors = []
    for layers in (1, 11):
        for length, below, above in between:
            share = (length - below) / (above - below)
            line = (1 - share) * quadratic_gb(layers, below) + share * quadratic_gb(layers, above)
            errors.append(line / quadratic_gb(layers, length) - 1)
    assert peaks.largest_error == pytest.approx(max(errors))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"sequence_length_bp": 65_536}, "sequence_length_bp=65536, compiled from 131072 to"),
        ({"num_transformer_layers": 12}, "num_transformer_layers=12, compiled from 1 to 11"),
    ],
)
def test_peak_outside_the_compiled_range_is_an_error(peaks, step, message):
    inside = {"sequence_length_bp": 196_608, "num_transformer_layers": 11}
    with pytest.raises(ValueError, match=message):
        interpolated_peak_gb(peaks, **(inside | step))


def test_compiled_peaks_need_all_depths():
    frame = compiled(quadratic_gb)
    lost = (frame["num_transformer_layers"] == 11) & (frame["sequence_length_bp"] == 786_432)
    frame.loc[lost, "peak_memory_gb"] = None
    assert list(compiled_peaks(frame)["dense", "attention"].sequence_lengths_bp) == [*LENGTHS[:3]]
