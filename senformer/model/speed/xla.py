"""The kernels that TensorFlow computes with on a CPU, and XLA's in place of its slow ones.

TensorFlow chooses when it is imported: oneDNN's kernels where the processor has instructions made
for neural networks, its own on any other. Its own need up to twice the time for a batch of small
products that they need for one large product; those of XLA, its compiler, do not.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import tensorflow as tf
from tensorflow.python.util import _pywrap_util_port  # nothing public tells

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def are_onednn() -> bool:
    """Whether TensorFlow computes with oneDNN's kernels on this CPU, not with its own."""
    return _pywrap_util_port.IsMklEnabled()


def compiled_without_onednn(
    function: Callable[_Arguments, _Result],
) -> Callable[_Arguments, _Result]:
    """Let XLA compute a function where a CPU computes without oneDNN.

    A decorator for batches of small products. With oneDNN, which is the faster of the two, and on a
    GPU the function runs as it is written.

    Args:
        function: Of tensors, and of Python values that are constants of the computation.
    """
    compiled = tf.function(function, jit_compile=True)

    @functools.wraps(function)
    def run(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        as_written = are_onednn() or tf.config.list_logical_devices("GPU")
        return (function if as_written else compiled)(*args, **kwargs)

    return run
