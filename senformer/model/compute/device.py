"""Which device a function is traced for: the one that is there, or another that is named.

What a device decides: how many heads and rows of attention are computed at once, how long the
trunk's windows are, whether fewer products pay, and whether a step is one compiled program.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import tensorflow as tf

from senformer.config import expect_one_of

_DEVICE_TYPES = ("cpu", "gpu")

_named: contextvars.ContextVar[str | None] = contextvars.ContextVar("named", default=None)


def is_gpu() -> bool:
    """Whether functions are traced for a GPU: because one is there, or by `traced_for`."""
    named = _named.get()
    if named is not None:
        return named == "gpu"
    return bool(tf.config.list_logical_devices("GPU"))


@contextlib.contextmanager
def traced_for(device_type: str) -> Iterator[None]:
    """Name the device for what is made and traced inside.

    Use it to export a program for a device that is not there, or to run a GPU's way of computing on
    a CPU.

    Args:
        device_type: `cpu` or `gpu`.

    Raises:
        ValueError: If it is neither.
    """
    expect_one_of("device_type", device_type, _DEVICE_TYPES)
    token = _named.set(device_type)
    try:
        yield
    finally:
        _named.reset(token)
