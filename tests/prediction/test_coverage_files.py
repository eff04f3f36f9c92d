import numpy as np
import pyBigWig
import pytest
from full_disk import largest_file

from senformer.prediction.coverage_files import Segment, write_bigwig

LENGTHS_BP = {"chr1": 1_000_000}


def segments(failure=None):
    generator = np.random.default_rng(0)
    for first_bin in range(0, 7_000, 1_000):
        if failure and first_bin == 4_000:
            raise failure
        yield Segment("chr1", first_bin, generator.random((1, 1_000), np.float32))


@pytest.mark.parametrize("failure", [ValueError("damaged"), KeyboardInterrupt()])
def test_bigwig_is_not_written_after_an_error(failure, tmp_path):
    """The library prints the error and leaves a file that looks complete."""
    with pytest.raises(type(failure)):
        write_bigwig(tmp_path / "x.bw", segments(failure), LENGTHS_BP)
    assert not list(tmp_path.iterdir())


def test_bigwig_is_not_written_on_a_full_disk(tmp_path):
    with (
        largest_file(5_000),
        pytest.raises(OSError, match=r"x\.bw: not written.* \(.+\)$"),
    ):
        write_bigwig(tmp_path / "x.bw", segments(), LENGTHS_BP)
    assert not list(tmp_path.iterdir())


def test_bigwig_bytes_depend_on_the_values_alone(tmp_path):
    for name in ("a.bw", "b.bw"):
        write_bigwig(tmp_path / name, segments(), LENGTHS_BP)
    assert (tmp_path / "a.bw").read_bytes() == (tmp_path / "b.bw").read_bytes()
    with pyBigWig.open(str(tmp_path / "a.bw")) as file:
        assert file.header()["nBasesCovered"] == 7_000 * 128
