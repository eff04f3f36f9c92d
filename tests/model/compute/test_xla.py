import pytest
import tensorflow as tf

from senformer.model.compute import xla


@pytest.mark.parametrize(("onednn", "num_runs"), [(True, 2), (False, 1)])
def test_compiled_without_onednn(onednn, num_runs, monkeypatch):
    monkeypatch.setattr(xla, "has_onednn", lambda: onednn)
    runs = []

    @xla.compiled_without_onednn
    def double(x):
        runs.append(x)
        return 2 * x

    for number in (1.0, 2.0):
        assert double(tf.constant(number)) == 2 * number
    assert len(runs) == num_runs


def list_operations(function):
    graph = tf.function(function).get_concrete_function(tf.TensorSpec([2])).graph
    return {operation.type: operation for operation in graph.get_operations()}


def test_compiled_uses_xla_unless_uncompiled():
    halve = xla.compiled(lambda x: x / 2)
    [call] = [o for kind, o in list_operations(halve).items() if "PartitionedCall" in kind]
    assert call.get_attr("_XlaMustCompile")
    with xla.uncompiled():
        assert "RealDiv" in list_operations(halve)
