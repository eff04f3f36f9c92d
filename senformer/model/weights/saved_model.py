"""Read Enformer's weights from a SavedModel, by the names of its variables.

DeepMind published Enformer twice: as code, and as the SavedModel of TF-Hub, whose variables have
the names of the training code. This module reads SavedModels of both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from senformer.config import ModelConfig
from senformer.model.checkpoints import ArrayFile, assign, named_variables
from senformer.model.enformer import Enformer
from senformer.model.weights.loading import find_tracks, infer_config, rename
from senformer.model.weights.sonnet import (
    SUFFIX,
    name_damaged_checkpoint,
    open_tensorflow_checkpoint,
)

Shapes = Mapping[str, Sequence[int]]

_HEAD = r"head_([^/]+)/(w|b)"
"""Name of a head's variable; a file may have more heads than the model."""


def read_saved_model_config(folder: str | Path) -> ModelConfig:
    """Read the configuration of the Enformer in a SavedModel; see `load_saved_model`.

    Raises:
        FileNotFoundError: If there is no such SavedModel.
        ValueError: If it is damaged, or not Enformer's.
    """
    _, shapes, keys = _open_saved_model(folder)
    own_shapes = {name: shapes[key] for name, key in keys.items()}
    tracks = find_tracks(_HEAD, own_shapes, folder)
    return infer_config(own_shapes.get, tracks, folder)


def load_saved_model(folder: str | Path, config: ModelConfig) -> Enformer:
    """Construct a model with the weights of DeepMind's Enformer from a SavedModel, as of TF-Hub.

    Args:
        folder: Folder that holds `saved_model.pb` and `variables`.
        config: The model's sizes.

    Raises:
        FileNotFoundError: If there is no such SavedModel.
        ValueError: If a variable is missing or has another shape; the message names it.

    Source: tfhub.dev/deepmind/enformer/1, as github.com/Currie32/s-enformer and
        lucidrains/enformer-pytorch, `scripts/tf_to_torch.py`, read it.
    """
    file, _, keys = _open_saved_model(folder)
    model = Enformer(config)
    names = {name: keys.get(name, name) for name in named_variables(model)}
    assign(model, file, names, {key for name, key in keys.items() if not re.fullmatch(_HEAD, name)})
    return model


def _open_saved_model(folder: str | Path) -> tuple[ArrayFile, Shapes, dict[str, str]]:
    """Open the checkpoint of a SavedModel: arrays, shapes, and the key of each variable's name."""
    prefix = Path(folder) / "variables" / "variables"
    file, shapes = open_tensorflow_checkpoint(prefix)
    with name_damaged_checkpoint(prefix):
        graph = TrackableObjectGraph()
        objects = tf.train.load_checkpoint(str(prefix)).get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH")
        graph.ParseFromString(objects)
    try:
        keys = _find_keys(graph, shapes)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None
    return file._replace(path=folder, names=set(keys.values())), shapes, keys


def _find_keys(graph: TrackableObjectGraph, shapes: Shapes) -> dict[str, str]:
    """Return the key in the checkpoint of each variable, by this package's name.

    Args:
        graph: The saved objects.
        shapes: Shape of each key.

    Raises:
        ValueError: If two variables have one name; the message lists them.
    """
    keys_of: dict[str, list[str]] = {}
    for name, key in _list_variables(graph):
        if name and key not in keys_of.setdefault(name, []):
            keys_of[name].append(key)
    found = {}
    for name, keys in keys_of.items():
        if "/mlp/linear/" in name and len(keys) == 2:  # one name for both; mlp_in is the wider
            keys = sorted(keys, key=lambda key: shapes[key][-1], reverse=True)
            for layer, key in zip(("mlp_in", "mlp_out"), keys, strict=True):
                found[name.replace("/mlp/linear/", f"/{layer}/")] = key
        elif len(keys) == 1:
            found[name] = keys[0]
        else:
            raise ValueError(f"the variables {' and '.join(keys)} are both {name}, expected one")
    return found


def _list_variables(graph: TrackableObjectGraph) -> Iterator[tuple[str, str]]:
    """List the name and key of each saved variable.

    The name is this package's, or empty for a variable outside of trunk and heads. The scopes of
    both moving averages have one name; the parent object tells which average a variable belongs to.
    """
    average_of: dict[int, str] = {}  # of the objects that are a moving average
    parents: dict[int, list[int]] = {}
    for number, node in enumerate(graph.nodes):
        for child in node.children:
            parents.setdefault(child.node_id, []).append(number)
            if child.local_name in _MOVING_AVERAGES:
                average_of[child.node_id] = child.local_name
    for number, node in enumerate(graph.nodes):
        averages = [average_of[p] for p in parents.get(number, ()) if p in average_of]
        for attribute in node.attributes:
            if attribute.name == "VARIABLE_VALUE":
                scopes = _simplify_scopes(attribute.full_name, averages)
                key = attribute.checkpoint_key.removesuffix(SUFFIX)
                yield rename("/".join(scopes), _RULES), key


def _simplify_scopes(name: str, averages: Sequence[str]) -> list[str]:
    """Return the scopes below trunk or heads in the words of the published code, each once."""
    parts = name.removesuffix(":0").split("/")
    roots = [place for place, part in enumerate(parts) if part in _ROOTS]
    scopes: list[str] = []
    for part in parts[roots[0] + 1 :] if roots else ():
        if part in _IGNORED_SCOPES:
            continue
        if part in _AVERAGE_SCOPES and averages:
            part = averages[0]
        part = rename(part, _SYNONYMS)
        if scopes[-1:] != [part]:
            scopes.append(part)
    return scopes


_ROOTS = ("trunk", "heads")
_IGNORED_SCOPES = ("normalization", "pooling", "batch_norm", "cross_replica_batch_norm")
_MOVING_AVERAGES = ("moving_mean", "moving_variance")
_AVERAGE_SCOPES = ("exponential_moving_average", *_MOVING_AVERAGES)

_SYNONYMS = {
    r"^downres$": "conv_tower",
    r"^downres_block_(\d+)$": r"conv_tower_block_\1",
    r"^(multihead_attention|attention_\d+)$": "attention",
    r"^project_(in|out)$": "linear",
}

_RULES = {
    r"^stem/conv1_d/": "stem/conv/",
    r"^conv_tower/conv_tower_block_(\d+)/": r"tower_\1/",
    r"^transformer/transformer_block_(\d+)/": r"transformer_\1/",
    r"^final_pointwise/conv_block/": "final_pointwise/",
    r"/pointwise_conv_block/": "/pointwise/",
    r"/conv1_d/": "/conv/",
    r"/softmax_pooling/linear/": "/pool/",
    r"/mha/layer_norm/": "/attention_norm/",
    r"/mlp/layer_norm/": "/mlp_norm/",
    r"/mha/attention/": "/attention/",
    r"_layer/linear/": "_layer/",
    r"/q_layer/": "/query/",
    r"/k_layer/": "/key/",
    r"/v_layer/": "/value/",
    r"/r_k_layer/": "/relative_key/",
    r"/embedding_layer/": "/output/",
    r"/r_w_bias$": "/content_bias",
    r"/r_r_bias$": "/position_bias",
    r"^(head_[^/]+)/linear/": r"\1/",
    r"^(.*(?:pointwise|conv_block))/(scale|offset|moving_\w+)": r"\1/batch_norm/\2",
}
"""From the names of the published code, each scope once, to this package's names."""
