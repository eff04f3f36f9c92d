import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from senformer.config import preset
from senformer.model import foreign_weights
from senformer.model.checkpoints import named_variables
from senformer.model.enformer import Enformer

SMALL = preset(
    "enformer_tiny", num_transformer_layers=1, target_length=32, tracks={"human": 2, "mouse": 1}
)


def test_files_that_are_missing_or_of_another_kind_are_named(tmp_path):
    config = preset("enformer_tiny", target_length=32)
    with pytest.raises(FileNotFoundError, match=r"none.index does not exist, expected a Sonnet"):
        foreign_weights.load_sonnet(tmp_path / "none", config)
    with pytest.raises(FileNotFoundError, match=r"config.json does not exist"):
        foreign_weights.load_published_senformer(tmp_path)
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


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        (np.zeros((1, 4, 14, 2), np.int32), r"of shape \[1, 4, 14, 2\], expected whole numbers"),
        (np.zeros((1, 4, 14, 3)), "is float64 of shape"),
        (np.full((1, 4, 14, 3), 16), "names block 16, expected 0 to 15"),
        (np.full((1, 4, 14, 3), -1), "names block -1, expected 0 to 15"),
    ],
)
def test_random_blocks_that_are_not_the_models_are_refused(drawn, message, tmp_path):
    config = SMALL.replace(attention="bigbird")
    with pytest.raises(ValueError, match=rf"forward\.npz: 'rand_attn' .*{message}"):
        foreign_weights._expect_random_blocks(drawn, config, tmp_path / "forward.npz")


def test_a_config_that_lacks_a_size_is_named(tmp_path):
    for name in ("variables.npz", "forward.npz"):
        np.savez(tmp_path / name)
    (tmp_path / "config.json").write_text(json.dumps({"channels": 256}))
    with pytest.raises(ValueError, match=r"config\.json has no 'num_transformer_layers'"):
        foreign_weights.load_published_senformer(tmp_path)
