import functools

import numpy as np
import pytest
import tensorflow as tf
from attention_reference import (
    BFLOAT16_TOLERANCE,
    assert_matches,
    dropout_factors,
    make_inputs,
    plain_attention,
)

from senformer.model.attention.dense import dense_attention
from senformer.model.attention.heads import WeightDropout
from senformer.model.attention.tiled import tiled_attention
from senformer.model.compute import device, xla

# tokens, rows per tile: one tile, whole tiles, a last tile that is padded, a default
SIZES = [(48, 48), (64, 16), (100, 32), (33, None)]
DROPOUT = WeightDropout(0.3, tf.constant([[3, 4], [5, 6]]))

attend_in_four_tiles = functools.partial(tiled_attention, rows_per_tile=16)


def test_dense_matches_float64():
    assert_matches(dense_attention, make_inputs(48), plain_attention)


@pytest.mark.parametrize(("tokens", "rows"), SIZES)
@pytest.mark.parametrize("device_type", ["cpu", "gpu"])
def test_tiled_matches_float64(tokens, rows, device_type):
    with device.traced_for(device_type):
        attend = xla.program(functools.partial(tiled_attention, rows_per_tile=rows))
    assert_matches(attend, make_inputs(tokens), plain_attention)


def test_dropout_is_the_same_in_the_gradient():
    attend = tf.function(attend_in_four_tiles)
    inputs = make_inputs(64)
    factors = dropout_factors(attend, inputs, DROPOUT)
    assert abs(np.mean(factors == 0) - 0.3) < 0.02
    tiles = factors.reshape(2 * 3 * 4, -1)  # of every sequence and head
    assert len(np.unique(tiles, axis=0)) == len(tiles)
    expected = functools.partial(plain_attention, factors=factors)
    assert_matches(functools.partial(attend, dropout=DROPOUT), inputs, expected)


def test_bfloat16_stays_near_float64():
    inputs = make_inputs(64, dtype=tf.bfloat16)
    tolerances = BFLOAT16_TOLERANCE, BFLOAT16_TOLERANCE
    assert_matches(attend_in_four_tiles, inputs, plain_attention, *tolerances)
