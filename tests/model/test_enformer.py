import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from slow_cases import slow_but_for

from senformer.attention_kinds import KINDS
from senformer.config import preset
from senformer.model.enformer import Enformer, attention_variables

LENGTH_BP = 16_384


def make_model(attention="dense", **changes):
    changes = {"target_length": 64, "tracks": {"human": 3, "mouse": 2}} | changes
    return Enformer(preset("enformer_tiny", attention=attention, **changes))


def random_sequence(batch=2):
    bases = np.random.default_rng(0).integers(0, 4, size=(batch, LENGTH_BP))
    return tf.one_hot(bases, 4)


@pytest.fixture(scope="module")
def dense_model():
    """Return a model that no test changes."""
    return make_model()


@pytest.fixture(scope="module", params=KINDS)
def model_and_prediction(request):
    """Return a model of each kind with its predictions, which are slow to compute."""
    model = make_model(request.param)
    return model, model.predict_on_batch(random_sequence())


def test_predictions_have_shapes_and_are_positive(model_and_prediction):
    _, prediction = model_and_prediction
    assert {head: tuple(x.shape) for head, x in prediction.items()} == {
        "human": (2, 64, 3),
        "mouse": (2, 64, 2),
    }
    assert all((x.numpy() >= 0).all() for x in prediction.values())


def test_examples_of_a_batch_are_independent(model_and_prediction):
    model, prediction = model_and_prediction
    alone = model.predict_on_batch(random_sequence()[1:])["human"]
    np.testing.assert_allclose(prediction["human"][1:], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "model_and_prediction", slow_but_for(["bigbird_relative"], KINDS), indirect=True
)
def test_bfloat16_predicts_as_float32(model_and_prediction):
    # bfloat16 has 8 significant bits: each rounding changes a number by up to 2^-9 of its value.
    model, prediction = model_and_prediction
    in_bfloat16 = Enformer(model.config.replace(compute_dtype="bfloat16"))
    rounded, exact = in_bfloat16.predict_on_batch(random_sequence())["human"], prediction["human"]
    assert rounded.dtype == tf.float32
    assert (rounded.numpy() != exact.numpy()).any()
    np.testing.assert_allclose(rounded, exact, rtol=0.03)


def test_bfloat16_has_float32_variables():
    model = make_model("bigbird_relative", compute_dtype="bfloat16", num_transformer_layers=1)
    assert {v.dtype for v in model.trainable_variables} == {tf.float32}
    with tf.GradientTape() as tape:
        tokens = model.embed(random_sequence(batch=1), is_training=True)
        embedding = model.transform(tokens, is_training=True)
        total = tf.reduce_sum(model.predict_head("human", embedding))
    assert tokens.dtype == embedding.dtype == tf.bfloat16
    read = [v for v in model.trainable_variables if "head_mouse" not in v.name]
    assert {g.dtype for g in tape.gradient(total, read)} == {tf.float32}
    assert {v.dtype for v in model.variables if "moving" in v.name} == {tf.float32, tf.int64}


def test_seed_determines_initial_weights(dense_model):
    first, same, other = (Enformer(dense_model.config, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.stem.conv.w, same.stem.conv.w)
    assert (first.stem.conv.w.numpy() != other.stem.conv.w.numpy()).any()


def test_training_uses_dropout_and_updates_statistics():
    sequence, seed = random_sequence(), tf.constant([1, 2])
    model = make_model(dropout_rate=0.4)
    variables = [v.ref() for v in model.variables]
    for block in model.transformer:
        block.attention.output.w.assign(tf.eye(256))
    first = model(sequence, is_training=True, dropout_seed=seed)["human"]
    norm, convolved = model.stem.pointwise.batch_norm, model.stem.conv(sequence)
    mean, variance = tf.nn.moments(convolved, axes=[0, 1])
    np.testing.assert_allclose(norm.moving_mean.average, mean, atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance.average, variance, rtol=1e-3)
    same = model(sequence, is_training=True, dropout_seed=seed)["human"]
    other = model(sequence, is_training=True)["human"]
    np.testing.assert_array_equal(first, same)
    assert (first.numpy() != other.numpy()).any()
    assert [v.ref() for v in model.variables] == variables  # the constructor creates all


def test_moving_average_corrects_its_bias():
    average = make_model().stem.pointwise.batch_norm.moving_mean
    for value in (1.0, 3.0):
        average.update(tf.fill(average.average.shape, value))
    expected = (0.9 * 0.1 * 1.0 + 0.1 * 3.0) / (1 - 0.9**2)
    np.testing.assert_allclose(average.average, expected, rtol=1e-6)


def test_attention_variables(dense_model):
    names = [v.name for v in attention_variables(dense_model)]
    assert len(names) == 2 * 8  # query, key, value, relative key, two biases, two of the output
    assert all("/attention/" in name for name in names)


def test_model_names_bad_inputs():
    model = make_model("bigbird")
    with pytest.raises(ValueError, match=r"shape \(1, 2048\), expected \[batch, length, 4\]"):
        model(tf.zeros([1, 2048]))
    with pytest.raises(ValueError, match="sequence_length_bp=16256 must be a multiple of 2048"):
        model(tf.zeros([1, 16_256, 4]))
    with pytest.raises(ValueError, match="sequence_length_bp=8192 is 64 tokens, expected at least"):
        model(tf.zeros([1, 8192, 4]))
    with pytest.raises(ValueError, match=r"^sequence has shape \(16384, 4\), expected \[batch, le"):
        model.predict_on_batch(np.zeros([LENGTH_BP, 4]))
    with pytest.raises(ValueError, match=r"tokens has shape \(1, 128, 64\), expected .* 256\]"):
        model.transform(np.zeros([1, 128, 64]))
    with pytest.raises(ValueError, match=r"embedding has shape \(64, 512\), expected .* 512\]"):
        model.predict_head("human", np.zeros([64, 512]))


@pytest.mark.parametrize("dtype", ["uint8", "bool", "float64"])
def test_model_accepts_numpy_arrays(dense_model, dtype):
    sequence = random_sequence(1)
    array = sequence.numpy().astype(dtype)
    expected = dense_model.predict_on_batch(sequence)["human"]
    np.testing.assert_array_equal(dense_model.predict_on_batch(array)["human"], expected)
    tokens = dense_model.embed(array).numpy().astype("float64")
    embedding = dense_model.transform(tokens).numpy().astype("float64")
    np.testing.assert_allclose(dense_model.predict_head("human", embedding), expected, rtol=1e-4)


CALL_AT_SEVERAL_LENGTHS = """
import numpy as np
from senformer.config import preset
from senformer.model.enformer import Enformer

model = Enformer(preset("enformer_tiny", attention="tiled", target_length=8, tracks={"human": 1}))
for num_tokens in (24, 32, 40):
    model(np.zeros([1, num_tokens * 128, 4]))
"""


@pytest.mark.slow
def test_eager_calls_cause_no_warnings():
    """Without `tf.function`, TensorFlow would warn of each new shape and of parallel loops."""
    command = [sys.executable, "-c", CALL_AT_SEVERAL_LENGTHS]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "WARNING:tensorflow" not in run.stderr
