"""What each kind but `dense` promises: nothing it computes grows with the square of the tokens."""

import re

import pytest
import tensorflow as tf

from senformer.attention_kinds import KINDS
from senformer.config import ModelConfig
from senformer.model.attention.layer import make_attention
from senformer.model.compute import device, xla


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "dense"])
def test_no_array_of_a_step_more_than_doubles_with_the_tokens(kind):
    assert largest_array(kind, 4096) <= 2.1 * largest_array(kind, 2048)


def test_of_dense_one_does():
    assert largest_array("dense", 4096) > 3.9 * largest_array("dense", 2048)


def largest_array(kind, tokens):
    """Values of the largest array of a layer's output and gradients, as a GPU's program has it."""
    config = ModelConfig(attention=kind, channels=256, num_heads=4)
    layer = make_attention(config, 0, tf.random.Generator.from_seed(0), "attention")

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
