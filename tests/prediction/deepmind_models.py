"""Write SavedModels like DeepMind's: the same names of variables, and a function."""

import re

import tensorflow as tf

from senformer.model.checkpoints import named_variables
from senformer.model.weights import sonnet

_OF_TF_HUB = {
    r"^head_(\w+)/": r"heads/head_\1/linear/",
    r"^(?!heads)": "trunk/",
    r"/stem/conv/": "/stem/conv1_d/",
    r"/tower_(\d)/": r"/downres/downres_block_\1/",
    r"/transformer_(\d)/attention_norm/": r"/transformer_\1/mha/normalization/layer_norm/",
    r"/transformer_(\d)/attention/": r"/transformer_\1/mha/multihead_attention/",
    r"/transformer_(\d)/mlp_norm/": r"/transformer_\1/mlp/normalization/layer_norm/",
    r"/mlp_(in|out)/": "/mlp/linear/",
    r"/transformer_(\d)/": r"/transformer/transformer_block_\1/",
    r"/final_pointwise/": "/final_pointwise/conv_block/",
    r"/pointwise/": "/pointwise_conv_block/",
    r"/conv/": "/conv1_d/",
    r"/pool/": "/pooling/softmax_pooling/linear/",
    r"/batch_norm/moving_\w+/": "/normalization/exponential_moving_average/",
    r"/batch_norm/": "/normalization/cross_replica_batch_norm/",
    r"/query/": "/q_layer/linear/",
    r"/relative_key/": "/r_k_layer/linear/",
    r"/key/": "/k_layer/linear/",
    r"/value/": "/v_layer/linear/",
    r"/output/": "/embedding_layer/",
    r"/content_bias$": "/r_w_bias",
    r"/position_bias$": "/r_r_bias",
}
"""Replacements that convert names of this package to names of TF-Hub's variables."""


def name_of_tf_hub(name):
    for pattern, replacement in _OF_TF_HUB.items():
        name = re.sub(pattern, replacement, name)
    return f"model/{name}"


def write(model, folder, *, sequence_length_bp, used_length_bp):
    """Save a dense model like DeepMind's, and replace its variables by the saved ones.

    Args:
        model: The model; it gets new variables of the same values.
        folder: The SavedModel's folder.
        sequence_length_bp: Length of the input of `predict_on_batch`.
        used_length_bp: Length of the part in its middle that the model reads.
    """
    root = tf.Module()
    root.model = tf.Module()
    saved = {}
    for name, variable in named_variables(model).items():
        saved[id(variable)] = tf.Variable(variable, name=name_of_tf_hub(name))
        # the path of the variable in the objects of DeepMind's published code
        *objects, last = sonnet.to_sonnet_name(name).removeprefix("module/").split("/")
        holder = root.model
        for part in objects:
            if not hasattr(holder, part):
                setattr(holder, part, tf.Module())
            holder = getattr(holder, part)
        setattr(holder, last, saved[id(variable)])
    for module in (model, *model.submodules):
        for attribute, value in vars(module).items():
            if id(value) in saved:
                setattr(module, attribute, saved[id(value)])
    outside = (sequence_length_bp - used_length_bp) // 2
    root.model.predict_on_batch = tf.function(
        lambda x: model(x[:, outside : outside + used_length_bp]),
        input_signature=[tf.TensorSpec([None, sequence_length_bp, 4], tf.float32)],
    )
    tf.saved_model.save(root, str(folder))
