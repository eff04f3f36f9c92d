import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import save_file

from senformer.config import preset
from senformer.model import checkpoints
from senformer.model.enformer import Enformer
from senformer.storage import checked_arrays

LENGTH_BP = 10_240


def tiny(attention="bigbird", seed=0, **changes):
    changes = {"target_length": 32, "tracks": {"human": 3, "mouse": 2}} | changes
    return Enformer(preset("senformer_tiny", attention=attention, **changes), seed=seed)


def sequence():
    return tf.one_hot(np.random.default_rng(0).integers(0, 4, size=(1, LENGTH_BP)), 4)


def test_a_restored_model_predicts_the_same(tmp_path):
    model = tiny(seed=3)
    model.transformer[1].attention.fixed_random_blocks = np.full([4, 3, 1], 1, np.int32)
    checkpoints.save(model, tmp_path / "model.safetensors")
    restored = checkpoints.restore(tmp_path / "model.safetensors")
    assert restored.config == model.config
    np.testing.assert_array_equal(
        restored(sequence())["human"], model(sequence())["human"], strict=True
    )


def test_what_is_saved_beside_a_model_comes_back(tmp_path):
    extra = {"optimizer/step": np.array(7), "optimizer/m/0": np.arange(3.0)}
    checkpoints.save(tiny(), tmp_path / "run.safetensors", extra)
    with checkpoints.opened(tmp_path / "run.safetensors") as checkpoint:
        stored = checkpoint.extra()
    assert stored.keys() == extra.keys()
    np.testing.assert_array_equal(stored["optimizer/m/0"], extra["optimizer/m/0"])


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    path = tmp_path / "model.safetensors"
    checkpoints.save(tiny(), path)
    before = path.read_bytes()
    model = tiny()
    model.stem.conv.w.assign(model.stem.conv.w * np.nan)
    with pytest.raises(ValueError, match=r"stem/.* is not finite; .*model.safetensors is left as"):
        checkpoints.save(model, path)
    assert path.read_bytes() == before


def test_each_weight_is_read_once_to_be_saved(tmp_path, monkeypatch):
    model, read = tiny(), []
    names = {id(variable): name for name, variable in checkpoints.named_variables(model).items()}
    numpy = type(model.stem.conv.w).numpy

    def counted(variable):
        read.append(names[id(variable)])
        return numpy(variable)

    monkeypatch.setattr(type(model.stem.conv.w), "numpy", counted)
    checkpoints.save(model, tmp_path / "model.safetensors")
    assert sorted(read) == sorted(names.values())


def test_a_checkpoint_of_another_shape_is_named_and_changes_nothing(tmp_path):
    path = tmp_path / "model.safetensors"
    checkpoints.save(tiny(tracks={"human": 4, "mouse": 2}), path)
    model = tiny(seed=5)
    before = model.stem.conv.w.numpy()
    with pytest.raises(ValueError, match=r"'head_human/b' has shape \[4\], expected \[3\]"):
        checkpoints.restore_into(model, path)
    np.testing.assert_array_equal(model.stem.conv.w, before)


def test_foreign_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.safetensors does not exist"):
        checkpoints.restore(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("not a checkpoint")
    with pytest.raises(ValueError, match=r"text.safetensors: no checksum in its header"):
        checkpoints.restore(tmp_path / "text.safetensors")
    save_file({"a": np.zeros(1)}, tmp_path / "foreign.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"foreign.safetensors: no checksum in its header"):
        checkpoints.restore(tmp_path / "foreign.safetensors")
    checked_arrays.write(tmp_path / "other.safetensors", {"a": np.zeros(1)}, {})
    with pytest.raises(ValueError, match=r"other.safetensors is no senformer-2 checkpoint"):
        checkpoints.restore(tmp_path / "other.safetensors")


@pytest.mark.slow
def test_the_saved_model_is_used_as_the_one_of_tf_hub(tmp_path):
    model = tiny()
    checkpoints.export_saved_model(model, tmp_path / "exported", LENGTH_BP)
    enformer = tf.saved_model.load(tmp_path / "exported").model
    np.testing.assert_allclose(
        enformer.predict_on_batch(sequence())["human"], model(sequence())["human"], atol=1e-5
    )
    with pytest.raises(ValueError, match="must be a multiple of 2048"):
        checkpoints.export_saved_model(model, tmp_path / "bad", LENGTH_BP + 128)


@pytest.mark.slow
def test_a_model_can_be_saved_by_tensorflow_itself(tmp_path):
    model = tiny()
    expected = model.predict_on_batch(sequence())["mouse"]
    tf.saved_model.save(model, str(tmp_path / "exported"))
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(loaded.predict_on_batch(sequence())["mouse"], expected, atol=1e-5)
