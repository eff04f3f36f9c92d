"""The models agree with the systems they stand for, weight by weight and output by output."""

import json
import re
import tarfile

import numpy as np
import pytest
import tensorflow as tf

from senformer.config import ModelConfig
from senformer.model import checkpoints, ops
from senformer.model.attention.bigbird import block_sparse_attention, random_blocks
from senformer.model.positions import relative_position_features
from senformer.training.loss import poisson_loss

OUTPUT_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-3
TIE = 1e-7  # of numbers near one

MODELS = ("enformer", "enformer_max", "enformer_pytorch", "senformer")
WITH_GRADIENTS = ("enformer", "enformer_max")


@pytest.fixture(scope="session")
def golden(shared, tmp_path_factory):
    """Unpacks an archive once and gives its folder."""
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
        return checkpoints.load_published_senformer(folder)
    if folder.name == "enformer_pytorch":
        config = ModelConfig(
            channels=description["dim"],
            num_transformer_layers=description["depth"],
            num_heads=description["heads"],
            target_length=description["target_length"],
            tracks=description["output_heads"],
        )
        return checkpoints.load_enformer_pytorch(
            folder / "model.safetensors", config, use_tf_gamma=description["use_tf_gamma"]
        )
    config = ModelConfig(
        channels=description["channels"],
        num_transformer_layers=description["num_transformer_layers"],
        num_heads=description["num_heads"],
        pooling=description["pooling_type"],
        target_length=description["target_length"],
        tracks=description["heads"],
    )
    return checkpoints.load_sonnet(folder / "sonnet_checkpoint", config)


def relative_error(ours, golden):
    return np.abs(np.asarray(ours) - golden).max() / np.abs(golden).max()


@pytest.mark.parametrize("name", MODELS)
def test_every_stage_and_head_equals_the_original(golden, name):
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
        for block in model.transformer:
            tokens = block(tokens)
        assert relative_error(tokens, stored["stage_transformer"]) <= OUTPUT_TOLERANCE


@pytest.mark.parametrize("name", WITH_GRADIENTS)
def test_every_gradient_equals_the_original(golden, name, monkeypatch):
    """Of two numbers in a maximum that differ by rounding, either may be the larger."""
    folder = golden(name)
    errors = gradient_errors(folder)
    if max(errors.values()) > GRADIENT_TOLERANCE:
        monkeypatch.setattr(ops, "max_pool", max_pool_but_for_ties)
        errors = gradient_errors(folder)
    assert len(errors) > 40
    for variable, error in errors.items():
        assert error <= GRADIENT_TOLERANCE, variable


def gradient_errors(folder):
    """Relative error of the gradient of every variable that the original has one for."""
    model = load(folder)
    stored = np.load(folder / "gradients.npz")
    variables = checkpoints.named_variables(model)
    sequence = tf.constant(np.load(folder / "forward.npz")["sequence"], tf.float32)
    with tf.GradientTape() as tape:
        loss = poisson_loss(stored["target_human"], model(sequence)["human"])
    gradients = tape.gradient(loss, variables)
    assert float(loss) == pytest.approx(float(stored["loss"]), rel=1e-5)
    names = deepmind_names(json.loads((folder / "config.json").read_text())["trainable_variables"])
    errors = {}
    for key in stored.files:
        if key.startswith("grad"):
            variable = names[int(key[4:])]
            ours = np.reshape(gradients[variable], stored[key].shape)
            errors[variable] = relative_error(ours, stored[key])
    return errors


def max_pool_but_for_ties(x):
    """`ops.max_pool`, but of two numbers that differ by rounding it takes the smaller."""
    first, second = tf.unstack(tf.reshape(x, [len(x), -1, 2, x.shape[-1]]), axis=2)
    is_tie = tf.abs(first - second) < TIE
    return tf.where((first > second) != is_tie, first, second)


def deepmind_names(variables):
    """Index of each of DeepMind's trainable variables to our name."""
    rules = {
        r"^enformer/(heads|trunk)/": "",
        r"^(head_\w+)/linear/": r"\1/",
        r"^conv_tower/conv_tower_block_(\d+)/": r"tower_\1/",
        r"^transformer/transformer_block_(\d+)/mha/layer_norm/": r"transformer_\1/attention_norm/",
        r"^transformer/transformer_block_(\d+)/mha/attention_\d+/": r"transformer_\1/attention/",
        r"^transformer/transformer_block_(\d+)/mlp/layer_norm/": r"transformer_\1/mlp_norm/",
        r"^transformer/transformer_block_(\d+)/mlp/linear/": r"transformer_\1/mlp_in/",
        r"^final_pointwise/conv_block/": "final_pointwise/",
        "pointwise_conv_block": "pointwise",
        "cross_replica_batch_norm": "batch_norm",
        "softmax_pooling/linear": "pool",
        "conv1_d": "conv",
        "r_r_bias": "position_bias",
        "r_w_bias": "content_bias",
        "embedding_layer": "output",
        "r_k_layer": "relative_key",
        "q_layer": "query",
        "k_layer": "key",
        "v_layer": "value",
    }
    names = {}
    for variable in variables:
        name = variable["name"].removesuffix(":0")
        for pattern, replacement in rules.items():
            name = re.sub(pattern, replacement, name)
        if name in names.values():
            name = name.replace("mlp_in", "mlp_out")
        names[variable["index"]] = name
    return names


@pytest.mark.parametrize("case", range(3))
def test_positions_equal_the_original(shared, case):
    stored = np.load(shared / "golden" / "positional_features.npz")
    tokens, num_features = stored[f"case{case}_meta"]
    features = relative_position_features(int(tokens), int(num_features))
    assert relative_error(features, stored[f"case{case}_features"][0]) <= OUTPUT_TOLERANCE


@pytest.mark.parametrize("case", range(3))
def test_block_sparse_attention_equals_the_original(shared, case):
    stored = np.load(shared / "golden" / "bigbird_attention.npz")
    tokens, num_heads, size, num_random, block_size, seed = map(int, stored[f"case{case}_meta"])
    drawn = random_blocks(
        tokens, num_heads=num_heads, block_size=block_size, num_random=num_random, seed=seed
    )
    np.testing.assert_array_equal(drawn, stored[f"case{case}_rand_attn"])
    inputs = {name: tf.constant(stored[f"case{case}_{name}"]) for name in ("query", "key", "value")}
    with tf.GradientTape() as tape:
        tape.watch(list(inputs.values()))
        output = block_sparse_attention(**inputs, random_blocks=drawn, block_size=block_size)
        loss = tf.reduce_sum(output * tf.cos(tf.range(size, dtype=tf.float32)))
    output = tf.transpose(output, [0, 2, 1, 3])
    assert relative_error(output, stored[f"case{case}_output"]) <= OUTPUT_TOLERANCE
    for name, gradient in tape.gradient(loss, inputs).items():
        assert relative_error(gradient, stored[f"case{case}_grad_{name}"]) <= GRADIENT_TOLERANCE
