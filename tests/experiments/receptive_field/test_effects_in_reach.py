"""Effects within reach of a pattern are sums of the simulated effects of enhancers."""

import numpy as np
import pytest

from senformer.config import preset
from senformer.experiments.receptive_field.effects_in_reach import effects_in_reach

SPARSE = preset(
    "senformer", channels=256, num_transformer_layers=2, tracks={"human": 16}, target_length=192
)


def test_effects_in_reach_accumulate(promoters):
    table = effects_in_reach(promoters, SPARSE, 131_072)
    assert (np.diff(table.to_numpy(), axis=1) >= -1e-12).all()
    np.testing.assert_allclose(table["everywhere"], promoters.effects_by_distance([0, 10**9])[:, 0])


def test_simulated_effects_exceed_window_and_input(promoters):
    """Else the accuracy of a sparse model on simulated records would show nothing."""
    total = effects_in_reach(promoters, SPARSE, 131_072).sum()
    share = total / total["everywhere"]
    assert share["window"] < 0.35
    assert 0.4 < share["within_input"] < 0.7
    assert share["one_layer"] < share["all_layers"] == pytest.approx(share["within_input"])


def test_dense_attention_reaches_the_whole_input(promoters):
    dense = SPARSE.replace(attention="dense")
    table = effects_in_reach(promoters, dense, 32_768)
    np.testing.assert_array_equal(table["one_layer"], table["within_input"])
    np.testing.assert_allclose(
        table["within_input"], promoters.effects_by_distance([0, 10**9], seen_bp=32_768)[:, 0]
    )
