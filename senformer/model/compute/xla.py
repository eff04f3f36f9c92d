"""XLA, TensorFlow's compiler: for single passes, for slow kernels of a CPU, for whole programs.

TensorFlow chooses a CPU's kernels when it is imported: oneDNN's where the processor has
instructions made for neural networks, its own on any other. Its own need up to twice the time for a
batch of small products that they need for one large product; those of XLA do not.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ParamSpec, TypeVar

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla as xla_operations
from tensorflow.python.util import _pywrap_util_port  # nothing public tells

from senformer.model.compute import device

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_is_in_one_program = contextvars.ContextVar("is_in_one_program", default=False)
_is_as_written = contextvars.ContextVar("is_as_written", default=False)


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
    # Nothing in a pass depends on values, so AutoGraph, which takes long, has nothing to convert.
    in_xla = _without_warning(tf.function(function, autograph=False, jit_compile=True))

    @functools.wraps(function)
    def run(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        return (function if _is_as_written.get() else in_xla)(*args, **kwargs)

    return run


@contextlib.contextmanager
def as_written() -> Iterator[None]:
    """Trace functions as they are written, with nothing in them that XLA would have to compile.

    For a program that leaves this process: elsewhere XLA may be absent, or reduce in threads
    without a lock, which `tf_environment` keeps it from here.
    """
    token = _is_as_written.set(True)
    try:
        yield
    finally:
        _is_as_written.reset(token)


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
        as_written = are_onednn() or device.is_gpu()
        return (function if as_written else in_xla)(*args, **kwargs)

    return run


def program(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Compile a step or a prediction for the device: on a GPU as one program, by XLA.

    Started one by one, a step's thousands of small operations would take a fast GPU longer than
    their arithmetic. On a CPU they run one by one: as one program a step takes a little less time
    there, and up to two and a half times the memory.

    That many models have each their own is meant, so TensorFlow does not warn of it.

    Args:
        function: Of tensors. Traced anew for each set of shapes.
    """
    if not device.is_gpu():
        # AutoGraph would wrap an error in lines of its own.
        return _without_warning(tf.function(function, autograph=False))

    @functools.wraps(function)
    def traced(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        token = _is_in_one_program.set(True)
        try:
            with device.traced_for("gpu"):  # where the tracing happens, this may be forgotten
                return function(*args, **kwargs)
        finally:
            _is_in_one_program.reset(token)

    return _without_warning(tf.function(traced, autograph=False, jit_compile=True))


def _without_warning(function: Any) -> Any:
    """A `tf.function` that does not warn of being traced often."""
    function._omit_frequent_tracing_warning = True  # nothing public does
    return function


def hold_back(tensors: Sequence[tf.Tensor], until: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """The same tensors, but what reads them is not computed before others are there.

    Without it TensorFlow may compute early, and keep, what is to be computed late; and XLA, which
    knows no order but that of data, would merge a repeated computation with its first run.

    Args:
        tensors: Any, whose gradient nobody asks for.
        until: What they wait for.
    """
    if _is_in_one_program.get():
        until = [tf.stop_gradient(x) for x in until]
        return xla_operations.optimization_barrier(*tensors, *until)[: len(tensors)]
    with tf.control_dependencies(until):
        return [tf.identity(x) for x in tensors]
