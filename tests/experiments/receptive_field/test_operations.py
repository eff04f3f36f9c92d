"""Counts of operations equal the products of the graphs that are run."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scanned_models import model_of

from senformer.config import preset
from senformer.experiments.receptive_field.operations import (
    cost_of_scan,
    flops_of_pass,
    flops_of_spliced_pass,
)
from senformer.model import ops, trunk


class TestCost:
    """Counts equal the products of the graphs that are run."""

    TOKENS = 20

    @pytest.mark.parametrize("pooling", ["attention", "max"])
    def test_of_a_full_pass(self, pooling):
        model = model_of("dense", num_layers=1, pooling=pooling)
        counted = flops_of_graph(pass_written_out(model), [1, self.TOKENS * 128, 4])
        assert counted == flops_of_pass(model.config, "human", self.TOKENS * 128)

    def test_of_a_spliced_pass(self):
        model = model_of("dense")
        in_window = flops_of_graph(
            lambda x: trunk.embed(model.trunk_in_evaluation(), x), [1, 13 * 128, 4]
        )
        after = flops_of_graph(
            lambda x: model.predict_head("human", model.transform(x)), [1, self.TOKENS, 256]
        )
        expected = flops_of_spliced_pass(model.config, "human", self.TOKENS * 128)
        assert in_window + after == expected

    def test_of_bigbird_attention(self):
        model = model_of("bigbird", num_layers=1, block_size=4)
        counted = flops_of_graph(pass_written_out(model), [1, 32 * 128, 4], trips=4)
        assert counted == flops_of_pass(model.config, "human", 32 * 128)

    def test_a_scan_of_the_study_falls_below_a_fifth_at_enformers_size(self):
        for name in ("enformer", "senformer"):
            cost = cost_of_scan(preset(name), "human", sequence_length_bp=196_608, num_positions=9)
            assert cost["share_of_study"].iloc[0] == 1
            assert cost["share_of_study"].iloc[1] == pytest.approx(10 / 18)
            assert cost["share_of_study"].iloc[2] < 0.2

    def test_other_attention_is_refused(self):
        with pytest.raises(ValueError, match="attention='tiled': expected dense or bigbird"):
            flops_of_pass(preset("enformer", attention="tiled"), "human", 196_608)


def pass_written_out(model):
    """A prediction that takes every product that the published one takes."""

    def run(sequence):
        x = trunk.embed(model.trunk_in_evaluation(), sequence)
        features = model.position_features(x)
        for block in model.transformer:
            x = block(x, features)
        x = model.final_pointwise(ops.crop(x, model.config.target_length), False)
        return model.predict_head("human", ops.gelu(x))

    return run


def flops_of_graph(function, shape, trips: int = 0) -> int:
    """Two per multiply-add of every product in a graph, a loop's body counted `trips` times."""
    graph = tf.function(function).get_concrete_function(tf.TensorSpec(shape)).graph
    return _flops(graph, trips)


def _flops(graph, trips: int) -> int:
    total = 0
    for operation in graph.get_operations():
        if operation.type in ("MatMul", "BatchMatMulV2"):
            name = "transpose_a" if operation.type == "MatMul" else "adj_x"
            inner = operation.inputs[0].shape[-2 if operation.get_attr(name) else -1]
            total += 2 * inner * int(np.prod(operation.outputs[0].shape))
        elif operation.type == "Conv2D":
            weights = tuple(operation.inputs[1].shape)
            total += 2 * int(np.prod(weights[:3])) * int(np.prod(operation.outputs[0].shape))
        elif operation.type in ("While", "StatelessWhile"):
            body = operation.graph._get_function(operation.get_attr("body").name)
            total += trips * _flops(body.graph, trips)
        elif operation.type.endswith("PartitionedCall"):
            called = operation.graph._get_function(operation.get_attr("f").name)
            total += _flops(called.graph, trips)
    return total
