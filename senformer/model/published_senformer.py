"""Weights of the published S-Enformer, and the random blocks that they were trained with."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from senformer.config import ModelConfig
from senformer.model.checkpoints import ReadArray, assign, named_variables
from senformer.model.enformer import Enformer
from senformer.model.weights.foreign_weights import checked, expect_nothing_more, substitute
from senformer.storage.text_files import read_json_object


def load_published_senformer(folder: str | Path) -> Enformer:
    """A model with the weights of the published S-Enformer, and its random blocks.

    Args:
        folder: Holds `config.json` (sizes, and each variable's name in order),
            `variables.npz` (arrays `v000`, `v001`, ... in that order) and `forward.npz` with
            `rand_attn` `[layers, heads, blocks - 2, random]`.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a variable is missing or has another shape; the message names it.
    """
    folder = Path(folder)
    for name in ("config.json", "variables.npz", "forward.npz"):
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder / name} does not exist")
    config, indices = _read_published_config(folder / "config.json")
    model = Enformer(config)
    names = {
        name: f"v{indices[name]:03d}" if name in indices else f"no {name}"
        for name in named_variables(model)
    }
    expect_nothing_more(
        {name for name in indices if not name.startswith("head_")},
        {name: name for name in names},
        folder / "config.json",
    )
    with _open_npz(folder / "variables.npz") as (read, stored):
        read_checked = checked(read, names, model, folder / "variables.npz")
        assign(model, names, read_checked, stored, folder / "variables.npz")
    with _open_npz(folder / "forward.npz") as (read, stored):
        if "rand_attn" not in stored:
            raise ValueError(f"{folder / 'forward.npz'} has no 'rand_attn', expected random blocks")
        drawn = read("rand_attn")
    _expect_random_blocks(drawn, config, folder / "forward.npz")
    for block, random_blocks in zip(model.transformer, drawn, strict=True):
        attention: Any = block.attention
        attention.fixed_random_blocks = random_blocks.astype(np.int32)
    return model


def _read_published_config(path: Path) -> tuple[ModelConfig, dict[str, int]]:
    """The model's sizes, and the index of each variable by our name."""
    description = read_json_object(path, "a published model's sizes and variables")
    try:
        config = ModelConfig(
            channels=description["channels"],
            num_transformer_layers=description["num_transformer_layers"],
            num_heads=description["num_heads"],
            pooling=description["pooling_type"],
            target_length=description["target_length"],
            tracks=description["heads"],
            attention="bigbird",
            block_size=description["block_size"],
            num_random_blocks=description["num_rand_blocks"],
        )
        return config, _published_senformer_indices(description["variables"])
    except KeyError as error:
        raise ValueError(f"{path} has no {error}, expected a published model's") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None


def _expect_random_blocks(drawn: np.ndarray, config: ModelConfig, path: Path) -> None:
    """`[layers, heads, blocks - 2, random]`, each a block between the first and the last."""
    layers, heads, num_random = (
        config.num_transformer_layers,
        config.num_heads,
        config.num_random_blocks,
    )
    is_of_model = drawn.ndim == 4 and (*drawn.shape[:2], drawn.shape[3]) == (
        layers,
        heads,
        num_random,
    )
    if not is_of_model or drawn.dtype.kind not in "iu":
        raise ValueError(
            f"{path}: 'rand_attn' is {drawn.dtype} of shape {list(drawn.shape)}, expected whole "
            f"numbers of shape [{layers}, {heads}, blocks - 2, {num_random}]"
        )
    last_block = drawn.shape[2] + 1
    if drawn.size and not (drawn.min() >= 0 and drawn.max() <= last_block):
        raise ValueError(
            f"{path}: 'rand_attn' names block {drawn.min() if drawn.min() < 0 else drawn.max()}, "
            f"expected 0 to {last_block}"
        )


@contextlib.contextmanager
def _open_npz(path: Path) -> Iterator[tuple[ReadArray, set[str]]]:
    """As `checkpoints.open_safetensors`, of NumPy's archives."""

    @contextlib.contextmanager
    def naming_damage() -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of zip, zlib, struct, or the parser of an array's head
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"{path} is no readable npz file: {reason}") from None

    with naming_damage():
        arrays = np.load(path)
        stored = set(arrays.files)

    def read(name: str) -> np.ndarray:
        with naming_damage():
            return np.asarray(arrays[name])

    with contextlib.closing(arrays):
        yield read, stored


_PUBLISHED_SENFORMER_RULES = {
    r"^enformer/": "",
    r"^(heads|trunk)/": "",
    r"([^/]+)/\1/": r"\1/",  # each scope stands twice
    r"^conv_tower/conv_tower_block_(\d+)/": r"tower_\1/",
    r"^transformer/transformer_block_(\d+)/mha/layer_norm/": r"transformer_\1/attention_norm/",
    r"^transformer/transformer_block_(\d+)/mlp/layer_norm/": r"transformer_\1/mlp_norm/",
    r"^final_pointwise/conv_block/": "final_pointwise/",
    r"/pointwise_conv_block/": "/pointwise/",
    r"/conv1_d/": "/conv/",
    r"/softmax_pooling/linear/": "/pool/",
    r"^(head_\w+?)/linear/": r"\1/",
}
_PUBLISHED_ATTENTION = {"q_layer": "query", "k_layer": "key", "v_layer": "value", "dense": "output"}
_PUBLISHED_MLP = r"^transformer/transformer_block_(\d+)/mlp/linear/([wb])$"


def _published_senformer_indices(variables: list[dict]) -> dict[str, int]:
    """Our name to the index of each variable.

    The attention's variables carry no layer and the MLP's two layers share a name: both are told
    apart by their order.
    """
    indices: dict[str, int] = {}
    for variable in variables:
        name = variable["name"].removesuffix(":0")
        scope, _, leaf = name.rpartition("/")
        if scope in _PUBLISHED_ATTENTION:
            part = f"attention/{_PUBLISHED_ATTENTION[scope]}/{'w' if leaf == 'kernel' else 'b'}"
            layer = sum(known.endswith(part) for known in indices)
            indices[f"transformer_{layer}/{part}"] = variable["index"]
            continue
        name = substitute(name, _PUBLISHED_SENFORMER_RULES)
        mlp = re.match(_PUBLISHED_MLP, name)
        if mlp:
            name = f"transformer_{mlp[1]}/mlp_in/{mlp[2]}"
            if name in indices:
                name = f"transformer_{mlp[1]}/mlp_out/{mlp[2]}"
        indices[name] = variable["index"]
    return indices
