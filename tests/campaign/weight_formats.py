"""Damage weights of other projects."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import damages
import numpy as np
import tensorflow as tf
from formats import Format
from hypothesis import strategies as st
from safetensors.numpy import save_file

from senformer.config import ModelConfig, preset
from senformer.model.checkpoints import named_variables
from senformer.model.enformer import Enformer
from senformer.model.weights import enformer_pytorch, sonnet

CONFIG = preset("enformer_tiny", num_transformer_layers=1, target_length=32, tracks={"human": 3})


def _small_model() -> Enformer:
    model = Enformer(CONFIG, seed=0)
    for number, variable in enumerate(model.variables):  # so that no two are equal
        variable.assign_add(tf.cast(tf.fill(variable.shape, 1 + number % 7), variable.dtype))
    return model


def _load_into_cached_models(load: Callable[[], Enformer]) -> Enformer:
    """Load weights into cached models, because creating models takes longest."""

    def kept(config: ModelConfig) -> Enformer:
        key = repr(config)
        if key not in _MODELS:
            _MODELS[key] = Enformer(config)
        return _MODELS[key]

    with (
        patch.object(sonnet, "Enformer", kept),
        patch.object(enformer_pytorch, "Enformer", kept),
    ):
        return load()


_MODELS: dict[str, Enformer] = {}


def _weights(model: Enformer) -> dict[str, np.ndarray]:
    return {name: variable.numpy() for name, variable in named_variables(model).items()}


def _sonnet(folder: Path, ending: str) -> Format:
    model = _small_model()
    prefix = folder / "checkpoint"
    sonnet.save_sonnet(model, prefix)
    file = Path(f"{prefix}{ending}")
    load = partial(sonnet.load_sonnet, prefix, CONFIG)
    damage = damages.of_bytes(file.read_bytes())
    return Format(file, lambda: _weights(_load_into_cached_models(load)), damage)


def sonnet_index(folder: Path) -> Format:
    return _sonnet(folder, ".index")


def sonnet_values(folder: Path) -> Format:
    return _sonnet(folder, ".data-00000-of-00001")


def safetensors(folder: Path) -> Format:
    arrays = {
        enformer_pytorch.to_enformer_pytorch_name(name): np.ascontiguousarray(
            variable.numpy().T, dtype=np.int64 if name.endswith("counter") else np.float32
        )
        for name, variable in named_variables(_small_model()).items()
        if not name.endswith("/hidden")
    }
    file = folder / "model.safetensors"
    save_file(arrays, file)
    good = file.read_bytes()
    head = 8 + int.from_bytes(good[:8], "little")

    def in_head(damage):
        done, damaged = damage
        return done, damaged + good[head:]

    def read() -> dict[str, np.ndarray]:
        load = partial(enformer_pytorch.load_enformer_pytorch, file, CONFIG, use_tf_gamma=True)
        return _weights(_load_into_cached_models(load))

    damage = st.one_of(damages.of_bytes(good), damages.of_bytes(good[:head]).map(in_head))
    return Format(file, read, damage, lambda *arguments: _are_other_values(*arguments, good, head))


def _are_other_values(done: str, damaged: bytes, found: Any, good: bytes, head: int) -> bool:
    """Accept other finite weights behind an intact header: the file has no checksum."""
    is_same_head = len(damaged) == len(good) and damaged[:head] == good[:head]
    return is_same_head and all(np.isfinite(array).all() for array in found.values())
