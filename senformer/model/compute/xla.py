"""Compile functions with XLA: single passes over memory, slow CPU kernels, whole programs.

TensorFlow chooses its CPU kernels at import: oneDNN's on processors with instructions for neural
networks, its own on others. Its own kernels need up to twice the time for a batch of small products
that they need for one large product; XLA's do not.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ParamSpec, TypeVar

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla as xla_operations
from tensorflow.python.util import _pywrap_util_port  # there is no public interface

from senformer.model.compute import device

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_is_in_one_program = contextvars.ContextVar("is_in_one_program", default=False)
_is_uncompiled = contextvars.ContextVar("is_uncompiled", default=False)


def has_onednn() -> bool:
    """Return whether TensorFlow uses oneDNN's kernels on this CPU."""
    return _pywrap_util_port.IsMklEnabled()


def compiled(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Compile a function with XLA, once for each set of shapes.

    A decorator for passes over memory: XLA fuses the function's operations into one pass. A model
    compiles them for the shapes of each layer and each sequence length, so TensorFlow's warning
    about frequent tracing is switched off.

    Args:
        function: Function of tensors, and of Python values that are constants of the computation.
    """
    # Nothing depends on values, so AutoGraph, which is slow, has nothing to convert.
    in_xla = _without_warning(tf.function(function, autograph=False, jit_compile=True))

    @functools.wraps(function)
    def run(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        return (function if _is_uncompiled.get() else in_xla)(*args, **kwargs)

    return run


def is_in_one_program() -> bool:
    """Tell whether the function that is being traced becomes one program of XLA's."""
    return _is_in_one_program.get()


@contextlib.contextmanager
def uncompiled() -> Iterator[None]:
    """Trace functions without XLA.

    Use it for a program that leaves this process. Elsewhere XLA may be absent, or may compute
    reductions in threads without a lock, which `tf_environment` prevents here.
    """
    token = _is_uncompiled.set(True)
    try:
        yield
    finally:
        _is_uncompiled.reset(token)


def compiled_without_onednn(
    function: Callable[_Arguments, _Result],
) -> Callable[_Arguments, _Result]:
    """Compile a function with XLA on CPUs where TensorFlow does not use oneDNN.

    A decorator for batches of small products. With oneDNN, the faster of the two, and on a GPU the
    function is not compiled.

    Args:
        function: Function of tensors, and of Python values that are constants of the computation.
    """
    in_xla = compiled(function)

    @functools.wraps(function)
    def run(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        return (function if has_onednn() or device.is_gpu() else in_xla)(*args, **kwargs)

    return run


def program(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Compile a training step or a prediction for the device: on a GPU as one XLA program.

    On a fast GPU, launching a step's thousands of small operations one by one would take longer
    than their arithmetic. On a CPU they run one by one, because one program would save little time
    and need up to two and a half times the memory.

    Args:
        function: Function of tensors, traced for each set of shapes.
    """
    capability = device.compute_capability()
    if not device.is_gpu():
        # AutoGraph would wrap the message of an error in its own lines.
        return _without_warning(tf.function(function, autograph=False))

    @functools.wraps(function)
    def traced(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        token = _is_in_one_program.set(True)
        try:
            # Tracing may happen outside of the caller's context.
            with device.traced_for("gpu", capability):
                return function(*args, **kwargs)
        finally:
            _is_in_one_program.reset(token)

    return _without_warning(tf.function(traced, autograph=False, jit_compile=True))


def _without_warning(function: Any) -> Any:
    """Switch off a `tf.function`'s warning about frequent tracing."""
    function._omit_frequent_tracing_warning = True  # there is no public interface
    return function


def hold_back(tensors: Sequence[tf.Tensor], until: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Return the same tensors, but delay their readers until other tensors are computed.

    Otherwise TensorFlow may compute early, and hold, a result that is needed late. XLA, which
    orders operations only by their data, would merge a recomputation with the forward pass.

    Args:
        tensors: Tensors that need no gradient.
        until: Tensors to wait for.
    """
    if _is_in_one_program.get():
        until = [tf.stop_gradient(x) for x in until]
        return xla_operations.optimization_barrier(*tensors, *until)[: len(tensors)]
    with tf.control_dependencies(until):
        return [tf.identity(x) for x in tensors]
