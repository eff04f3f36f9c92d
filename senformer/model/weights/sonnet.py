"""Read and write Enformer's weights as DeepMind's Sonnet checkpoint."""

from __future__ import annotations

import contextlib
import glob
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from senformer.config import ModelConfig
from senformer.model.checkpoints import ArrayFile, assign, named_variables
from senformer.model.enformer import Enformer
from senformer.model.weights.loading import find_tracks, infer_config, rename

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
"""Last part of each variable's key in a checkpoint of objects."""

_HEAD = r"module/_heads/([^/]+)/_layers/0/(w|b)"
"""Name of a head's variable; a file may have more heads than the model."""


def read_sonnet_config(prefix: str | Path) -> ModelConfig:
    """Read the configuration of the model in a Sonnet checkpoint; see `load_sonnet`.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it is damaged, or not Enformer's.
    """
    _, shapes = open_tensorflow_checkpoint(prefix)
    tracks = find_tracks(_HEAD, shapes, prefix)
    return infer_config(lambda name: shapes.get(to_sonnet_name(name)), tracks, prefix)


def load_sonnet(prefix: str | Path, config: ModelConfig) -> Enformer:
    """Construct a model with the weights of a Sonnet checkpoint of DeepMind's Enformer.

    Use it to start from the published Enformer. `config` may name any attention kind that has all
    of Enformer's parameters. For a kind that has only some of them, such as a Performer, load
    `dense` and transfer its weights with `checkpoints.copy_weights`.

    Args:
        prefix: Path of the TensorFlow checkpoint without `.index`, as written by
            `tf.train.Checkpoint(module=model)`.
        config: The model's sizes.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If a variable is missing or has another shape; the message names it.

    Source: google-deepmind/deepmind-research, `enformer/README.md`.
    """
    file, shapes = open_tensorflow_checkpoint(prefix)
    model = Enformer(config)
    names = {name: to_sonnet_name(name) for name in named_variables(model)}
    required = {
        name
        for name in shapes
        if name.startswith(("module/_trunk/", "module/_heads/")) and not re.fullmatch(_HEAD, name)
    }
    assign(model, file, names, required)
    return model


def save_sonnet(model: Enformer, prefix: str | Path) -> None:
    """Write a model in the format of DeepMind's Sonnet checkpoint.

    Use it for programs that read DeepMind's checkpoint.

    Args:
        model: Model with dense attention.
        prefix: Path of the checkpoint without `.index`.
    """
    variables = named_variables(model)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=[to_sonnet_name(name) + SUFFIX for name in variables],
        shape_and_slices=[""] * len(variables),
        tensors=[variable.read_value() for variable in variables.values()],
    )


def open_tensorflow_checkpoint(prefix: str | Path) -> tuple[ArrayFile, dict[str, Sequence[int]]]:
    """Open a TensorFlow checkpoint of objects.

    Args:
        prefix: Path of the checkpoint without `.index`.

    Returns:
        Its arrays, and the shape of each by its name without `SUFFIX`.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it is damaged or truncated.
    """
    index = Path(f"{prefix}.index")
    if not index.is_file():
        raise FileNotFoundError(f"{index} does not exist, expected a Sonnet checkpoint")
    with name_damaged_checkpoint(prefix):
        reader = tf.train.load_checkpoint(str(prefix))
        shapes = reader.get_variable_to_shape_map()
        types = reader.get_variable_to_dtype_map()
    num_bytes = sum(
        dtype.size * math.prod(shapes[name])
        for name, dtype in types.items()
        if dtype != tf.string  # the index lacks the size of strings
    )
    _check_size(num_bytes, Path(prefix))

    def read(name: str) -> np.ndarray:
        with name_damaged_checkpoint(prefix):
            return np.asarray(reader.get_tensor(name + SUFFIX))  # a scalar text is no array

    shapes = {name.removesuffix(SUFFIX): shape for name, shape in shapes.items()}
    return ArrayFile(prefix, shapes.keys(), read), shapes


@contextlib.contextmanager
def name_damaged_checkpoint(prefix: str | Path) -> Iterator[None]:
    """Convert the errors of reading a checkpoint to a ValueError that names the checkpoint."""
    try:
        yield
    except Exception as error:  # damaged files cause errors of TensorFlow and of Python itself
        reason = " ".join(str(error).split())
        raise ValueError(f"{prefix}: damaged or no Sonnet checkpoint ({reason})") from None


def _check_size(num_bytes: int, prefix: Path) -> None:
    """Check that no value is truncated, as after an interrupted download.

    TensorFlow would read up to the first missing value and report only the size of that value.
    """
    files = list(prefix.parent.glob(f"{glob.escape(prefix.name)}.data-*"))
    num_found = sum(file.stat().st_size for file in files)
    if num_found < num_bytes:
        found = files[0] if len(files) == 1 else f"{prefix}.data-*"
        raise ValueError(
            f"{found}: truncated ({num_found:,} of {num_bytes:,} bytes), download it again"
        )


def to_sonnet_name(name: str) -> str:
    """Return the name in a Sonnet checkpoint of one of this package's variables."""
    return rename(name, _SONNET_RULES)


_SONNET_RULES = {
    r"^head_(\w+)/": r"module/_heads/\1/_layers/0/",
    r"^stem/conv/": "module/_trunk/_layers/0/_layers/0/",
    r"^stem/pointwise/": "module/_trunk/_layers/0/_layers/1/_module/",
    r"^stem/pool/": "module/_trunk/_layers/0/_layers/2/_logit_linear/",
    r"^tower_(\d+)/conv_block/": r"module/_trunk/_layers/1/_layers/\1/_layers/0/",
    r"^tower_(\d+)/pointwise/": r"module/_trunk/_layers/1/_layers/\1/_layers/1/_module/",
    r"^tower_(\d+)/pool/": r"module/_trunk/_layers/1/_layers/\1/_layers/2/_logit_linear/",
    r"^transformer_(\d+)/(attention|mlp)_norm/": r"transformer_\1/\2/_layers/0/",
    r"^transformer_(\d+)/attention/(?!_layers)": r"transformer_\1/attention/_layers/1/",
    r"^transformer_(\d+)/mlp_in/": r"transformer_\1/mlp/_layers/1/",
    r"^transformer_(\d+)/mlp_out/": r"transformer_\1/mlp/_layers/4/",
    r"^transformer_(\d+)/attention/": r"module/_trunk/_layers/2/_layers/\1/_layers/0/_module/",
    r"^transformer_(\d+)/mlp/": r"module/_trunk/_layers/2/_layers/\1/_layers/1/_module/",
    r"^final_pointwise/": "module/_trunk/_layers/4/_layers/0/",
    r"/batch_norm/": "/_layers/0/",
    r"/conv/": "/_layers/2/",
    r"/(counter|hidden)$": r"/_\1",
    r"/query/": "/_q_layer/",
    r"/key/": "/_k_layer/",
    r"/value/": "/_v_layer/",
    r"/relative_key/": "/_r_k_layer/",
    r"/output/": "/_embedding_layer/",
    r"/content_bias$": "/_r_w_bias",
    r"/position_bias$": "/_r_r_bias",
}
