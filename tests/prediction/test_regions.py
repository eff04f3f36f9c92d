import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from senformer.prediction.regions import OVERLAPS, BinRange, WindowLayout, read_regions

LENGTHS_BP = {"chr1": 10_000, "chr10": 2_000, "chr2": 4_096}


def read(text, tmp_path):
    path = tmp_path / "regions.bed"
    path.write_text(text)
    return read_regions(path, LENGTHS_BP)


def test_read_regions_merges_adjacent_bins(tmp_path):
    text = (
        "# a comment\ntrack name=x\n\n"
        "chr2\t4000\t4096\tgene\t0\t+\n"  # the last bin, 31
        "chr1\t127\t129\n"  # bins 0 and 1
        "chr1\t256\t300\n"  # bin 2, adjacent
        "chr1\t1280\t1281\n"
        "chr10\t1999\t2000\r\n"  # the chromosome ends within bin 15
        "chr1\t1280\t1500\n"
    )
    assert read(text, tmp_path) == [
        BinRange("chr1", 0, 3),
        BinRange("chr1", 10, 12),
        BinRange("chr10", 15, 16),
        BinRange("chr2", 31, 32),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"regions\.bed: no region, expected lines of chromosome, start and end"),
        ("chr1 5 9\n", r"line 1 is 'chr1 5 9', expected chromosome, start and end, separated by"),
        ("chr1\t5\n", r"line 1 is 'chr1 5', expected chromosome, start and end"),
        ("\nchr1\t5\tx\n", r"line 2 has 'x', expected start and end as integers of at least 0"),
        *(
            (f"chr1\t{number}\t9000\n", "line 1 has .*, expected start and end as integers of")
            for number in (
                "-1",
                "5e+03",
                "100.0",
                "1,000",
                "+5",
                "1_0",
                "0x1",
                "\u0663",
                "9" * 5000,
            )
        ),
        ("chr1\t9\t9\n", r"line 1 is 9 to 9, expected a start before an end"),
        ("chr2\t0\t4097\n", r"line 1 is 0 to 4097, .* end on chr2, which has 4096 bases"),
        ("track1\t0\t700\n", r"line 1 is on 'track1', expected a chromosome of the genome"),
        ("track\t0\t700\n", r"line 1 is on 'track', expected a chromosome of the genome"),
        ("browsers\n", r"line 1 is 'browsers', expected chromosome, start and end"),
        ("1\t5\t9\n", r"line 1 is on '1', expected a chromosome of the genome, such as chr1"),
    ],
)
def test_read_regions_names_a_wrong_line(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read(text, tmp_path)


@pytest.mark.parametrize("name", ["track1", "track", "browser", "browser_2", "#1", "#"])
def test_read_regions_keeps_contigs_like_headers(name, tmp_path):
    path = tmp_path / "regions.bed"
    path.write_text(f"track name=x\nbrowser position {name}:1-9\n#comment\n{name}\t0\t700\n")
    assert read_regions(path, {name: 1000}) == [BinRange(name, 0, 6)]


@pytest.mark.parametrize(
    "header",
    [
        "track",
        "track\tname=x\tdescription=y",
        "browser hide all",
        "#chrom\tstart\tend",
        "#chr1\t0\t5",
    ],
)
def test_read_regions_skips_headers(header, tmp_path):
    assert read(f"{header}\nchr1\t0\t5\n", tmp_path) == [BinRange("chr1", 0, 1)]


def test_read_regions_reads_gzip(tmp_path):
    path = tmp_path / "regions.bed.gz"
    path.write_bytes(gzip.compress(b"chr1\t0\t5\r\nchr2\t0\t5\r\n"))
    assert read_regions(path, LENGTHS_BP) == [BinRange("chr1", 0, 1), BinRange("chr2", 0, 1)]
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"regions\.bed\.gz: a damaged gzip file"):
        read_regions(path, LENGTHS_BP)


GAPS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 90)), min_size=1, max_size=3)


@given(GAPS, st.integers(1, 24), st.integers(1, 24), st.sampled_from(OVERLAPS))
def test_windows_cover_each_bin(gaps, target_length, step_bins, overlaps):
    ranges, end = [], 0
    for gap, length in gaps:
        ranges.append(BinRange("chr1", end + gap + 1, end + gap + 1 + length))
        end = ranges[-1].end_bin
    step_bins = min(step_bins, target_length)
    layout = WindowLayout(ranges, target_length, step_bins, overlaps)
    windows = list(layout)
    assert windows == list(layout) and len(windows) == len(layout)
    wanted = [i for r in ranges for i in range(r.first_bin, r.end_bin)]
    kept = [i for w in windows for i in range(w.first_kept_bin, w.end_kept_bin)]
    assert sorted(set(kept)) == wanted and layout.num_bins == len(wanted)
    for window in windows:  # kept bins are predicted bins
        assert window.first_bin <= window.first_kept_bin < window.end_kept_bin
        assert window.end_kept_bin <= window.first_bin + target_length
    for bins in ranges:
        chosen = [w for w in windows if bins.first_bin <= w.first_kept_bin < bins.end_bin]
        centres = np.array([w.first_bin + (target_length - 1) / 2 for w in chosen])
        assert set(np.diff(centres)) <= {step_bins}
        if overlaps == "tiled":
            for window, centre in zip(chosen, centres, strict=True):
                for i in range(window.first_kept_bin, window.end_kept_bin):
                    assert abs(i - centre) <= np.abs(i - centres).min() + 1
        spare = bins.first_bin - chosen[0].first_bin
        assert 0 <= chosen[-1].first_bin + target_length - bins.end_bin - spare <= 1
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
def test_windows_refuse_gaps(change, message):
    arguments = {"target_length": 8, "step_bins": 8, "overlaps": "tiled"} | change
    with pytest.raises(ValueError, match=message):
        WindowLayout([BinRange("chr1", 0, 9)], **arguments)
