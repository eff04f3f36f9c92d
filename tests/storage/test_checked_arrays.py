import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from senformer.storage import checked_arrays

quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
numbers = arrays_of.arrays(
    dtype=st.sampled_from([np.float32, np.int64, np.uint8]),
    shape=arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b/c": np.array(7)}


def read(path):
    with checked_arrays.open_arrays(path) as stored:
        return {name: stored.read(name) for name in stored.names}, stored.metadata


@quick
@given(
    arrays=st.dictionaries(st.text("abc/_", min_size=1), numbers, max_size=4),
    metadata=st.dictionaries(st.sampled_from(["config", "of"]), st.text(), max_size=2),
)
def test_what_is_written_is_read(tmp_path, arrays, metadata):
    checked_arrays.write(tmp_path / "x", arrays, metadata)
    found, texts = read(tmp_path / "x")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
    assert metadata.items() <= texts.items()


@quick
@given(data=st.data())
def test_no_byte_of_a_file_changes_unseen(tmp_path, data):
    path = tmp_path / "changed"
    checked_arrays.write(path, ARRAYS, {"config": '{"sha256":"%s"}' % ("1" * 64)})
    whole = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"changed: (damaged, its checksum|no checksum)"):
        read(path)


@quick
@given(data=st.data())
def test_no_byte_of_a_file_is_lost_or_won_unseen(tmp_path, data):
    path = tmp_path / "cut"
    checked_arrays.write(path, ARRAYS, {})
    whole = path.read_bytes()
    rest = whole[: data.draw(st.integers(0, len(whole) - 1))]
    path.write_bytes(data.draw(st.sampled_from([rest, whole + whole[-1:]])))
    with pytest.raises(ValueError, match=r"cut: (damaged, its checksum|no checksum)"):
        read(path)


def test_a_file_for_which_there_is_no_room_is_not_begun(tmp_path):
    too_large = np.broadcast_to(np.float32(0), [2**20, 2**20, 2**10])
    with pytest.raises(OSError, match=r"x: .* GB to write, expected as much room"):
        checked_arrays.write(tmp_path / "x", {"a": too_large}, {})
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none does not exist"):
        read(tmp_path / "none")
