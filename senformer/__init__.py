"""Replace Enformer's self-attention by sparse attention, and measure what that changes.

The public names, such as `senformer.Enformer`, are listed in `__init__.pyi`. Each is imported from
its module when it is first used, so that `import senformer` loads no TensorFlow.
"""

import os

import lazy_loader

from senformer.tf_environment import prepare

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

prepare(os.environ)
