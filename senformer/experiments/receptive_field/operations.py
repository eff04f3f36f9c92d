"""What a prediction and a scan cost: operations, counted from a model's sizes."""

from __future__ import annotations

import pandas as pd

from senformer.config import BIN_SIZE_BP, ModelConfig, expect_one_of
from senformer.experiments.receptive_field.passes import WINDOW_TOKENS
from senformer.experiments.receptive_field.scan import NUM_BASES
from senformer.model import trunk
from senformer.model.attention.random_blocks import layer_random_blocks


def cost_of_scan(
    config: ModelConfig, head: str, *, sequence_length_bp: int, num_positions: int
) -> pd.DataFrame:
    """Compare what a scan costs by three ways to do it, per sequence and its positions.

    The study predicts a sequence of its own for each position, as it is and mutated; one sequence
    for all positions is predicted as it is only once; splicing then spares most of the trunk.

    Args:
        config: a model with dense or bigbird attention.
        head: the head that is predicted.
        sequence_length_bp: length of the input, bp.
        num_positions: positions per sequence.

    Returns:
        One row per way: way, tera_operations, share_of_study.

    Raises:
        ValueError: as `flops_of_pass`.
    """
    whole = flops_of_pass(config, head, sequence_length_bp)
    spliced = flops_of_spliced_pass(config, head, sequence_length_bp)
    window = _flops_of_window(config, sequence_length_bp)
    as_it_is = spliced - window + flops_of_trunk(config, sequence_length_bp)
    costs = {
        "two full passes per mutation (the study)": 2 * num_positions * whole,
        "one full pass per mutation, one per sequence": (1 + num_positions) * whole,
        "one trunk per sequence, spliced": as_it_is + num_positions * spliced,
    }
    frame = pd.DataFrame({"way": list(costs), "tera_operations": list(costs.values())})
    frame["tera_operations"] /= 1e12
    return frame.assign(share_of_study=frame["tera_operations"] / frame["tera_operations"].iloc[0])


def flops_of_pass(config: ModelConfig, head: str, sequence_length_bp: int) -> float:
    """Count the operations of a prediction, two per multiply-add of its products, written out.

    What windows of the trunk compute twice is left out, as is the other head. A pass is counted as
    it is published: the trunk of fewer operations (`frozen_trunk`) spares more than a third of what
    is counted for it, and `Enformer.transform` the last perceptron of tokens that are cropped.

    Args:
        config: a model with dense or bigbird attention.
        head: the head that is predicted.
        sequence_length_bp: length of the input, bp.

    Raises:
        ValueError: if the attention is another, or the model does not take this length.
    """
    tokens = config.num_tokens(sequence_length_bp)
    of_transformer = config.num_transformer_layers * _flops_of_layer(config, tokens)
    return (
        flops_of_trunk(config, sequence_length_bp) + of_transformer + _flops_of_head(config, head)
    )


def flops_of_spliced_pass(config: ModelConfig, head: str, sequence_length_bp: int) -> float:
    """Count what a variant costs in `spliced_passes`, as `flops_of_pass` counts.

    Args:
        config: a model with dense or bigbird attention.
        head: the head that is predicted.
        sequence_length_bp: length of the input, bp.

    Raises:
        ValueError: as `flops_of_pass`.
    """
    tokens = config.num_tokens(sequence_length_bp)
    whole = flops_of_pass(config, head, sequence_length_bp)
    in_trunk = flops_of_trunk(config, sequence_length_bp)
    cropped = _flops_of_perceptron(config, tokens - config.target_length)
    return whole - in_trunk + _flops_of_window(config, sequence_length_bp) - cropped


def flops_of_trunk(config: ModelConfig, sequence_length_bp: int) -> float:
    """Count what stem and tower cost, as `flops_of_pass` counts.

    Args:
        config: sizes of the model.
        sequence_length_bp: length of the input, bp.
    """
    channels = config.stem_channels
    of_pool = 0.5 if config.pooling == "attention" else 0.0  # one product per pair
    products = float(sequence_length_bp) * channels * (trunk.STEM_WIDTH * NUM_BASES + channels)
    products += of_pool * sequence_length_bp * channels**2
    positions = sequence_length_bp
    for outputs in config.tower_channels:
        positions //= 2
        products += positions * outputs * (trunk.TOWER_WIDTH * channels + outputs)
        products += of_pool * positions * outputs**2
        channels = outputs
    return 2.0 * products


def _flops_of_window(config: ModelConfig, sequence_length_bp: int) -> float:
    return flops_of_trunk(config, min(WINDOW_TOKENS * BIN_SIZE_BP, sequence_length_bp))


def _flops_of_layer(config: ModelConfig, tokens: int) -> float:
    channels = config.channels
    if config.attention == "dense":
        keys = config.num_heads * config.key_size
        distances = 2 * tokens - 1
        products = 2 * tokens * channels * (keys + channels)  # query, key, value, output
        products += distances * config.num_relative_position_features * keys
        products += tokens * (tokens + distances) * keys + tokens * tokens * channels
    elif config.attention == "bigbird":
        random = layer_random_blocks(config, 0, tokens)
        _, rows, num_random = random.shape
        pairs = 2 * (rows + 2) + rows * (2 + 3 + num_random)  # of blocks: the two ends see all
        products = 4 * tokens * channels**2 + 2 * pairs * config.block_size**2 * channels
    else:
        raise ValueError(f"attention={config.attention!r}: expected dense or bigbird")
    return 2.0 * products + _flops_of_perceptron(config, tokens)


def _flops_of_perceptron(config: ModelConfig, tokens: int) -> float:
    return 2.0 * 4 * tokens * config.channels**2


def _flops_of_head(config: ModelConfig, head: str) -> float:
    expect_one_of("head", head, config.tracks)
    products = config.channels + config.tracks[head]
    return 2.0 * config.target_length * 2 * config.channels * products
