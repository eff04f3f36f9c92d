import numpy as np
import pytest

from senformer.prediction import parts, regions
from senformer.prediction.regions import Run

RUNS = [Run("chr1", 2, 25), Run("chr1", 40, 43), Run("chr2", 0, 9)]
NUM_TRACKS = 3


def windows(overlaps="averaged"):
    return list(regions.windows(RUNS, target_length=8, step_bins=3, overlaps=overlaps))


def written(path, all_windows):
    generator = np.random.default_rng(0)
    arrays = [
        generator.random((NUM_TRACKS, window.num_kept_bins), np.float32) for window in all_windows
    ]
    with path.open("wb") as file:
        for array in arrays:
            parts.append(file, array)
    return arrays


def gathered(segments):
    """Each bin's values, `{(chromosome, bin): [tracks]}`."""
    found = {}
    for segment in segments:
        for offset, values in enumerate(segment.values.T):
            assert (segment.chromosome, segment.first_bin + offset) not in found
            found[segment.chromosome, segment.first_bin + offset] = values
    return found


@pytest.mark.parametrize("overlaps", regions.OVERLAPS)
def test_each_bin_comes_once_in_order_with_the_mean_of_its_windows(overlaps, tmp_path):
    all_windows = windows(overlaps)
    arrays = written(tmp_path / "values", all_windows)
    assert (tmp_path / "values").stat().st_size == parts.num_bytes(all_windows, NUM_TRACKS)
    of_bin = {}
    for window, array in zip(all_windows, arrays, strict=True):
        for offset, values in enumerate(array.T):
            key = (window.chromosome, window.first_kept_bin + offset)
            of_bin.setdefault(key, []).append(values)
    found = gathered(parts.read(tmp_path / "values", all_windows, NUM_TRACKS))
    wanted = [(run.chromosome, i) for run in RUNS for i in range(run.first_bin, run.end_bin)]
    assert list(found) == wanted
    for key, values in of_bin.items():
        np.testing.assert_allclose(found[key], np.mean(values, axis=0), rtol=1e-6)
    for track in range(NUM_TRACKS):
        alone = gathered(parts.read(tmp_path / "values", all_windows, NUM_TRACKS, track=track))
        assert {key: value[0] for key, value in alone.items()} == {
            key: value[track] for key, value in found.items()
        }


@pytest.mark.parametrize("num_lost", [1, 5, 90])
def test_what_a_killed_process_left_unfinished_is_not_counted(num_lost, tmp_path):
    all_windows, path = windows(), tmp_path / "values"
    written(path, all_windows)
    assert parts.num_whole(path, all_windows, NUM_TRACKS) == len(all_windows)
    content = path.read_bytes()[:-num_lost]
    path.write_bytes(content)
    sizes = np.cumsum([parts.num_bytes([window], NUM_TRACKS) for window in all_windows])
    assert parts.num_whole(path, all_windows, NUM_TRACKS) == np.sum(sizes <= len(content))
    damaged = bytearray(content)
    damaged[sizes[1] + 2] ^= 1  # within the third
    path.write_bytes(damaged)
    assert parts.num_whole(path, all_windows, NUM_TRACKS) == 2
    assert parts.num_whole(tmp_path / "none", all_windows, NUM_TRACKS) == 0
