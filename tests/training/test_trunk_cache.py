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


def folder_of(model, folder, cache, sequence_length_bp=LENGTH_BP):
    return trunk_cache.folder_of_tokens(
        model, folder, "train", cache, sequence_length_bp=sequence_length_bp
    )


@pytest.fixture(scope="module")
def embed(model):
    return tf.function(model.embed)


@pytest.fixture(scope="module")
def batch(folder):
    [batch] = datasets.batches(
        folder, "train", batch_size=2, seed=0, sequence_length_bp=LENGTH_BP
    ).take(1)
    return batch


def test_each_row_is_what_the_trunk_makes_of_that_record(model, embed, batch, tmp_path):
    made = trunk_cache.cached_tokens(embed, batch, tmp_path)
    np.testing.assert_allclose(made, model.embed(batch["sequence"]), atol=1e-5)


def test_what_was_kept_is_not_computed_again_and_what_was_not_is(embed, batch, tmp_path):
    whole = trunk_cache.cached_tokens(embed, batch, tmp_path)
    first, second = batch["row"].numpy()
    assert {path.name for path in tmp_path.iterdir()} == {f"{first}.npy", f"{second}.npy"}
    (tmp_path / f"{second}.npy").unlink()
    computed = []

    def counted(sequence):
        computed.append(sequence.numpy())
        return embed(sequence)

    np.testing.assert_array_equal(trunk_cache.cached_tokens(counted, batch, tmp_path), whole)
    np.testing.assert_array_equal(computed, batch["sequence"][1:2][tf.newaxis])


def test_another_trunk_or_length_has_a_folder_of_its_own(model, folder, tmp_path):
    folders = {
        folder_of(model, folder, tmp_path),
        folder_of(model, folder, tmp_path, sequence_length_bp=LENGTH_BP // 2),
        folder_of(Enformer(model.config, seed=1), folder, tmp_path),
    }
    assert len(folders) == 3
