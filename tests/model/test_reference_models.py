"""Compare every stage and every loader with archives of the original models."""

import json
import tarfile

import numpy as np
import pytest
import tensorflow as tf
from published_senformer import load_published_senformer, read_config

from senformer.config import ModelConfig
from senformer.model.positions import relative_position_features
from senformer.model.weights import enformer_pytorch, sonnet

OUTPUT_TOLERANCE = 1e-4
MODELS = ("enformer", "enformer_pytorch", "senformer")


@pytest.fixture(scope="session")
def golden(shared, tmp_path_factory):
    """Return a function that unpacks an archive once and returns its folder."""
    root = tmp_path_factory.mktemp("golden")

    def unpack(name):
        if not (root / name).exists():
            with tarfile.open(shared / "golden" / f"{name}.tar.xz") as archive:
                archive.extractall(root, filter="data")
        return root / name

    return unpack


def load(folder):
    description = json.loads((folder / "config.json").read_text())
    if folder.name == "senformer":
        return load_published_senformer(folder)
    if folder.name == "enformer_pytorch":
        config = ModelConfig(
            channels=description["dim"],
            num_transformer_layers=description["depth"],
            num_heads=description["heads"],
            target_length=description["target_length"],
            tracks=description["output_heads"],
        )
        return enformer_pytorch.load_enformer_pytorch(
            folder / "model.safetensors", config, use_tf_gamma=description["use_tf_gamma"]
        )
    return sonnet.load_sonnet(folder / "sonnet_checkpoint", read_config(description))


def relative_error(found, golden):
    return np.abs(np.asarray(found) - golden).max() / np.abs(golden).max()


@pytest.mark.parametrize("name", MODELS)
def test_stages_and_heads_match_the_original(golden, name):
    folder = golden(name)
    model = load(folder)
    stored = np.load(folder / "forward.npz")
    sequence = tf.constant(stored["sequence"], tf.float32)
    outputs = model.predict_on_batch(sequence)
    for head in ("human", "mouse"):
        assert relative_error(outputs[head], stored[head]) <= OUTPUT_TOLERANCE
    if "stage_conv_tower" in stored:
        tokens = model.embed(sequence)
        assert relative_error(tokens, stored["stage_conv_tower"]) <= OUTPUT_TOLERANCE
        features = model.position_features(tokens)
        for block in model.transformer:
            tokens = block(tokens, position_features=features)
        assert relative_error(tokens, stored["stage_transformer"]) <= OUTPUT_TOLERANCE


@pytest.mark.parametrize("case", range(3))
def test_positions_match_the_original(shared, case):
    stored = np.load(shared / "golden" / "positional_features.npz")
    tokens, num_features = stored[f"case{case}_meta"]
    features = relative_position_features(int(tokens), int(num_features))
    assert relative_error(features, stored[f"case{case}_features"][0]) <= OUTPUT_TOLERANCE
