import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from senformer.prediction import regions
from senformer.prediction.regions import Run

LENGTHS_BP = {"chr1": 10_000, "chr10": 2_000, "chr2": 4_096}


def read(text, tmp_path):
    path = tmp_path / "regions.bed"
    path.write_text(text)
    return regions.read_regions(path, LENGTHS_BP)


def test_the_bins_that_regions_touch_are_joined_in_order(tmp_path):
    text = (
        "# of a study\ntrack name=x\n\n"
        "chr2\t4000\t4096\tgene\t0\t+\n"  # the last bin, 31
        "chr1\t127\t129\n"  # bins 0 and 1
        "chr1\t256\t300\n"  # bin 2, which touches
        "chr1\t1280\t1281\n"
        "chr10\t1999\t2000\r\n"  # of a chromosome that ends within bin 15
        "chr1\t1280\t1500\n"
    )
    assert read(text, tmp_path) == [
        Run("chr1", 0, 3),
        Run("chr1", 10, 12),
        Run("chr10", 15, 16),
        Run("chr2", 31, 32),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"regions\.bed: holds no region, expected chromosome, start and end"),
        ("chr1 5 9\n", r"line 1 is 'chr1 5 9', expected chromosome, start and end, apart by tabs"),
        ("chr1\t5\n", r"line 1 is 'chr1\\t5', expected chromosome, start and end"),
        ("\nchr1\t5\tx\n", r"line 2 is 'chr1\\t5\\tx', expected"),
        ("chr1\t-1\t9\n", r"line 1 is 'chr1\\t-1\\t9', expected"),
        ("chr1\t9\t9\n", r"line 1 is 9 to 9, expected a start before an end, both on chr1"),
        ("chr2\t0\t4097\n", r"line 1 is 0 to 4097, .* both on chr2, which has 4096 bases"),
        ("1\t5\t9\n", r"line 1 is on '1', expected a chromosome of the genome, such as chr1"),
    ],
)
def test_a_line_that_is_no_region_of_the_genome_is_named(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read(text, tmp_path)


RUNS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 90)), min_size=1, max_size=3)


@given(RUNS, st.integers(1, 24), st.integers(1, 24), st.sampled_from(regions.OVERLAPS))
def test_every_bin_is_kept_and_a_tiled_one_of_the_window_in_whose_middle_it_lies(
    gaps, target_length, step_bins, overlaps
):
    runs, end = [], 0
    for gap, length in gaps:
        runs.append(Run("chr1", end + gap + 1, end + gap + 1 + length))
        end = runs[-1].end_bin
    step_bins = min(step_bins, target_length)
    arguments = {"target_length": target_length, "step_bins": step_bins}
    windows = list(regions.windows(runs, overlaps=overlaps, **arguments))
    assert len(windows) == regions.num_windows(runs, **arguments)
    wanted = [i for run in runs for i in range(run.first_bin, run.end_bin)]
    kept = [i for w in windows for i in range(w.first_kept_bin, w.end_kept_bin)]
    assert sorted(set(kept)) == wanted
    for window in windows:  # what is kept was predicted
        assert window.first_bin <= window.first_kept_bin < window.end_kept_bin
        assert window.end_kept_bin <= window.first_bin + target_length
    starts = np.array([window.first_bin for window in windows])
    for run in runs:
        of_run = [w for w in windows if run.first_bin <= w.first_kept_bin < run.end_bin]
        centres = np.array([w.first_bin + (target_length - 1) / 2 for w in of_run])
        assert set(np.diff(centres)) <= {step_bins}
        for window, centre in zip(of_run, centres, strict=True):
            for i in range(window.first_kept_bin, window.end_kept_bin):
                if overlaps == "tiled":
                    assert abs(i - centre) <= np.abs(i - centres).min() + 1
        spare = run.first_bin - starts[windows.index(of_run[0])]
        assert 0 <= of_run[-1].first_bin + target_length - run.end_bin - spare <= 1
    if overlaps == "tiled":
        assert kept == wanted


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step_bins": 9}, "step_bins=9, expected at most the 8 bins that a window predicts"),
        ({"step_bins": 0}, "step_bins=0, expected an integer of at least 1"),
        ({"overlaps": "summed"}, "overlaps='summed', expected one of tiled, averaged"),
    ],
)
def test_windows_that_would_leave_gaps_are_refused(change, message):
    arguments = {"target_length": 8, "step_bins": 8, "overlaps": "tiled"} | change
    with pytest.raises(ValueError, match=message):
        next(regions.windows([Run("chr1", 0, 9)], **arguments))
