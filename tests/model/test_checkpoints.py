import json

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import save_file

from senformer.config import preset
from senformer.model import checkpoints
from senformer.model.enformer import Enformer
from senformer.storage import checked_arrays

LENGTH_BP = 10_240


def make_model(seed=0, **changes):
    changes = {"target_length": 32, "tracks": {"human": 3, "mouse": 2}} | changes
    return Enformer(preset("senformer_tiny", **changes), seed=seed)


@pytest.fixture(scope="module")
def model():
    """Return a model that no test changes."""
    return make_model()


@pytest.fixture(scope="module")
def sequence():
    return tf.one_hot(np.random.default_rng(0).integers(0, 4, size=(1, LENGTH_BP)), 4)


def test_restore_gives_same_predictions(tmp_path, sequence):
    model = make_model(seed=3)
    model.transformer[1].attention.fixed_random_blocks = np.full([4, 3, 1], 1, np.int32)
    checkpoints.save(model, tmp_path / "model.safetensors")
    restored = checkpoints.restore(tmp_path / "model.safetensors")
    assert restored.config == model.config
    np.testing.assert_array_equal(
        restored(sequence)["human"], model(sequence)["human"], strict=True
    )


def test_save_stores_extra_arrays(model, tmp_path):
    extra = {"optimizer/step": np.array(7), "optimizer/m/0": np.arange(3.0)}
    checkpoints.save(model, tmp_path / "run.safetensors", extra)
    with checkpoints.open_checkpoint(tmp_path / "run.safetensors") as checkpoint:
        stored = checkpoint.read_extra()
    assert stored.keys() == extra.keys()
    np.testing.assert_array_equal(stored["optimizer/m/0"], extra["optimizer/m/0"])


def test_save_rejects_weights_that_are_not_finite(tmp_path):
    path = tmp_path / "model.safetensors"
    model = make_model()
    checkpoints.save(model, path)
    before = path.read_bytes()
    model.stem.conv.w.assign(model.stem.conv.w * np.nan)
    with pytest.raises(ValueError, match=r"stem/.* is not finite; .*model.safetensors is unchang"):
        checkpoints.save(model, path)
    assert path.read_bytes() == before


def test_save_reads_each_variable_once(model, tmp_path, monkeypatch):
    variable_type, read = type(model.stem.conv.w), []
    numpy = variable_type.numpy

    def record_and_read(variable):
        read.append(id(variable))
        return numpy(variable)

    monkeypatch.setattr(variable_type, "numpy", record_and_read)
    checkpoints.save(model, tmp_path / "model.safetensors")
    assert sorted(read) == sorted(map(id, model.variables))


def test_restore_into_rejects_other_shapes(tmp_path):
    path = tmp_path / "model.safetensors"
    checkpoints.save(make_model(tracks={"human": 4, "mouse": 2}), path)
    model = make_model(seed=5)
    before = model.stem.conv.w.numpy()
    with pytest.raises(ValueError, match=r"'head_human/b' has shape \[4\], expected \[3\]"):
        checkpoints.restore_into(model, path)
    np.testing.assert_array_equal(model.stem.conv.w, before)


def test_restore_names_foreign_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.safetensors does not exist"):
        checkpoints.restore(tmp_path / "none.safetensors")
    save_file({"a": np.zeros(1)}, tmp_path / "foreign.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"foreign.safetensors: no checksum in its header"):
        checkpoints.restore(tmp_path / "foreign.safetensors")
    checked_arrays.write(tmp_path / "other.safetensors", {"a": np.zeros(1)}, {})
    with pytest.raises(ValueError, match=r"other.safetensors: no senformer-2 checkpoint, expected"):
        checkpoints.restore(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("stem/conv/b", np.full(128, np.nan, np.float32), "holds a value that is not finite"),
        ("stem/conv/b", np.full(128, 1e300), "holds a value that is not finite in float32"),
        ("stem/conv/b", np.zeros(128, np.int32), "is int32, expected float32"),
        ("stem/conv/b", np.zeros(128, bool), "is bool, expected float32"),
        ("stem/conv/b", np.zeros(64, np.float32), r"has shape \[64\], expected \[128\]"),
        (
            "final_pointwise/batch_norm/moving_variance/average",
            np.full([1, 1, 256], -1, np.float32),
            "holds a negative variance",
        ),
        ("random_blocks/0", np.full([4, 3, 1], 5, np.int32), r".*expected key blocks, integers"),
        ("random_blocks/0", np.zeros([4, 3, 1], np.float32), r".*expected key blocks, integers"),
        ("random_blocks/9", np.zeros([4, 3, 1], np.int32), "which the model does not have"),
        ("transformer_9/w", np.zeros(1, np.float32), "which the model does not have"),
    ],
)
def test_restore_names_impossible_arrays(name, array, message, model, tmp_path):
    path = tmp_path / "model.safetensors"
    arrays = dict(checkpoints.named_arrays(model)) | {name: array}
    config = json.dumps(model.config.model_dump())
    checked_arrays.write(path, arrays, {"format": checkpoints.FORMAT, "config": config})
    with pytest.raises(ValueError, match=rf"model\.safetensors.* '{name}',? {message}"):
        checkpoints.restore_into(model, path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("", r"not JSON \(.*\), expected the configuration of a model"),
        ("[]", "list in JSON, expected the configuration of a model"),
        (
            '{"channels": 5, "sizes": 1}',
            r"channels=5, expected at least 256; unknown option",
        ),
        ('{"tracks": {"my-cells": 3}}', r"tracks\.my-cells.*expected a head whose name has only"),
    ],
)
def test_restore_names_impossible_configurations(config, message, tmp_path):
    path = tmp_path / "model.safetensors"
    checked_arrays.write(path, {}, {"format": checkpoints.FORMAT, "config": config})
    with pytest.raises(ValueError, match=rf"model\.safetensors: {message}"):
        checkpoints.restore(path)


@pytest.mark.slow
def test_tensorflow_saves_and_loads_a_model(sequence, tmp_path):
    model = make_model()
    expected = model.predict_on_batch(sequence)["mouse"]
    tf.saved_model.save(model, str(tmp_path / "exported"))
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(loaded.predict_on_batch(sequence)["mouse"], expected, atol=1e-5)
