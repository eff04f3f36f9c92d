"""Start a notebook's kernel with the Python of this process."""

from __future__ import annotations

from typing import Any

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager


def kernel_manager(stderr: int) -> type[AsyncKernelManager]:
    """Return a class that starts kernels with `sys.executable`.

    Jupyter finds kernels by name, in JUPYTER_PATH and the folders of the user and the system. A
    kernel `python3` there may belong to a Python without this package.

    Args:
        stderr: Descriptor for what libraries write to stderr.
    """

    class OwnKernelManager(AsyncKernelManager):
        """Start this process's Python, whichever kernels Jupyter's folders contain."""

        @property
        def kernel_spec(self) -> KernelSpec:
            return KernelSpec(**get_kernel_dict())

        async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
            await super().start_kernel(**{**options, "stderr": stderr})

    return OwnKernelManager
