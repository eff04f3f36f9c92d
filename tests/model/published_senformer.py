"""Load the weights and random blocks of the published S-Enformer."""

import json
import re

import numpy as np

from senformer.config import ModelConfig
from senformer.model.checkpoints import ArrayFile, assign, named_variables
from senformer.model.enformer import Enformer
from senformer.model.weights.loading import rename


def load_published_senformer(folder):
    """Construct a model from `config.json`, `variables.npz` and `forward.npz`."""
    description = json.loads((folder / "config.json").read_text())
    config = read_config(
        description,
        attention="bigbird",
        block_size=description["block_size"],
        num_random_blocks=description["num_rand_blocks"],
    )
    model = Enformer(config)
    indices = _find_indices(description["variables"])
    names = {name: f"v{indices[name]:03d}" for name in named_variables(model)}
    required = {f"v{i:03d}" for name, i in indices.items() if not name.startswith("head_")}
    with np.load(folder / "variables.npz") as arrays:
        file = ArrayFile(folder / "variables.npz", set(arrays.files), arrays.__getitem__)
        assign(model, file, names, required)
    random_blocks = np.load(folder / "forward.npz")["rand_attn"].astype(np.int32)
    for block, of_layer in zip(model.transformer, random_blocks, strict=True):
        block.attention.fixed_random_blocks = of_layer
    return model


def read_config(description, **options):
    """Construct a configuration from the published models' `config.json`."""
    names = ("channels", "num_transformer_layers", "num_heads", "target_length")
    sizes = {name: description[name] for name in names}
    pooling, tracks = description["pooling_type"], description["heads"]
    return ModelConfig(**sizes, pooling=pooling, tracks=tracks, **options)


def _find_indices(variables):
    """Return the index of each variable by this package's name.

    The attention's variables carry no layer, and the two layers of an MLP share a name: their
    order distinguishes them.
    """
    indices = {}
    for variable in variables:
        name = variable["name"].removesuffix(":0")
        scope, _, leaf = name.rpartition("/")
        if scope in _ATTENTION:
            part = f"attention/{_ATTENTION[scope]}/{'w' if leaf == 'kernel' else 'b'}"
            layer = sum(known.endswith(part) for known in indices)
            name = f"transformer_{layer}/{part}"
        else:
            name = rename(name, _RULES)
            mlp = re.match(_MLP, name)
            if mlp:
                name = f"transformer_{mlp[1]}/mlp_in/{mlp[2]}"
                if name in indices:
                    name = f"transformer_{mlp[1]}/mlp_out/{mlp[2]}"
        indices[name] = variable["index"]
    return indices


_RULES = {
    r"^enformer/": "",
    r"^(heads|trunk)/": "",
    r"([^/]+)/\1/": r"\1/",  # the names repeat each scope
    r"^conv_tower/conv_tower_block_(\d+)/": r"tower_\1/",
    r"^transformer/transformer_block_(\d+)/mha/layer_norm/": r"transformer_\1/attention_norm/",
    r"^transformer/transformer_block_(\d+)/mlp/layer_norm/": r"transformer_\1/mlp_norm/",
    r"^final_pointwise/conv_block/": "final_pointwise/",
    r"/pointwise_conv_block/": "/pointwise/",
    r"/conv1_d/": "/conv/",
    r"/softmax_pooling/linear/": "/pool/",
    r"^(head_\w+?)/linear/": r"\1/",
}
_ATTENTION = {"q_layer": "query", "k_layer": "key", "v_layer": "value", "dense": "output"}
_MLP = r"^transformer/transformer_block_(\d+)/mlp/linear/([wb])$"
