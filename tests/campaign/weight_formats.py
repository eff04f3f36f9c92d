"""Weights that others have trained."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import damages
import numpy as np
import small_records
import tensorflow as tf
from formats import Format
from hypothesis import strategies as st
from safetensors.numpy import save_file

from senformer.config import ModelConfig, preset
from senformer.model import published_senformer
from senformer.model.checkpoints import named_variables
from senformer.model.enformer import Enformer
from senformer.model.weights import foreign_weights

CONFIG = preset("enformer_tiny", num_transformer_layers=1, target_length=32, tracks={"human": 3})


def _small_model(attention: str = "dense") -> Enformer:
    model = Enformer(CONFIG.replace(attention=attention), seed=0)
    for number, variable in enumerate(model.variables):  # no two alike
        variable.assign_add(tf.cast(tf.fill(variable.shape, 1 + number % 7), variable.dtype))
    return model


def _without_making_models(load: Callable[[], Enformer]) -> Enformer:
    """Load weights into models that are kept by their config: most of the time is making them."""

    def kept(config: ModelConfig) -> Enformer:
        key = repr(config)
        if key not in _MODELS:
            _MODELS[key] = Enformer(config)
        return _MODELS[key]

    with (
        patch.object(foreign_weights, "Enformer", kept),
        patch.object(published_senformer, "Enformer", kept),
    ):
        return load()


_MODELS: dict[str, Enformer] = {}


def _weights(model: Enformer) -> dict[str, np.ndarray]:
    return {name: variable.numpy() for name, variable in named_variables(model).items()}


def _sonnet(folder: Path, ending: str) -> Format:
    model = _small_model()
    prefix = folder / "checkpoint"
    foreign_weights.save_sonnet(model, prefix)
    file = Path(f"{prefix}{ending}")
    load = partial(foreign_weights.load_sonnet, prefix, CONFIG)
    damage = damages.of_bytes(file.read_bytes())
    return Format(file, lambda: _weights(_without_making_models(load)), damage)


def sonnet_index(folder: Path) -> Format:
    return _sonnet(folder, ".index")


def sonnet_values(folder: Path) -> Format:
    return _sonnet(folder, ".data-00000-of-00001")


def safetensors(folder: Path) -> Format:
    arrays = {
        foreign_weights._enformer_pytorch_name(name): np.ascontiguousarray(
            variable.numpy().T, dtype=np.int64 if name.endswith("counter") else np.float32
        )
        for name, variable in named_variables(_small_model()).items()
    }
    arrays.pop(None)
    file = folder / "model.safetensors"
    save_file(arrays, file)
    good = file.read_bytes()
    head = 8 + int.from_bytes(good[:8], "little")

    def in_head(damage):
        done, damaged = damage
        return done, damaged + good[head:]

    def read() -> dict[str, np.ndarray]:
        load = partial(foreign_weights.load_enformer_pytorch, file, CONFIG, use_tf_gamma=True)
        return _weights(_without_making_models(load))

    damage = st.one_of(damages.of_bytes(good), damages.of_bytes(good[:head]).map(in_head))
    return Format(file, read, damage, lambda *arguments: _are_other_values(*arguments, good, head))


def _are_other_values(done: str, damaged: bytes, found: Any, good: bytes, head: int) -> bool:
    """Weights that are finite, in a file whose head is as it was: it has no checksum of them."""
    is_same_head = len(damaged) == len(good) and damaged[:head] == good[:head]
    return is_same_head and all(np.isfinite(array).all() for array in found.values())


def _published(folder: Path, name: str, damage: Callable[[bytes], Any]) -> Format:
    model = _small_model("bigbird")
    config = model.config
    variables = named_variables(model)
    description = {
        "channels": config.channels,
        "num_transformer_layers": config.num_transformer_layers,
        "num_heads": config.num_heads,
        "pooling_type": config.pooling,
        "target_length": config.target_length,
        "heads": config.tracks,
        "block_size": config.block_size,
        "num_rand_blocks": config.num_random_blocks,
        "variables": [{"name": name, "index": index} for index, name in enumerate(variables)],
    }
    (folder / "config.json").write_text(small_records.json.dumps(description))
    np.savez(
        folder / "variables.npz",
        **{f"v{index:03d}": value.numpy() for index, value in enumerate(variables.values())},
    )
    drawn = np.arange(1 * config.num_heads * 14 * config.num_random_blocks, dtype=np.int32) % 16
    np.savez(
        folder / "forward.npz",
        rand_attn=drawn.reshape(1, config.num_heads, 14, config.num_random_blocks),
    )
    file = folder / name

    def read() -> dict[str, Any]:
        load = partial(published_senformer.load_published_senformer, folder)
        found = _without_making_models(load)
        blocks = [block.attention.fixed_random_blocks for block in found.transformer]
        return {"config": found.config, **_weights(found), "random blocks": blocks}

    return Format(file, read, damage(file.read_bytes()), _is_another_model)


def _is_another_model(done: str, damaged: bytes, found: Any) -> bool:
    """One that predicts another number of bins, which no weight tells, all else the same."""
    config = found["config"]
    return config.replace(target_length=CONFIG.target_length) == CONFIG.replace(attention="bigbird")


def published_config(folder: Path) -> Format:
    return _published(
        folder, "config.json", lambda good: st.one_of(damages.of_bytes(good), damages.of_json(good))
    )


def published_values(folder: Path) -> Format:
    return _published(folder, "variables.npz", damages.of_bytes)


def published_blocks(folder: Path) -> Format:
    return _published(folder, "forward.npz", damages.of_bytes)
