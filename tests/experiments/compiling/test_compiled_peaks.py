"""Interpolated peaks equal compiled ones and are linear between them."""

import pandas as pd
import pytest

from senformer.experiments.compiling.compiled_peaks import compiled_peaks, interpolated_peak_gb

LENGTHS = (131_072, 196_608, 393_216, 786_432)


def quadratic_gb(layers, length):
    return 1 + 0.1 * layers + (length / 131_072) ** 2


def compiled(peak_gb=quadratic_gb):
    rows = [("dense", "attention", n, bp, peak_gb(n, bp)) for n in (1, 11) for bp in LENGTHS]
    columns = ["attention", "trainable", "num_transformer_layers", "sequence_length_bp"]
    return pd.DataFrame(rows, columns=[*columns, "peak_memory_gb"])


def peak_at(length, layers):
    peaks = compiled_peaks(compiled())["dense", "attention"]
    return interpolated_peak_gb(peaks, sequence_length_bp=length, num_transformer_layers=layers)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("layers", [1, 11])
def test_peak_at_a_compiled_step_is_exact(length, layers):
    assert peak_at(length, layers) == quadratic_gb(layers, length)


def test_peak_between_compiled_steps_is_linear():
    ends = [quadratic_gb(6, length) for length in (393_216, 786_432)]
    assert peak_at(589_824, 6) == pytest.approx(sum(ends) / 2)


def test_largest_error_leaves_out_each_length():
    frame = compiled(lambda layers, length: (length / 131_072) ** 2)
    error = compiled_peaks(frame)["dense", "attention"].largest_error
    # 393,216 bp: the line from 2.25 GB to 36 GB has 13.5 GB instead of 9 GB.
    assert error == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("length", "layers", "message"),
    [
        (65_536, 11, "sequence_length_bp=65536, compiled from 131072 to"),
        (196_608, 12, "num_transformer_layers=12, compiled from 1 to 11"),
    ],
)
def test_peak_outside_the_compiled_range_is_an_error(length, layers, message):
    with pytest.raises(ValueError, match=message):
        peak_at(length, layers)


def test_compiled_peaks_need_all_depths():
    frame = compiled()
    missing = (frame["num_transformer_layers"] == 11) & (frame["sequence_length_bp"] == 786_432)
    frame.loc[missing, "peak_memory_gb"] = None
    assert list(compiled_peaks(frame)["dense", "attention"].sequence_lengths_bp) == [*LENGTHS[:3]]
