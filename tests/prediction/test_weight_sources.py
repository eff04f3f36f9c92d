import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from foreign_weights import to_enformer_pytorch
from safetensors.numpy import save_file

from senformer.config import preset
from senformer.model import checkpoints
from senformer.model.enformer import Enformer
from senformer.model.weights import sonnet
from senformer.prediction.weight_sources import find_weights

CONFIG = preset("enformer_tiny", num_transformer_layers=1, tracks={"human": 3, "mouse": 2})


@pytest.fixture(scope="module")
def model():
    return Enformer(CONFIG, seed=2)


@pytest.fixture(scope="module")
def snapshot(model, tmp_path_factory):
    """Write a folder with enformer-pytorch's weights and config."""
    folder = tmp_path_factory.mktemp("snapshot")
    save_file(to_enformer_pytorch(model), folder / "model.safetensors")
    (folder / "config.json").write_text('{"use_tf_gamma": true, "target_length": 32}')
    return folder


def test_find_weights_reads_this_packages_config(model, tmp_path):
    checkpoints.save(model, tmp_path / "model.safetensors")
    found = find_weights(tmp_path / "model.safetensors", target_length=64)
    assert found.config == CONFIG.replace(target_length=64)
    loaded = found.load(found.config)
    assert loaded.config.target_length == 64
    np.testing.assert_array_equal(loaded.heads["mouse"].w, model.heads["mouse"].w)


@pytest.mark.parametrize(
    ("description", "options", "expected"),
    [
        ({"use_tf_gamma": True, "target_length": 32}, {}, 32),
        ({"use_tf_gamma": False, "target_length": 32}, {"target_length": 64}, 64),
        ({"use_tf_gamma": False}, {}, 896),
        ({"use_tf_gamma": False, "target_length": -1}, {"sequence_length_bp": 8192}, 64),
        ({"use_tf_gamma": False, "target_length": -1}, {"target_length": 16}, 16),
        ({"use_tf_gamma": False, "target_length": -2}, {}, r"target_length=-2, expected an int"),
        ({"use_tf_gamma": False, "target_length": -1}, {}, r"target_length=-1, expected an int"),
        ({"dim": 256}, {}, r"use_tf_gamma=None, expected true for weights that were converted"),
        (None, {}, r"no such file, expected enformer-pytorch's config"),
    ],
)
def test_find_weights_reads_enformer_pytorch(description, options, expected, snapshot, tmp_path):
    shutil.copy(snapshot / "model.safetensors", tmp_path)
    if description:
        (tmp_path / "config.json").write_text(json.dumps(description))
    if isinstance(expected, str):
        with pytest.raises((ValueError, FileNotFoundError), match=rf"config\.json: {expected}"):
            find_weights(tmp_path / "model.safetensors", **options)
        return
    found = find_weights(tmp_path / "model.safetensors", **options)
    scaling = "per_feature" if description["use_tf_gamma"] else "per_position"
    assert (found.config.gamma_scaling, found.config.target_length) == (scaling, expected)
    for size in ("channels", "num_heads", "key_size", "tracks"):
        assert getattr(found.config, size) == getattr(CONFIG, size)
    assert found.load(found.config).config == found.config


def test_find_weights_finds_the_only_file(model, snapshot, tmp_path):
    assert find_weights(snapshot).path == snapshot / "model.safetensors"
    sonnet.save_sonnet(model, tmp_path / "weights-1.5")
    for name in ("", "weights-1.5.index", "weights-1.5.data-00000-of-00001", "weights-1.5"):
        assert find_weights(tmp_path / name).path == tmp_path / "weights-1.5"
    shutil.copy(snapshot / "model.safetensors", tmp_path)
    with pytest.raises(ValueError, match=r": 2 files of weights \(model\.saf.*\), expected one's "):
        find_weights(tmp_path)


@pytest.mark.parametrize(
    ("name", "message", "advice"),
    [
        ("none", "no such file or folder", ""),
        ("empty", "a folder that holds nothing", ""),
        ("folder", r"a folder that holds notes\.txt", ""),
        ("folder/notes.txt", r"no safetensors file \(", ""),
        ("other.safetensors", r"a safetensors file of other arrays \(a, b\)", ""),
        ("torch", r"a folder that holds pytorch_model\.bin", "a file of PyTorch: load it there"),
        ("torch/pytorch_model.bin", r"no safetensors file \(", "a file of PyTorch: load it there"),
        ("basenji.h5", r"no safetensors file \(", "a file of Keras: load it there and write a S"),
        ("EleutherAI/enformer", "no such file or folder", "a path is needed, nothing is downloa"),
        ("https://tfhub.dev/deepmind/enformer/1", "no such file or folder", "a path is needed, no"),
    ],
)
def test_find_weights_names_what_it_found(name, message, advice, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("empty", "folder", "torch"):
        (tmp_path / folder).mkdir()
    for file in ("folder/notes.txt", "torch/pytorch_model.bin", "basenji.h5"):
        (tmp_path / file).write_text("weights")
    save_file({"a": np.zeros(1), "b": np.zeros(1)}, tmp_path / "other.safetensors")
    expected = rf"{message}.*, expected DeepMind's Sonnet checkpoint .*, a SavedModel .*{advice}"
    with pytest.raises((ValueError, FileNotFoundError), match=expected):
        find_weights(name)


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
    program = tmp_path / "empty/saved_model.pb"
    good = program.read_bytes()
    program.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    refuse("empty", r"empty: damaged, saved_model\.pb and fingerprint\.pb differ")
    (tmp_path / "empty/fingerprint.pb").unlink()
    program.write_bytes(b"damaged")
    refuse("empty", r"empty: damaged or no SavedModel \(")
    (tmp_path / "empty/export.json").write_text('{"weights": "model.safetensors"}')
    refuse("empty", r"empty: an export of model\.safetensors, expected those")
