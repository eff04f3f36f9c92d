import numpy as np
import pytest
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
    """The model's weights in the names and layout of enformer-pytorch."""
    return {
        enformer_pytorch.to_enformer_pytorch_name(name): np.ascontiguousarray(variable.numpy().T)
        for name, variable in named_variables(model).items()
        if not name.endswith("/hidden")
    }


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
    ("change", "message"),
    [
        (lambda array: array + np.float32("nan"), "holds a value that is not finite"),
        (lambda array: -1 - abs(array), "holds a negative variance"),
        (lambda array: array.astype(np.int32), "is int32, expected float32 for final_pointwise"),
    ],
)
def test_loader_rejects_impossible_weights(change, message, arrays, tmp_path):
    name = "final_pointwise.1.0.running_var"
    with pytest.raises(ValueError, match=rf"model\.safetensors: '{name}' {message}"):
        load({**arrays, name: change(arrays[name])}, tmp_path)


def test_sonnet_checkpoint_restores_every_variable(model, tmp_path):
    sonnet.save_sonnet(model, tmp_path / "weights")
    loaded = named_variables(sonnet.load_sonnet(tmp_path / "weights", SMALL))
    for name, variable in named_variables(model).items():
        np.testing.assert_array_equal(loaded[name], variable, err_msg=name)


def test_truncated_sonnet_checkpoint_is_rejected(model, tmp_path):
    sonnet.save_sonnet(model, tmp_path / "weights")
    values = tmp_path / "weights.data-00000-of-00001"
    num_bytes = values.stat().st_size
    values.write_bytes(values.read_bytes()[: num_bytes // 2])
    sizes = rf"truncated \({num_bytes // 2:,} of {num_bytes:,} bytes\), download it again"
    with pytest.raises(ValueError, match=sizes):
        sonnet.load_sonnet(tmp_path / "weights", SMALL)
