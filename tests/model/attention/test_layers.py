"""Properties that the attention layers of several kinds share."""

import re

import numpy as np
import pytest
import tensorflow as tf
from attention_reference import make_layer, make_tiny_layer
from slow_cases import slow, slow_but_for

from senformer.attention_kinds import KINDS
from senformer.config import ModelConfig, preset
from senformer.model.attention import block_sparse, tiled
from senformer.model.attention.layer import NUM_DROPOUT_SEEDS
from senformer.model.compute import device, xla
from senformer.model.dropout import split_seed

TOLERANCE = 2e-5
ZERO_TOLERANCE = 1e-6  # BigBird's key has a bias, which moves no weight
FULL_RANDOM_BLOCKS = np.array([[[3], [2], [1]]] * 4)  # all that five blocks do not list yet


def make_tokens(config, tokens, batch=2):
    return tf.random.stateless_normal([batch, tokens, config.channels], [1, 2])


@pytest.mark.parametrize("batch", [slow(1), 3])
@pytest.mark.parametrize("kind", slow_but_for(["dense", "bigbird_relative"], KINDS))
def test_cpu_and_gpu_programs_agree(kind, batch, monkeypatch):
    monkeypatch.setattr(block_sparse, "GPU_CHUNK_BYTES", 6e6)  # two chunks of query blocks
    monkeypatch.setattr(tiled, "GPU_TILE_BYTES", 2e6)
    layer = make_layer(preset("senformer_tiny", attention=kind, attention_dropout_rate=0.3))
    x = make_tokens(layer.config, 12 * layer.config.block_size, batch)
    seeds = split_seed(tf.constant([3, 4]), NUM_DROPOUT_SEEDS)

    def results(device_type):
        with device.traced_for(device_type):

            @xla.program
            def output_and_gradients(x):
                with tf.GradientTape() as tape:
                    tape.watch(x)
                    output = layer(x, layer.position_features(x.shape[1]), seeds)
                    total = tf.reduce_sum(output * tf.cos(tf.range(float(output.shape[-1]))))
                return output, tape.gradient(total, [x, *layer.trainable_variables])

        return tf.nest.flatten(output_and_gradients(x))

    for cpu, gpu in zip(results("cpu"), results("gpu"), strict=True):
        np.testing.assert_allclose(gpu, cpu, atol=TOLERANCE * np.abs(cpu).max() + ZERO_TOLERANCE)


# blocks: as many as the kind's pattern can list, or so many that it cannot list all
@pytest.mark.parametrize(
    ("kind", "blocks", "is_dense"),
    [
        ("tiled", 3, True),
        ("bigbird_relative", 5, True),
        ("bigbird_relative", 8, False),
        ("local", 2, True),
        ("local", 3, False),
    ],
)
def test_kinds_with_dense_variables_match_dense(kind, blocks, is_dense):
    dense, layer = make_tiny_layer("dense"), make_tiny_layer(kind)
    if blocks == 5:
        layer.fixed_random_blocks = FULL_RANDOM_BLOCKS
    names = [v.name for v in dense.variables]
    assert [v.name for v in layer.variables] == names
    for ours, theirs in zip(layer.variables, dense.variables, strict=True):
        ours.assign(theirs)
    x = make_tokens(dense.config, blocks * layer.config.block_size)
    features = dense.position_features(x.shape[1])
    error = np.abs(layer(x, features) - dense(x, features)).max()
    assert error < 1e-4 if is_dense else error > 1e-2


@pytest.mark.parametrize(
    ("kind", "relative_positions", "knows_order"),
    [("dense", True, True), ("dense", False, False), ("tiled", False, False)],
)
def test_order_matters_only_with_positions(kind, relative_positions, knows_order):
    layer = make_tiny_layer(kind, relative_positions=relative_positions)
    x = make_tokens(layer.config, 32, batch=1)
    features = layer.position_features(32)
    attended, reversed_twice = layer(x, features), layer(x[:, ::-1], features)[:, ::-1]
    is_same = np.allclose(attended, reversed_twice, atol=1e-4 * np.abs(attended).max())
    # Reversal keeps distances but not directions, which Enformer's features include.
    assert is_same == (not knows_order)


@pytest.mark.parametrize("kind", KINDS)
def test_only_dense_grows_with_the_square(kind):
    growth = largest_array(kind, 4096) / largest_array(kind, 2048)
    assert growth > 3.9 if kind == "dense" else growth <= 2.1


def largest_array(kind, tokens):
    """Return the size of the largest array of a layer's output and gradients in a GPU program."""
    config = ModelConfig(attention=kind, channels=256, num_heads=4)
    layer = make_layer(config)

    def gradients(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(tf.square(layer(x, layer.position_features(tokens))))
        return tape.gradient(total, [x, *layer.trainable_variables])

    with device.traced_for("gpu"):
        program = xla.program(gradients)
        specification = tf.TensorSpec([1, tokens, config.channels])
        text = program.experimental_get_compiler_ir(specification)(stage="hlo")
    shapes = [shape.split(",") for shape in set(re.findall(r"\[([\d,]+)\]", text))]
    return max(tf.TensorShape(map(int, shape)).num_elements() for shape in shapes)
