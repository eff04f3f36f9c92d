import json

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import save_file

from senformer.config import preset
from senformer.model import checkpoints
from senformer.model.checkpoints import named_variables
from senformer.model.enformer import Enformer
from senformer.model.weights import enformer_pytorch
from senformer.prediction.weight_sources import find_weights

CONFIG = preset("enformer_tiny", num_transformer_layers=1, tracks={"human": 3, "mouse": 2})


@pytest.fixture(scope="module")
def model():
    return Enformer(CONFIG, seed=2)


def test_find_weights_reads_this_packages_config(model, tmp_path):
    checkpoints.save(model, tmp_path / "model.safetensors")
    found = find_weights(tmp_path / "model.safetensors", target_length=64)
    assert found.config == CONFIG.replace(target_length=64)
    loaded = found.load(found.config)
    assert loaded.config.target_length == 64
    np.testing.assert_array_equal(loaded.heads["mouse"].w, model.heads["mouse"].w)


def test_find_weights_recognises_enformer_pytorch(model, tmp_path):
    path, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    arrays = {
        enformer_pytorch.to_enformer_pytorch_name(name): np.ascontiguousarray(variable.numpy().T)
        for name, variable in named_variables(model).items()
        if not name.endswith("/hidden")
    }
    save_file(arrays, path)
    with pytest.raises(FileNotFoundError, match=r"config\.json: no such file, expected enformer-p"):
        find_weights(path)
    config.write_text(json.dumps({"dim": 256}))
    with pytest.raises(ValueError, match=r"config\.json: use_tf_gamma=None, expected true for"):
        find_weights(path)
    for use_tf_gamma, scaling in ((True, "per_feature"), (False, "per_position")):
        config.write_text(json.dumps({"use_tf_gamma": use_tf_gamma, "target_length": 32}))
        found = find_weights(path)
        assert (found.config.gamma_scaling, found.config.target_length) == (scaling, 32)
        for size in ("channels", "num_heads", "key_size", "tracks"):
            assert getattr(found.config, size) == getattr(CONFIG, size)
        assert found.load(found.config).config == found.config


def test_find_weights_names_what_it_found(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/notes.txt").write_text("weights")
    save_file({"a": np.zeros(1), "b": np.zeros(1)}, tmp_path / "other.safetensors")
    for name, message in {
        "none": "no such file or folder,",
        "empty": "a folder that holds nothing,",
        "folder": r"a folder that holds notes\.txt,",
        "folder/notes.txt": r"no safetensors file \(",
        "other.safetensors": r"a safetensors file of other arrays \(a, b\)",
    }.items():
        expected = rf"{name}: {message}.*expected DeepMind's Sonnet checkpoint .*, a SavedModel .*,"
        with pytest.raises((ValueError, FileNotFoundError), match=expected):
            find_weights(tmp_path / name)


def test_find_weights_refuses_other_saved_models(tmp_path):
    def refuse(name, message):
        with pytest.raises(ValueError, match=message):
            find_weights(tmp_path / name)

    tf.saved_model.save(tf.Module(), str(tmp_path / "empty"))
    refuse("empty", r"empty: a SavedModel without model\.predict_on_batch, e")
    root = tf.Module()
    root.model = tf.Module()
    root.model.predict_on_batch = tf.function(
        lambda x: {"human": x}, input_signature=[tf.TensorSpec([None, 256, 5])]
    )
    tf.saved_model.save(root, str(tmp_path / "other"))
    refuse("other", r"other: predict_on_batch takes .*, expected \[batch, le")
    (tmp_path / "empty/saved_model.pb").write_bytes(b"damaged")
    refuse("empty", r"empty: damaged or no SavedModel \(")
    (tmp_path / "empty/export.json").write_text('{"weights": "model.safetensors"}')
    refuse("empty", r"empty: an export of model\.safetensors, expected those")
