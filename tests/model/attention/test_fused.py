"""Check the wiring of the fused kernel; a reference of the same signature replaces the call."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from attention_reference import (
    BFLOAT16_TOLERANCE,
    assert_matches,
    make_inputs,
    make_tiny_layer,
    plain_attention,
)

from senformer.model.attention import fused
from senformer.model.attention.dense import dense_attention
from senformer.model.compute import device, xla

HOPPER, AMPERE, TURING = (9, 0), (8, 0), (7, 5)


@pytest.fixture
def calls(monkeypatch):
    """Replace the kernel's call by the reference, also in float32; return the operands' shapes."""
    calls = []

    def call(target, operands, results, backend_config):
        del backend_config
        calls.append([tuple(x.shape) for x in operands])
        if target.endswith("Backward"):
            query, key, value, log_total, upstream, bias, output = operands
            saved = fused.Saved(query, key, value, bias, output, log_total)
            found = fused.Reference().gradient(saved, upstream)
        else:
            found = fused.Reference().attend(*operands)
        described = [(x.dtype, list(x.shape)) for x in found]
        assert described == [(dtype, list(shape)) for dtype, shape in results[:-1]]
        return [*found, None]

    monkeypatch.setattr(fused, "_call", call)
    monkeypatch.setitem(fused._HALF_TYPES, tf.float32, "F32")
    return calls


def in_program(attend, capability=None):
    """Compile attention as one program for a GPU of a compute capability."""
    with device.traced_for("gpu", capability):
        return xla.program(attend)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("heads_per_group", [1, 2, 4])
def test_reference_matches_dense(batch, heads_per_group):
    attend = functools.partial(fused.fused_attention, heads_per_group=heads_per_group)
    inputs = make_inputs(66, batch=batch, heads=4)
    assert_matches(in_program(attend), inputs, tf.function(dense_attention), 1e-5, 1e-5)


@pytest.mark.parametrize("capability", [HOPPER, AMPERE])
@pytest.mark.parametrize("value_size", [8, 192])
def test_calls_of_the_kernel_match_dense(calls, capability, value_size):
    inputs = make_inputs(34, heads=4)
    shape = [*inputs.value.shape[:-1], value_size]
    inputs = inputs._replace(value=tf.random.stateless_normal(shape, [1, 2]))
    attend = functools.partial(fused.fused_attention, heads_per_group=2)
    compiled = in_program(attend, capability)
    assert_matches(compiled, inputs, tf.function(dense_attention), 1e-5, 1e-5)
    parts = 2 if capability == AMPERE and value_size == 192 else 1
    assert len(calls) == 2 * parts * 2  # groups, parts, passes
    if capability == AMPERE:
        for query, key, value, *_ in calls:
            assert query[-1] == key[-1] == value[-1] <= 128


def test_bfloat16_stays_near_float64():
    inputs = make_inputs(64)
    # Logits as large as those of a trained layer: the kernel rounds its bias to bfloat16 too.
    inputs = inputs._replace(
        query=inputs.query * 8**-0.5,
        content_bias=inputs.content_bias * 8**-0.5,
        position_bias=inputs.position_bias * 8**-0.5,
    )
    inputs = type(inputs)(*(tf.cast(x, tf.bfloat16) for x in inputs))
    tolerances = BFLOAT16_TOLERANCE, BFLOAT16_TOLERANCE
    assert_matches(in_program(fused.fused_attention), inputs, plain_attention, *tolerances)


@pytest.mark.parametrize(
    ("dtype", "capability", "expected"),
    [
        (tf.bfloat16, HOPPER, fused.CudnnKernel),
        (tf.float16, AMPERE, fused.CudnnKernel),
        (tf.float32, HOPPER, fused.Reference),
        (tf.bfloat16, TURING, fused.Reference),
        (tf.bfloat16, None, fused.Reference),
    ],
)
def test_kernel_needs_half_types_and_ampere(dtype, capability, expected):
    found = []

    def choose(x):
        found.append(fused.choose_kernel(dtype))
        return x

    with device.traced_for("gpu", capability):
        xla.program(choose)(tf.constant(0.0))
        assert isinstance(fused.choose_kernel(dtype), fused.Reference)  # outside of a program
    assert type(found[-1]) is expected


@pytest.mark.parametrize(
    ("tokens", "expected"), [(1536, 8), (3072, 2), (6144, 2), (8192, 2), (12_288, 1)]
)
def test_group_of_heads_follows_memory(tokens, expected):
    assert fused.choose_heads_per_group(8, tokens) == expected


def test_layer_matches_dense():
    dense = make_tiny_layer("dense")
    layer = fused.FusedAttention(dense.config, 0, tf.random.Generator.from_seed(0), "attention")
    assert [v.name for v in layer.variables] == [v.name for v in dense.variables]
    for mine, theirs in zip(layer.variables, dense.variables, strict=True):
        mine.assign(theirs)
    x = tf.random.stateless_normal([2, 40, dense.config.channels], [1, 2])
    features = dense.position_features(x.shape[1])
    np.testing.assert_allclose(layer(x, features), dense(x, features), atol=1e-5)
