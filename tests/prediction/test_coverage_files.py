import numpy as np
import pyBigWig
import pytest
from full_disk import largest_file

from senformer.prediction import coverage_files
from senformer.prediction.parts import Segment

LENGTHS_BP = {"chr1": 1_000_000}


def segments(failure=None):
    generator = np.random.default_rng(0)
    for first_bin in range(0, 7_000, 1_000):
        if failure and first_bin == 4_000:
            raise failure
        yield Segment("chr1", first_bin, generator.random((1, 1_000), np.float32))


@pytest.mark.parametrize("failure", [ValueError("damaged"), KeyboardInterrupt()])
def test_a_bigwig_whose_values_end_in_an_error_is_not_written(failure, tmp_path):
    """The library that writes it would print the error and leave a file that seems whole."""
    with pytest.raises(type(failure)):
        coverage_files.write_bigwig(tmp_path / "x.bw", segments(failure), LENGTHS_BP)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_said_in_one_line_and_leaves_no_bigwig(tmp_path):
    with (
        largest_file(5_000),
        pytest.raises(OSError, match=r"x\.bw: not written, what was there is as it was \(.+\)$"),
    ):
        coverage_files.write_bigwig(tmp_path / "x.bw", segments(), LENGTHS_BP)
    assert not list(tmp_path.iterdir())


def test_the_same_values_are_the_same_bytes(tmp_path):
    for name in ("a.bw", "b.bw"):
        coverage_files.write_bigwig(tmp_path / name, segments(), LENGTHS_BP)
    assert (tmp_path / "a.bw").read_bytes() == (tmp_path / "b.bw").read_bytes()
    with pyBigWig.open(str(tmp_path / "a.bw")) as file:
        assert file.header()["nBasesCovered"] == 7_000 * 128
