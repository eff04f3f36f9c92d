"""Batches of small products are XLA's where TensorFlow would compute them with its own kernels."""

import pytest
import tensorflow as tf

from senformer.model.compute import xla


@pytest.mark.parametrize(("onednn", "times_run"), [(True, 2), (False, 1)])
def test_a_function_is_compiled_once_without_onednn_and_runs_as_written_with_it(
    onednn, times_run, monkeypatch
):
    monkeypatch.setattr(xla, "are_onednn", lambda: onednn)
    runs = []

    @xla.compiled_without_onednn
    def double(x):
        runs.append(x)
        return 2 * x

    for number in (1.0, 2.0):
        assert double(tf.constant(number)) == 2 * number
    assert len(runs) == times_run


def test_the_compiled_function_is_xlas(monkeypatch):
    monkeypatch.setattr(xla, "are_onednn", lambda: False)
    double = xla.compiled_without_onednn(lambda x: 2 * x)
    graph = tf.function(double).get_concrete_function(tf.TensorSpec([])).graph
    [call] = [op for op in graph.get_operations() if "PartitionedCall" in op.type]
    assert call.get_attr("_XlaMustCompile")


def test_as_written_nothing_is_left_to_xla():
    halve = xla.compiled(lambda x: x / 2)

    def operations():
        graph = tf.function(halve).get_concrete_function(tf.TensorSpec([2])).graph
        return {operation.type for operation in graph.get_operations()}

    with xla.as_written():
        assert "RealDiv" in operations()
    assert "RealDiv" not in operations()
