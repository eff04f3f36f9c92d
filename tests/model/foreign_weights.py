"""Write a model's weights as other programs do."""

import numpy as np

from senformer.model.checkpoints import named_variables
from senformer.model.weights import enformer_pytorch


def to_enformer_pytorch(model):
    """Return a model's arrays in the names and layout of enformer-pytorch."""
    return {
        enformer_pytorch.to_enformer_pytorch_name(name): np.ascontiguousarray(variable.numpy().T)
        for name, variable in named_variables(model).items()
        if not name.endswith("/hidden")
    }
