"""The type of device that functions are traced for: the present one, or a chosen one.

The device type determines how many heads and query blocks are computed at once, the windows of the
trunk, the use of Winograd convolutions, and whether a step is one compiled program.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import tensorflow as tf

from senformer.config import expect_one_of

_DEVICE_TYPES = ("cpu", "gpu")

_chosen: contextvars.ContextVar[str | None] = contextvars.ContextVar("device_type", default=None)


def is_gpu() -> bool:
    """Return whether functions are traced for a GPU: chosen by `traced_for`, or present."""
    chosen = _chosen.get()
    return chosen == "gpu" if chosen else bool(tf.config.list_logical_devices("GPU"))


@contextlib.contextmanager
def traced_for(device_type: str) -> Iterator[None]:
    """Choose the device type for models and functions that are made and traced in the context.

    Use it to export a program for an absent device, or to test the computations of a GPU on a CPU.

    Args:
        device_type: `cpu` or `gpu`.

    Raises:
        ValueError: If the device type is unknown.
    """
    expect_one_of("device_type", device_type, _DEVICE_TYPES)
    token = _chosen.set(device_type)
    try:
        yield
    finally:
        _chosen.reset(token)
