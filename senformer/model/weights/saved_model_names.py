"""Which variable of an Enformer's SavedModel is which of ours, by its name and its place.

DeepMind has published Enformer twice: as code, and as the SavedModel of TF-Hub, whose parts bear
the names of the code that trained it. Both are read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

_ROOTS = ("trunk", "heads")  # what stands before them in a name is the model's own
_WITHOUT_A_PLACE = ("normalization", "pooling", "batch_norm", "cross_replica_batch_norm")
_MOVING_AVERAGES = ("moving_mean", "moving_variance")
_NAME_OF_AVERAGE = ("exponential_moving_average", *_MOVING_AVERAGES)

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
    r"^(head_\w+)/linear/": r"\1/",
    r"^(.*(?:pointwise|conv_block))/(scale|offset|moving_\w+)": r"\1/batch_norm/\2",
}
"""From the names of the published code, each scope once, to ours."""

Shape = Sequence[int]


class _Variable(NamedTuple):
    name: str
    key: str
    average: str | None  # which of the two moving averages it is of, by its place


def keys_of_variables(graph: TrackableObjectGraph, shapes: Mapping[str, Shape]) -> dict[str, str]:
    """The key in a SavedModel's checkpoint of each variable that an Enformer has, by our name.

    Args:
        graph: What the checkpoint holds of the objects that were saved.
        shapes: Of each key.

    Raises:
        ValueError: If two variables are the same one of ours; the message names them.
    """
    keys: dict[str, list[str]] = {}
    for variable in _variables(graph):
        name = _our_name(variable)
        if name is not None and variable.key not in keys.setdefault(name, []):
            keys[name].append(variable.key)
    return {ours: key for name in keys for ours, key in _told_apart(name, keys[name], shapes)}


def _told_apart(
    name: str, keys: Sequence[str], shapes: Mapping[str, Shape]
) -> Iterator[tuple[str, str]]:
    """Our name of each key of a name; the perceptron's layers share one, and its first is wider."""
    if "/mlp/linear/" in name and len(keys) == 2:
        by_width = sorted(keys, key=lambda key: shapes[key][-1], reverse=True)
        for part, key in zip(("mlp_in", "mlp_out"), by_width, strict=True):
            yield name.replace("/mlp/linear/", f"/{part}/"), key
        return
    if len(keys) > 1:
        raise ValueError(f"the variables {' and '.join(keys)} are both {name}, expected one")
    yield name, keys[0]


def _variables(graph: TrackableObjectGraph) -> Iterator[_Variable]:
    average_of: dict[int, str] = {}  # the objects that moving averages are, and which of the two
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
                yield _Variable(
                    attribute.full_name, attribute.checkpoint_key, next(iter(averages), None)
                )


def _our_name(variable: _Variable) -> str | None:
    """Ours, none for a variable that is not of trunk or heads."""
    name = "/".join(_scopes(variable))
    for pattern, replacement in _RULES.items():
        name = re.sub(pattern, replacement, name)
    return name or None


def _scopes(variable: _Variable) -> list[str]:
    """A name's parts below trunk or heads, each once, in the published code's words."""
    parts = variable.name.removesuffix(":0").split("/")
    roots = [place for place, part in enumerate(parts) if part in _ROOTS]
    if not roots:
        return []
    scopes: list[str] = []
    for part in parts[roots[0] + 1 :]:
        if part in _WITHOUT_A_PLACE:
            continue
        if part in _NAME_OF_AVERAGE:
            part = variable.average or part
        for pattern, replacement in _SYNONYMS.items():
            part = re.sub(pattern, replacement, part)
        if scopes[-1:] != [part]:
            scopes.append(part)
    return scopes
