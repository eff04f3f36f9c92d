import numpy as np
import pytest
import tensorflow as tf
from foreign_weights import to_enformer_pytorch
from safetensors.numpy import save_file

from senformer.config import preset
from senformer.model.checkpoints import named_variables
from senformer.model.enformer import Enformer
from senformer.model.weights import enformer_pytorch, sonnet

SMALL = preset(
    "enformer_tiny", num_transformer_layers=1, target_length=32, tracks={"human": 2, "mouse": 1}
)


@pytest.fixture(scope="module")
def model():
    return Enformer(SMALL, seed=3)


@pytest.fixture(scope="module")
def arrays(model):
    return to_enformer_pytorch(model)


def load(arrays, folder, config=SMALL):
    save_file(arrays, folder / "model.safetensors")
    return enformer_pytorch.load_enformer_pytorch(folder / "model.safetensors", config)


def test_loaders_name_missing_and_foreign_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.index does not exist, expected a Sonnet"):
        sonnet.load_sonnet(tmp_path / "none", SMALL)
    with pytest.raises(ValueError, match=r"model.safetensors has no '"):
        load({"a": np.zeros(1)}, tmp_path)


def test_loader_accepts_fewer_heads_but_not_layers(arrays, tmp_path):
    assert load(arrays, tmp_path, SMALL.replace(tracks={"human": 2})).heads.keys() == {"human"}
    second = {name.replace("transformer.0", "transformer.1"): a for name, a in arrays.items()}
    message = r"model\.safetensors has 'transformer\.1\..*', which the model does not have"
    with pytest.raises(ValueError, match=message):
        load(second | arrays, tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", "module._orig_mod."),
        ("stem.", "_trunk.1."),
    ],
)
def test_loader_accepts_names_of_wrappers(old, new, model, arrays, tmp_path):
    renamed = {
        new + name.removeprefix(old) if name.startswith(old) else name: array
        for name, array in arrays.items()
    }
    loaded = named_variables(load(renamed, tmp_path))
    for name, variable in named_variables(model).items():
        if not name.endswith("/hidden"):
            np.testing.assert_array_equal(loaded[name], variable, err_msg=name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_heads.my-cells.0": 4}, r"tracks\.my-cells.*'my-cells', expected a head whose name has"),
        ({"_heads.a.b.0": 4}, r"tracks\.a\.b.*'a\.b', expected a head whose name has only letters"),
        ({"_heads.rat.0.weight": 4}, r"'_heads\.rat\.0\.weight' of a head without a bias, expect"),
        ({"_heads.rat.1": 4}, r"has '_heads\.rat\.1\.bias', which the model does not have"),
        ({"to_tracks": 4}, r"has 'to_tracks\.bias', which the model does not have"),
    ],
)
def test_loader_keeps_or_names_each_head(changes, message, arrays, tmp_path):
    [(name, num_tracks)] = changes.items()
    head = {".weight": [num_tracks, 512], ".bias": [num_tracks]}
    if name.endswith(".weight"):
        head = {"": [num_tracks, 512]}
    added = {name + end: np.zeros(shape, np.float32) for end, shape in head.items()}
    with pytest.raises(ValueError, match=rf"model\.safetensors.* ?{message}"):
        save_file(arrays | added, tmp_path / "model.safetensors")
        config = enformer_pytorch.read_enformer_pytorch_config(tmp_path / "model.safetensors")
        enformer_pytorch.load_enformer_pytorch(tmp_path / "model.safetensors", config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda array: array + np.float32("nan"), "holds a value that is not finite"),
        (lambda array: array.astype(np.float64) + 1e300, "holds a value that is not finite"),
        (lambda array: -1 - abs(array), "holds a negative variance"),
        (lambda array: array.astype(np.int32), "is int32, expected float32 for final_pointwise"),
        (lambda array: array > 0, "is bool, expected float32 for final_pointwise"),
    ],
)
def test_loader_rejects_impossible_weights(change, message, arrays, tmp_path):
    name = "final_pointwise.1.0.running_var"
    with pytest.raises(ValueError, match=rf"model\.safetensors: '{name}' {message}"):
        load({**arrays, name: change(arrays[name])}, tmp_path)


def test_loader_names_types_that_numpy_lacks(arrays, tmp_path):
    path, name = tmp_path / "model.safetensors", "_heads.mouse.0.bias"
    save_file(arrays, path)
    content = path.read_bytes()
    place = content.index(f'"{name}":{{"dtype":"F32","shape":[1]'.encode())
    changed = content[place:].replace(b'"F32","shape":[1]', b'"F8_E5M2","shape":[4]', 1)
    header = len(content) - len(content[place:])
    length = int.from_bytes(content[:8], "little") + len(changed) - len(content[place:])
    path.write_bytes(length.to_bytes(8, "little") + content[8:header] + changed)
    with pytest.raises(
        ValueError, match=rf"model\.safetensors: '{name}' cannot be read \(.*float8"
    ):
        enformer_pytorch.read_enformer_pytorch_config(path)


def test_sonnet_checkpoint_restores_every_variable(model, tmp_path):
    sonnet.save_sonnet(model, tmp_path / "weights")
    loaded = named_variables(sonnet.load_sonnet(tmp_path / "weights", SMALL))
    for name, variable in named_variables(model).items():
        np.testing.assert_array_equal(loaded[name], variable, err_msg=name)


@pytest.mark.parametrize("value", ["text", ["text"] * 256])
def test_sonnet_checkpoint_with_texts_is_rejected(value, model, tmp_path):
    variables = {sonnet.to_sonnet_name(n): v.numpy() for n, v in named_variables(model).items()}
    variables["module/_trunk/_layers/0/_layers/0/b"] = np.array(value, object)
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "weights"),
        tensor_names=[name + sonnet.SUFFIX for name in variables],
        shape_and_slices=[""] * len(variables),
        tensors=[tf.constant(value) for value in variables.values()],
    )
    with pytest.raises(ValueError, match=r"weights: 'module/_trunk/.*/b' is .*, expected float32"):
        sonnet.load_sonnet(tmp_path / "weights", SMALL)


def test_truncated_sonnet_checkpoint_is_rejected(model, tmp_path):
    sonnet.save_sonnet(model, tmp_path / "weights")
    values = tmp_path / "weights.data-00000-of-00001"
    num_bytes = values.stat().st_size
    values.write_bytes(values.read_bytes()[: num_bytes // 2])
    sizes = rf"truncated \({num_bytes // 2:,} of {num_bytes:,} bytes\), download it again"
    with pytest.raises(ValueError, match=sizes):
        sonnet.load_sonnet(tmp_path / "weights", SMALL)
