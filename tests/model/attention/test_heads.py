"""One head at a time, as a CPU computes them, and all at once, as a GPU does: the same function."""

import numpy as np
import pytest
import tensorflow as tf
from slow_cases import slow, slow_but_for

from senformer.attention_kinds import KINDS
from senformer.config import preset
from senformer.model.attention import block_gather, tiled
from senformer.model.attention.layer import NUM_DROPOUT_SEEDS, make_attention
from senformer.model.compute import device, xla
from senformer.model.dropout import split_seed

TOLERANCE = 2e-5
OF_ZERO = 1e-6  # BigBird's key has a bias, which moves no weight


@pytest.mark.parametrize("batch", [slow(1), 3])
# Of all kinds the tests of each ask both devices, without dropout.
@pytest.mark.parametrize("kind", slow_but_for(["dense", "bigbird_relative"], KINDS))
def test_outputs_and_gradients_with_dropout_are_equal(kind, batch, monkeypatch):
    monkeypatch.setattr(block_gather, "GPU_CHUNK_BYTES", 6e6)  # two chunks of rows for one of 16
    monkeypatch.setattr(tiled, "GPU_TILE_BYTES", 2e6)
    config = preset("senformer_tiny", attention=kind, attention_dropout_rate=0.3)
    layer = make_attention(config, 0, tf.random.Generator.from_seed(0), "attention")
    layer.output.w.assign(tf.eye(config.channels))  # of Enformer's own it starts at zero
    x = tf.random.stateless_normal([batch, 12 * config.block_size, config.channels], [1, 2])
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

    for of_cpu, of_gpu in zip(results("cpu"), results("gpu"), strict=True):
        np.testing.assert_allclose(of_gpu, of_cpu, atol=TOLERANCE * np.abs(of_cpu).max() + OF_ZERO)


@pytest.mark.parametrize("device_type", ["cpu", "gpu"])
@pytest.mark.parametrize("kind", ["dense", "tiled", "bigbird_relative", "local"])
def test_a_part_of_a_batch_drops_what_it_drops_in_the_whole(kind, device_type):
    config = preset(
        "senformer_tiny",
        attention=kind,
        attention_dropout_rate=0.3,
        positional_dropout_rate=0.3,
    )
    layer = make_attention(config, 0, tf.random.Generator.from_seed(0), "attention")
    layer.output.w.assign(tf.eye(config.channels))
    x = tf.random.stateless_normal([3, 12 * config.block_size, config.channels], [1, 2])
    features = layer.position_features(x.shape[1])
    seeds = [split_seed(tf.constant(seed), NUM_DROPOUT_SEEDS) for seed in ([3, 4], [3, 4, 1])]
    with device.traced_for(device_type):
        whole = layer(x, features, seeds[0])[1:]
        part = layer(x[1:], features, seeds[1])
    np.testing.assert_allclose(part, whole, atol=1e-6 * np.abs(whole).max())
    assert np.abs(layer(x[1:], features, seeds[0]) - whole).max() > 0.01 * np.abs(whole).max()
