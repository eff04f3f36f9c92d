"""Between what was compiled: exact at it, never below it where a peak grows faster than a line."""

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


def test_what_was_compiled_is_answered_as_it_was(peaks):
    for row in compiled(quadratic_gb).itertuples():
        found = interpolated_peak_gb(
            peaks,
            sequence_length_bp=row.sequence_length_bp,
            num_transformer_layers=row.num_transformer_layers,
        )
        assert found == row.peak_memory_gb


def test_between_lengths_and_layers_it_is_a_line_above_what_bends_upwards(peaks):
    found = interpolated_peak_gb(peaks, sequence_length_bp=589_824, num_transformer_layers=6)
    ends = [quadratic_gb(6, length) for length in (393_216, 786_432)]
    assert found == pytest.approx(sum(ends) / 2)
    assert found > quadratic_gb(6, 589_824)


def test_the_error_is_that_of_lengths_left_out(peaks):
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
    ("asked", "message"),
    [
        ({"sequence_length_bp": 65_536}, "sequence_length_bp=65536, compiled from 131072 to"),
        ({"num_transformer_layers": 12}, "num_transformer_layers=12, compiled from 1 to 11"),
    ],
)
def test_nothing_is_said_beyond_what_was_compiled(peaks, asked, message):
    inside = {"sequence_length_bp": 196_608, "num_transformer_layers": 11}
    with pytest.raises(ValueError, match=message):
        interpolated_peak_gb(peaks, **(inside | asked))


def test_a_length_that_one_depth_lacks_is_left_out():
    frame = compiled(quadratic_gb)
    lost = (frame["num_transformer_layers"] == 11) & (frame["sequence_length_bp"] == 786_432)
    frame.loc[lost, "peak_memory_gb"] = None
    assert list(compiled_peaks(frame)["dense", "attention"].sequence_lengths_bp) == [*LENGTHS[:3]]
