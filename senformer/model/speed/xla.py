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


def compiled(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Let XLA compile a function, anew for each set of shapes that it is called with.

    A decorator for passes over memory: one for all of a function's operations instead of one each.
    That a model compiles them for each of its layers' shapes and for each length of sequence is
    meant, so TensorFlow does not warn of it, which it would where a model is called outside a
    `tf.function`.

    Args:
        function: Of tensors, and of Python values that are constants of the computation.
    """
    run = tf.function(function, jit_compile=True)
    run._omit_frequent_tracing_warning = True  # nothing public does
    return run


def compiled_without_onednn(
    function: Callable[_Arguments, _Result],
) -> Callable[_Arguments, _Result]:
    """Let XLA compute a function where a CPU computes without oneDNN.

    A decorator for batches of small products. With oneDNN, which is the faster of the two, and on a
    GPU the function runs as it is written.

    Args:
        function: Of tensors, and of Python values that are constants of the computation.
    """
    in_xla = compiled(function)

    @functools.wraps(function)
    def run(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        as_written = are_onednn() or tf.config.list_logical_devices("GPU")
        return (function if as_written else in_xla)(*args, **kwargs)

    return run
