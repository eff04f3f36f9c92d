import numpy as np
import pytest
from safetensors.numpy import save_file

from senformer.config import preset
from senformer.model.checkpoints import named_variables
from senformer.model.enformer import Enformer
from senformer.model.weights import foreign_weights

SMALL = preset(
    "enformer_tiny", num_transformer_layers=1, target_length=32, tracks={"human": 2, "mouse": 1}
)


def test_files_that_are_missing_or_of_another_kind_are_named(tmp_path):
    config = preset("enformer_tiny", target_length=32)
    with pytest.raises(FileNotFoundError, match=r"none.index does not exist, expected a Sonnet"):
        foreign_weights.load_sonnet(tmp_path / "none", config)
    save_file({"a": np.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other.safetensors has no '"):
        foreign_weights.load_enformer_pytorch(tmp_path / "other.safetensors", config)


@pytest.fixture(scope="module")
def arrays():
    """A small model's weights as enformer-pytorch names and lays them."""
    theirs = {
        foreign_weights._enformer_pytorch_name(name): np.ascontiguousarray(variable.numpy().T)
        for name, variable in named_variables(Enformer(SMALL, seed=3)).items()
    }
    del theirs[None]
    return theirs


def load(arrays, folder, config=SMALL):
    save_file(arrays, folder / "model.safetensors")
    return foreign_weights.load_enformer_pytorch(folder / "model.safetensors", config)


def test_an_organism_may_be_left_out_and_a_layer_may_not(arrays, tmp_path):
    assert load(arrays, tmp_path, SMALL.replace(tracks={"human": 2})).heads.keys() == {"human"}
    further = {name.replace("transformer.0", "transformer.1"): a for name, a in arrays.items()}
    message = r"model\.safetensors has 'transformer\.1\..*', expected nothing that the model does"
    with pytest.raises(ValueError, match=message):
        load(further | arrays, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda array: array + np.float32("nan"), "holds a value that is not finite"),
        (lambda array: -1 - abs(array), "holds a negative variance"),
        (lambda array: array.astype(np.int32), "is int32, expected float32 for final_pointwise"),
    ],
)
def test_what_no_weight_can_be_is_named(change, message, arrays, tmp_path):
    name = "final_pointwise.1.0.running_var"
    with pytest.raises(ValueError, match=rf"model\.safetensors: '{name}' {message}"):
        load({**arrays, name: change(arrays[name])}, tmp_path)


def test_what_is_saved_as_sonnets_is_loaded_as_it_was(tmp_path):
    model = Enformer(SMALL, seed=1)
    foreign_weights.save_sonnet(model, tmp_path / "weights")
    loaded = named_variables(foreign_weights.load_sonnet(tmp_path / "weights", SMALL))
    for name, variable in named_variables(model).items():
        np.testing.assert_array_equal(loaded[name], variable, err_msg=name)


def test_a_download_that_broke_off_is_said_with_both_sizes(tmp_path):
    foreign_weights.save_sonnet(Enformer(SMALL), tmp_path / "weights")
    values = tmp_path / "weights.data-00000-of-00001"
    num_bytes = values.stat().st_size
    values.write_bytes(values.read_bytes()[: num_bytes // 2])
    with pytest.raises(ValueError, match=r"truncated \([\d,]+ of [\d,]+ bytes\)") as refused:
        foreign_weights.load_sonnet(tmp_path / "weights", SMALL)
    assert f"({num_bytes // 2:,} of {num_bytes:,} bytes), download it again" in str(refused.value)
