"""Compare both models with the published code; `tests/data/README.md` describes the data."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from slow_cases import slow

from senformer.config import ModelConfig
from senformer.model import trunk
from senformer.model.attention.bigbird import bigbird_pattern
from senformer.model.attention.block_sparse import block_sparse_attention
from senformer.model.attention.heads import AttentionInputs
from senformer.model.attention.random_blocks import random_blocks
from senformer.model.compute import device, xla
from senformer.model.weights import sonnet

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "golden"
OUTPUT_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-3

BIGBIRD_CASES = json.loads((GOLDEN / "bigbird_attention.json").read_text())


def numbers(shape, seed):
    """Compute numbers in [-0.5, 0.5) from position and seed, by arithmetic of 32-bit words."""
    n = np.arange(np.prod(shape), dtype=np.uint64) * 2_654_435_761 + seed * 40_503 + 12_345
    n %= 2**32
    n = (n ^ n >> 15) * 2_246_822_519 % 2**32
    return ((n ^ n >> 13) / 2**32 - 0.5).reshape(shape)


def relative_error(found, published):
    return np.abs(np.asarray(found) - published).max() / np.abs(published).max()


# ------------------------------------------------------------------------------------- Enformer


def weights(key, shape, seed):
    """Compute the values of a variable, about as large as in a trained model."""
    drawn = numbers(shape, seed)
    parts = key.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE").split("/")
    if parts[-1] == "scale":
        return 1 + 0.2 * drawn
    if parts[-1] in ("offset", "b") or len(shape) == 1:
        return 0.2 * drawn
    if "_logit_linear" in parts:
        return 2 * np.eye(shape[0]) + drawn / np.sqrt(shape[0])
    return 3.4 * drawn / np.sqrt(np.prod(shape[:-1]))


def one_hot_sequence(length_bp):
    """Return `[1, length_bp, 4]` with one unknown base in a hundred."""
    bases = ((numbers([1, length_bp], 5) + 0.5) * 4.04).astype(int)
    return tf.one_hot(bases, 4)


@pytest.fixture(scope="module", params=["attention", "max"])
def enformer(request, tmp_path_factory):
    """Return a model of a Sonnet checkpoint, DeepMind's outputs, and the weights by key."""
    published = json.loads((GOLDEN / f"enformer_{request.param}_pool.json").read_text())
    published |= np.load(GOLDEN / f"enformer_{request.param}_pool.npz")
    arrays = {}
    for place, variable in enumerate(published["variables"]):
        key = variable["key"]
        is_stored = variable["stored"]
        array = published[f"stored:{key}"] if is_stored else weights(key, variable["shape"], place)
        arrays[key] = array.astype(variable["dtype"])
    prefix = str(tmp_path_factory.mktemp("sonnet") / "checkpoint")
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=list(arrays),
        shape_and_slices=[""] * len(arrays),
        tensors=list(arrays.values()),
    )
    sizes = ("channels", "num_transformer_layers", "num_heads", "pooling", "target_length")
    config = ModelConfig(**{name: published[name] for name in sizes}, tracks=published["tracks"])
    return sonnet.load_sonnet(prefix, config), published, arrays


@pytest.mark.parametrize("device_type", ["cpu", "gpu"])
def test_enformer_predicts_as_deepminds(enformer, device_type):
    model, published, _ = enformer
    with device.traced_for(device_type):
        predict = xla.program(lambda sequence: model(sequence))
    outputs = predict(one_hot_sequence(published["sequence_length_bp"]))
    for head in published["tracks"]:
        assert relative_error(outputs[head], published[head]) <= OUTPUT_TOLERANCE


@pytest.mark.parametrize("device_type", ["cpu", slow("gpu")])
def test_enformer_gradients_match_deepminds(enformer, device_type):
    """Compare the sum, a weighted sum and the maximum of each variable's gradient."""
    model, published, arrays = enformer
    heads = sorted(published["tracks"])
    with device.traced_for(device_type):
        run = xla.program(lambda sequence: loss_and_gradients(model, sequence, heads))
        # Compiled on a CPU too, because TensorFlow's kernels depend on the processor, and some
        # round the gradients of convolutions twenty times as coarsely as others.
        compiled = tf.function(run, jit_compile=True)
        loss, gradients = compiled(one_hot_sequence(published["sequence_length_bp"]))
    assert float(loss) == pytest.approx(float(published["loss"]), rel=1e-5)
    gradient_of = {  # by the values of the variable
        variable.numpy().tobytes(): gradient.numpy().astype(np.float64).ravel()
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
    }
    trained = [variable for variable in published["variables"] if variable["gradient"]]
    assert len(trained) == len(gradient_of)
    for variable in trained:
        gradient = gradient_of[arrays[variable["key"]].tobytes()]
        found = [gradient.sum(), gradient @ numbers(gradient.shape, 1), np.abs(gradient).max()]
        # The error of a sum that nearly cancels, such as the stem's, depends on its terms.
        scale = max(np.linalg.norm(gradient), np.abs(variable["gradient"]).max())
        error = np.abs(found - np.asarray(variable["gradient"])).max() / scale
        assert error <= GRADIENT_TOLERANCE, variable["key"]
        assert relative_error(found[2], variable["gradient"][2]) <= GRADIENT_TOLERANCE


def loss_and_gradients(model, sequence, heads):
    """Use the trunk's modules instead of the faster form for CPUs."""
    with tf.GradientTape() as tape:
        embedding = model.transform(trunk.embed(model.trunk_in_evaluation(), sequence))
        loss = 0.0
        for head in heads:
            predicted = model.predict_head(head, embedding)
            target = np.float32(4 * (numbers(predicted.shape, 77) + 0.5))
            loss += tf.reduce_mean(predicted - target * tf.math.log(predicted + 1e-7))
    return loss, tape.gradient(loss, model.trainable_variables)


# ----------------------------------------------------------------------------- S-Enformer's BigBird


@pytest.fixture(scope="module")
def published_bigbird():
    return np.load(GOLDEN / "bigbird_attention.npz")


@pytest.mark.parametrize("device_type", ["cpu", "gpu"])
@pytest.mark.parametrize("case", range(len(BIGBIRD_CASES)))
def test_block_sparse_attention_matches_the_study(published_bigbird, case, device_type):
    description, published = BIGBIRD_CASES[case], published_bigbird
    heads, block_size, size = (description[name] for name in ("heads", "block_size", "size"))
    num_tokens = description["blocks"] * block_size
    drawn = random_blocks(
        num_tokens,
        num_heads=heads,
        block_size=block_size,
        num_random=description["num_random"],
        seed=description["numpy_seed"],
    )
    np.testing.assert_array_equal(drawn, published[f"case{case}_random_blocks"])
    inputs = {
        name: tf.constant(4 * numbers([1, heads, num_tokens, size], seed), tf.float32)
        for name, seed in (("query", 11), ("key", 12), ("value", 13))
    }
    pattern = bigbird_pattern(drawn, block_size, counts_repeats=True)
    with device.traced_for(device_type), tf.GradientTape() as tape:
        tape.watch(list(inputs.values()))
        scaled = {**inputs, "query": inputs["query"] * size**-0.5}
        output = block_sparse_attention(AttentionInputs(**scaled), pattern)
        output = tf.transpose(output, [0, 2, 1, 3])
        loss = tf.reduce_sum(output * np.float32(numbers(output.shape, 14)))
    assert relative_error(output, published[f"case{case}_output"]) <= OUTPUT_TOLERANCE
    for name, gradient in tape.gradient(loss, inputs).items():
        error = relative_error(gradient, published[f"case{case}_{name}_gradient"])
        assert error <= GRADIENT_TOLERANCE, name
