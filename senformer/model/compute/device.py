"""The type of device that functions are traced for: the present one, or a chosen one.

The device type determines how many heads and query blocks are computed at once, the windows of the
trunk, the use of Winograd convolutions, and whether a step is one compiled program.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf

from senformer.config import expect_one_of

_DEVICE_TYPES = ("cpu", "gpu")

Capability = tuple[int, int]
"""Compute capability of a GPU, for instance `(9, 0)` for an H100."""


class _Device(NamedTuple):
    device_type: str
    capability: Capability | None


_chosen: contextvars.ContextVar[_Device | None] = contextvars.ContextVar("device", default=None)


def is_gpu() -> bool:
    """Return whether functions are traced for a GPU: chosen by `traced_for`, or present."""
    chosen = _chosen.get()
    return chosen.device_type == "gpu" if chosen else bool(tf.config.list_logical_devices("GPU"))


def compute_capability() -> Capability | None:
    """Return the compute capability of the GPU that functions are traced for, None if unknown."""
    chosen = _chosen.get()
    if chosen:
        return chosen.capability
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return None
    return tf.config.experimental.get_device_details(gpus[0]).get("compute_capability")


@contextlib.contextmanager
def traced_for(device_type: str, capability: Capability | None = None) -> Iterator[None]:
    """Choose the device type for models and functions that are made and traced in the context.

    Use it to export a program for an absent device, or to test the computations of a GPU on a CPU.

    Args:
        device_type: `cpu` or `gpu`.
        capability: Compute capability of the GPU. Without it, programs do not use kernels that only
            some GPUs have.

    Raises:
        ValueError: If the device type is unknown.
    """
    expect_one_of("device_type", device_type, _DEVICE_TYPES)
    token = _chosen.set(_Device(device_type, capability))
    try:
        yield
    finally:
        _chosen.reset(token)
