"""Read the weights of enformer-pytorch models."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from senformer.config import ModelConfig
from senformer.model.checkpoints import ArrayFile, assign, named_variables, open_safetensors
from senformer.model.enformer import Enformer
from senformer.model.weights.loading import find_tracks, infer_config, rename

FIRST_WEIGHT = re.compile(r"(.*?)(stem|_trunk\.1)\.0\.weight")
"""Name of the first convolution's weight, after any prefix of a wrapper."""

_HEAD = r"_heads\.(.+)\.0\.(weight|bias)"
"""Name of a head's variable; a file may have more heads than the model."""

_SECOND_NAMES = {
    r"^_trunk\.1\.": "stem.",
    r"^_trunk\.2\.": "conv_tower.",
    r"^_trunk\.4\.": "transformer.",
    r"^_trunk\.6\.": "final_pointwise.",
}
"""enformer-pytorch has two names for each array of the trunk; a file may hold either or both."""


def read_enformer_pytorch_config(safetensors: str | Path) -> ModelConfig:
    """Read the configuration of an enformer-pytorch model; see `load_enformer_pytorch`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file holds no such model.
    """
    with _open(safetensors) as file:

        def shape_of(name: str) -> Sequence[int] | None:
            stored = to_enformer_pytorch_name(name)
            return file.read(stored).shape if stored in file.names else None

        heads = {name: file.read(name).shape for name in file.names if re.fullmatch(_HEAD, name)}
        return infer_config(shape_of, find_tracks(_HEAD, heads, safetensors), safetensors)


def load_enformer_pytorch(
    safetensors: str | Path, config: ModelConfig, *, use_tf_gamma: bool = False
) -> Enformer:
    """Construct a model with the weights of an enformer-pytorch model.

    Args:
        safetensors: File with its `state_dict`. A prefix of all names, such as `module.`, is
            ignored.
        config: The model's sizes: `dim` is channels, `depth` layers, `heads` heads.
        use_tf_gamma: As in enformer-pytorch: whether the weights expect Enformer's gamma features,
            as weights converted from DeepMind's do, or those that enformer-pytorch computes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a variable is missing or has another shape; the message names it.

    Source: lucidrains/enformer-pytorch, `enformer_pytorch/modeling_enformer.py`.
    """
    scaling = "per_feature" if use_tf_gamma else "per_position"
    model = Enformer(config.replace(gamma_scaling=scaling))
    variables = named_variables(model)
    # PyTorch does not store the uncorrected moving averages (`hidden`).
    names = {
        name: to_enformer_pytorch_name(name) for name in variables if not name.endswith("/hidden")
    }
    with _open(safetensors) as file:
        required = {name for name in file.names if not re.fullmatch(_HEAD, name)}
        assign(model, file, names, required)
    for name in variables.keys() - names.keys():
        variables[name].assign(variables[name.replace("/hidden", "/average")])
    return model


@contextlib.contextmanager
def _open(safetensors: str | Path) -> Iterator[ArrayFile]:
    """Open a file by the model's own names and with this package's order of axes."""
    with open_safetensors(safetensors) as file:
        prefixes = [match[1] for name in file.names if (match := FIRST_WEIGHT.fullmatch(name))]
        stored_names = {
            rename(stored.removeprefix(min(prefixes, default="")), _SECOND_NAMES): stored
            for stored in sorted(file.names)  # `stem.` after `_trunk.`: the first name counts
        }

        def read(name: str) -> np.ndarray:
            array = file.read(stored_names[name])  # [out, in], [out, in, width] or [out, in, 1, 1]
            return array if array.ndim == 4 and array.shape[0] == 1 else array.T

        yield ArrayFile(safetensors, stored_names.keys(), read)


def to_enformer_pytorch_name(name: str) -> str:
    """Return the name in enformer-pytorch's `state_dict` of one of this package's variables."""
    return rename(name, _PYTORCH_RULES)


_PYTORCH_RULES = {
    r"^head_(\w+)/": r"_heads.\1.0/",
    r"^stem/conv/": "stem.0/",
    r"^stem/pointwise/": "stem.1.fn/",
    r"^stem/pool/w": "stem.2.to_attn_logits/w",
    r"^tower_(\d+)/conv_block/": r"conv_tower.\1.0/",
    r"^tower_(\d+)/pointwise/": r"conv_tower.\1.1.fn/",
    r"^tower_(\d+)/pool/": r"conv_tower.\1.2.to_attn_logits/",
    r"^transformer_(\d+)/attention_norm/": r"transformer.\1.0.fn.0/",
    r"^transformer_(\d+)/attention/": r"transformer.\1.0.fn.1/",
    r"^transformer_(\d+)/mlp_norm/": r"transformer.\1.1.fn.0/",
    r"^transformer_(\d+)/mlp_in/": r"transformer.\1.1.fn.1/",
    r"^transformer_(\d+)/mlp_out/": r"transformer.\1.1.fn.4/",
    r"^final_pointwise/": "final_pointwise.1/",
    r"/batch_norm/": ".0/",
    r"/conv/": ".2/",
    r"/moving_mean/average$": "/running_mean",
    r"/moving_variance/average$": "/running_var",
    r"/moving_(mean|variance)/counter$": "/num_batches_tracked",
    r"/query/": ".to_q/",
    r"/key/": ".to_k/",
    r"/value/": ".to_v/",
    r"/relative_key/": ".to_rel_k/",
    r"/output/": ".to_out/",
    r"/content_bias$": "/rel_content_bias",
    r"/position_bias$": "/rel_pos_bias",
    r"/(w|scale)$": "/weight",
    r"/(b|offset)$": "/bias",
    r"/": ".",
}
