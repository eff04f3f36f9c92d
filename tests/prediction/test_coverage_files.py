import numpy as np
import pyBigWig
import pytest
from full_disk import largest_file
from hypothesis import given
from hypothesis import strategies as st

from senformer.prediction.coverage_files import (
    Segment,
    is_whole_bigwig,
    name_tracks,
    write_bigwig,
)

LENGTHS_BP = {"chr1": 1_000_000}


def segments(failure=None):
    generator = np.random.default_rng(0)
    for first_bin in range(0, 7_000, 1_000):
        if failure and first_bin == 4_000:
            raise failure
        yield Segment("chr1", first_bin, generator.random((1, 1_000), np.float32))


@given(st.lists(st.text("eE.01 _/é", min_size=1, max_size=5) | st.sampled_from(["end", "x" * 300])))
def test_name_tracks_repeats_no_name(identifiers):
    names = name_tracks(identifiers)
    assert len({name.lower() for name in (*names, "chrom", "start", "end")}) == len(names) + 3
    assert all("/" not in name and len(name.encode()) < 240 for name in names)


def test_name_tracks_keeps_distinct_identifiers():
    identifiers = ["ENC1", "CNhs1.2", "a b", "E", "e", "E.3", "chrom"]
    expected = ["ENC1", "CNhs1.2", "a_b", "E.3.3", "e.4", "E.3", "chrom.6"]
    assert name_tracks(identifiers) == expected


@pytest.mark.parametrize("failure", [ValueError("damaged"), KeyboardInterrupt()])
def test_bigwig_is_not_written_after_an_error(failure, tmp_path):
    """The library prints the error and leaves a file that looks complete."""
    with pytest.raises(type(failure)):
        write_bigwig(tmp_path / "x.bw", segments(failure), LENGTHS_BP)
    assert not list(tmp_path.iterdir())


def test_bigwig_is_not_written_on_a_full_disk(tmp_path):
    with (
        largest_file(5_000),
        pytest.raises(OSError, match=r"x\.bw: not written.* \(.+ bytes are free\.\)$"),
    ):
        write_bigwig(tmp_path / "x.bw", segments(), LENGTHS_BP)
    assert not list(tmp_path.iterdir())


def test_bigwig_bytes_depend_on_the_values_alone(tmp_path):
    first, second = tmp_path / "a.bw", tmp_path / "b.bw"
    for path in (first, second):
        write_bigwig(path, segments(), LENGTHS_BP)
    assert first.read_bytes() == second.read_bytes()
    with pyBigWig.open(str(first)) as file:
        assert file.header()["nBasesCovered"] == 7_000 * 128
    assert is_whole_bigwig(first)
    for content in (first.read_bytes()[:-1], b""):
        first.write_bytes(content)
        assert not is_whole_bigwig(first)
