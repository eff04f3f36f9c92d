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
    metadata=st.dictionaries(st.sampled_from(["config", "source"]), st.text(), max_size=2),
)
def test_open_arrays_inverts_write(tmp_path, arrays, metadata):
    checked_arrays.write(tmp_path / "x", arrays, metadata)
    found, texts = read(tmp_path / "x")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
    assert metadata.items() <= texts.items()


@quick
@given(data=st.data())
def test_open_arrays_finds_any_damage(tmp_path, data):
    path = tmp_path / "damaged"
    checked_arrays.write(path, ARRAYS, {"config": '{"sha256":"%s"}' % ("1" * 64)})
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    path.write_bytes(data.draw(st.sampled_from([bytes(changed), cut, whole + whole[-1:]])))
    with pytest.raises(ValueError, match=r"damaged: (damaged, its checksum|no checksum)"):
        read(path)


def test_write_checks_the_free_space(tmp_path):
    too_large = np.broadcast_to(np.float32(0), [2**20, 2**20, 2**10])
    with pytest.raises(OSError, match=r"x: needs .* GB, but only .* GB are free"):
        checked_arrays.write(tmp_path / "x", {"a": too_large}, {})
    assert not list(tmp_path.iterdir())


def test_open_arrays_names_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none does not exist"):
        read(tmp_path / "none")
