import json

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import save_file

from senformer.config import preset
from senformer.model import checkpoints
from senformer.model.checkpoints import named_variables
from senformer.model.enformer import Enformer
from senformer.model.weights import foreign_weights
from senformer.prediction import weights

CONFIG = preset("enformer_tiny", num_transformer_layers=1, tracks={"human": 3, "mouse": 2})


@pytest.fixture(scope="module")
def model():
    return Enformer(CONFIG, seed=2)


def of_pytorch(model):
    theirs = {
        foreign_weights._enformer_pytorch_name(name): np.ascontiguousarray(variable.numpy().T)
        for name, variable in named_variables(model).items()
    }
    del theirs[None]
    return theirs


def sizes(config):
    return {name: getattr(config, name) for name in ("channels", "num_heads", "key_size", "tracks")}


def test_what_a_file_of_this_package_is_it_says_itself(model, tmp_path):
    checkpoints.save(model, tmp_path / "model.safetensors")
    found = weights.find_weights(tmp_path / "model.safetensors", target_length=64)
    assert found.config == CONFIG.replace(target_length=64)
    loaded = found.load(found.config)
    assert loaded.config.target_length == 64
    np.testing.assert_array_equal(loaded.heads["mouse"].w, model.heads["mouse"].w)


def test_enformer_pytorchs_are_known_by_their_names_and_the_config_beside_them(model, tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(of_pytorch(model), path)
    with pytest.raises(FileNotFoundError, match=r"config\.json: no such file, expected enformer-p"):
        weights.find_weights(path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"dim": 256}))
    with pytest.raises(ValueError, match=r"config\.json: use_tf_gamma=None, expected true for"):
        weights.find_weights(path)
    for use_tf_gamma, scaling in ((True, "per_feature"), (False, "per_position")):
        config.write_text(json.dumps({"use_tf_gamma": use_tf_gamma, "target_length": 32}))
        found = weights.find_weights(path)
        assert (found.config.gamma_scaling, found.config.target_length) == (scaling, 32)
        assert sizes(found.config) == sizes(CONFIG)
        assert found.load(found.config).config == found.config


def test_a_path_that_is_no_weights_is_answered_with_what_was_found_and_expected(tmp_path):
    expected = r".*expected DeepMind's Sonnet checkpoint .*, a SavedModel .*, enformer-pytorch's"

    def refused(path, message, kind=ValueError):
        with pytest.raises(kind, match=message + expected):
            weights.find_weights(path)

    refused(tmp_path / "none", r"none: no such file or folder,", FileNotFoundError)
    refused(tmp_path, r": a folder that holds nothing,", FileNotFoundError)
    (tmp_path / "notes.txt").write_text("weights")
    refused(tmp_path, r": a folder that holds notes\.txt,", FileNotFoundError)
    refused(tmp_path / "notes.txt", r"notes\.txt: no safetensors file \(")
    save_file({"a": np.zeros(1), "b": np.zeros(1)}, tmp_path / "other.safetensors")
    refused(tmp_path / "other.safetensors", r"other\.safetensors: a safetensors file of other ar")


def test_a_saved_model_that_is_no_enformers_is_named(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "empty"))
    with pytest.raises(ValueError, match=r"empty: a SavedModel without model\.predict_on_batch, e"):
        weights.find_weights(tmp_path / "empty")
    root = tf.Module()
    root.model = tf.Module()
    root.model.predict_on_batch = tf.function(
        lambda x: {"human": x}, input_signature=[tf.TensorSpec([None, 256, 5])]
    )
    tf.saved_model.save(root, str(tmp_path / "other"))
    with pytest.raises(ValueError, match=r"other: predict_on_batch takes .*, expected \[batch, le"):
        weights.find_weights(tmp_path / "other")
    (tmp_path / "empty" / "saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"empty: damaged or no SavedModel \("):
        weights.find_weights(tmp_path / "empty")
    (tmp_path / "empty" / "export.json").write_text('{"weights": "model.safetensors"}')
    with pytest.raises(ValueError, match=r"empty: an export of model\.safetensors, expected those"):
        weights.find_weights(tmp_path / "empty")
