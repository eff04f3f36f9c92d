import numpy as np
import pytest
import tensorflow as tf

from senformer.config import preset
from senformer.data import datasets, opening
from senformer.model.enformer import Enformer
from senformer.training import trunk_cache

LENGTH_BP = 10_240


@pytest.fixture(scope="module")
def folder(small_data):
    return opening.open_folders(small_data)["human"]


@pytest.fixture(scope="module")
def model(folder):
    tracks = {"human": folder.num_tracks}
    return Enformer(preset("enformer_tiny", target_length=32, tracks=tracks))


def cached(model, folder, cache, sequence_length_bp=LENGTH_BP):
    return trunk_cache.cached_tokens(
        model, folder, "train", cache, sequence_length_bp=sequence_length_bp
    )


def test_each_row_is_what_the_trunk_makes_of_that_record(model, folder, tmp_path):
    tokens = cached(model, folder, tmp_path)
    for example in datasets.batches(
        folder, "train", batch_size=2, seed=0, sequence_length_bp=LENGTH_BP
    ).take(3):
        expected = model.embed(example["sequence"])
        np.testing.assert_allclose(tokens[example["row"].numpy()], expected, atol=1e-5)


def test_what_was_written_is_not_computed_again(model, folder, tmp_path, monkeypatch):
    complete = cached(model, folder, tmp_path)
    monkeypatch.setattr(model, "embed", lambda sequence: pytest.fail("computed again"))
    np.testing.assert_array_equal(cached(model, folder, tmp_path), complete)


def test_a_file_that_was_not_finished_is_gone_on_with(model, folder, tmp_path, monkeypatch):
    complete = np.array(cached(model, folder, tmp_path / "whole"))
    calls = []
    embed = model.embed

    class StoppedError(Exception):
        pass

    def stop(*arguments, **options):
        raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(np.memmap, "flush", stop)  # all rows are written, but not finished
        with pytest.raises(StoppedError):
            cached(model, folder, tmp_path / "stopped")
    (partial,) = (tmp_path / "stopped").glob("*.partial")
    rows = np.load(partial, mmap_mode="r+")
    rows[2:] = 0  # as if it had been stopped after two
    del rows

    def counted(sequence):
        tf.py_function(lambda: calls.append(1), [], [])
        return embed(sequence)

    monkeypatch.setattr(model, "embed", counted)
    np.testing.assert_array_equal(cached(model, folder, tmp_path / "stopped"), complete)
    assert len(calls) == len(complete) - 1  # the last row that was written may be in part


def test_another_trunk_or_length_has_a_file_of_its_own(model, folder, tmp_path):
    cached(model, folder, tmp_path)
    cached(model, folder, tmp_path, sequence_length_bp=LENGTH_BP // 2)
    cached(Enformer(model.config, seed=1), folder, tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 3
