"""Start a notebook's kernel with the Python of this process."""

from __future__ import annotations

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager


class OwnKernelManager(AsyncKernelManager):
    """Start kernels with `sys.executable`, whichever kernels Jupyter's folders contain.

    Jupyter finds kernels by name, in JUPYTER_PATH and the folders of the user and the system. A
    kernel `python3` there may belong to a Python without this package.
    """

    @property
    def kernel_spec(self) -> KernelSpec:
        """Return the description of a kernel that runs this process's Python."""
        return KernelSpec(**get_kernel_dict())
