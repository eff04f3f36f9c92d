import numpy as np
import pytest

from senformer.prediction.regions import OVERLAPS, BinRange, WindowLayout
from senformer.prediction.resume_state import WindowFile

RANGES = [BinRange("chr1", 2, 25), BinRange("chr1", 40, 43), BinRange("chr2", 0, 9)]
NUM_TRACKS = 3


@pytest.fixture(params=OVERLAPS)
def written(request, tmp_path):
    """Write a file of random values, and return it with the values of each window."""
    windows = WindowLayout(RANGES, target_length=8, step_bins=3, overlaps=request.param)
    file = WindowFile(tmp_path / "values", windows, NUM_TRACKS)
    generator = np.random.default_rng(0)
    arrays = [generator.random((NUM_TRACKS, w.num_kept_bins), np.float32) for w in windows]
    with file.path.open("wb") as opened:
        for array in arrays:
            file.append(opened, array)
    return file, arrays


def by_bin(segments):
    """Return each bin's values, `{(chromosome, bin): [tracks]}`; no bin comes twice."""
    pairs = [
        ((segment.chromosome, segment.first_bin + offset), values)
        for segment in segments
        for offset, values in enumerate(segment.values.T)
    ]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_segments_average_windows_in_order(written):
    file, arrays = written
    assert file.path.stat().st_size == file.count_bytes()
    expected = {}
    for window, array in zip(file.windows, arrays, strict=True):
        for offset, values in enumerate(array.T):
            key = (window.chromosome, window.first_kept_bin + offset)
            expected.setdefault(key, []).append(values)
    found = by_bin(file.read_segments())
    assert list(found) == [(r.chromosome, i) for r in RANGES for i in range(r.first_bin, r.end_bin)]
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], np.mean(values, axis=0), rtol=1e-6)
    for track in range(NUM_TRACKS):
        alone = by_bin(file.read_segments(track))
        assert alone == {key: [values[track]] for key, values in found.items()}


@pytest.mark.parametrize("num_lost", [1, 5, 90])
def test_count_complete_ignores_partial_windows(num_lost, written):
    file, _ = written
    num_windows = len(file.windows)
    assert file.count_complete() == num_windows
    content = file.path.read_bytes()[:-num_lost]
    file.path.write_bytes(content)
    sizes = [file.count_bytes(count) for count in range(1, num_windows + 1)]
    expected = sum(size <= len(content) for size in sizes)
    assert file.count_complete() == expected
    damaged = bytearray(content)
    damaged[sizes[1] + 2] ^= 1  # in the third window
    file.path.write_bytes(damaged)
    assert file.count_complete() == 2
    file.path.unlink()
    assert file.count_complete() == 0
