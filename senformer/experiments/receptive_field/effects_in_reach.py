"""Compute how much of the enhancers' effect on promoters lies within reach of a sparse pattern.

The pattern decides this before any training: a model cannot show a loss by sparse attention if
all regulation lies within its window. Effects are known for simulated records only.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from senformer.config import BIN_SIZE_BP, ModelConfig
from senformer.data.simulation import regulation
from senformer.evaluation import resampling
from senformer.experiments.receptive_field.enhancer_distance import (
    PromotersOfSplit,
    r_over_promoters,
)
from senformer.experiments.receptive_field.pattern import attention_patterns, reachable_blocks

REACHES_NOTE = (
    "The best possible accuracy from the sequence within each reach: the window (a block and its "
    "two neighbours), all blocks of the first layer's pattern, all blocks that all layers reach, "
    "the input, and the genome."
)
"""Caption of a table from `accuracy_in_reach`."""


def effects_in_reach(
    promoters: PromotersOfSplit, config: ModelConfig, sequence_length_bp: int
) -> pd.DataFrame:
    """Sum the effects of the enhancers within each reach of every promoter.

    Args:
        promoters: Promoters of a split of simulated records.
        config: A sparse model, which determines its random blocks.
        sequence_length_bp: Length of its input in bp.

    Returns:
        One row per promoter, in units of a promoter's mean transcription. Each column includes
        the one before: `window` (enhancers in the promoter's block and its two neighbours),
        `one_layer` (in blocks of the first layer's pattern), `all_layers` (in blocks that all
        layers reach), `within_input` and `everywhere`.

    Raises:
        ValueError: If the model does not take this length.
    """
    patterns = attention_patterns(config, sequence_length_bp)
    block_bp = config.num_tokens(sequence_length_bp) // patterns.shape[1] * BIN_SIZE_BP
    effects = promoters.effects
    enhancer_bp = effects["offset_bp"].to_numpy() + sequence_length_bp // 2
    promoter_bp = enhancer_bp - effects["distance_bp"].to_numpy()
    is_inside = (enhancer_bp >= 0) & (enhancer_bp < sequence_length_bp)
    query, key = promoter_bp // block_bp, np.where(is_inside, enhancer_bp, 0) // block_bp
    is_within = {
        "window": is_inside & (np.abs(key - query) <= 1),
        "one_layer": is_inside & patterns[0][query, key],
        "all_layers": is_inside & reachable_blocks(patterns)[query, key],
        "within_input": is_inside,
        "everywhere": np.ones_like(is_inside),
    }
    index, effect = effects["promoter"].to_numpy(), effects["effect"].to_numpy()
    return pd.DataFrame(
        {
            reach: np.bincount(index, effect * selected, len(promoters.table)).astype(np.float64)
            for reach, selected in is_within.items()
        }
    )


def accuracy_in_reach(
    promoters: PromotersOfSplit, in_reach: pd.DataFrame, measured: NDArray[np.float64]
) -> pd.DataFrame:
    """Compute the best possible accuracy of a model that uses everything within a reach.

    Args:
        promoters: Promoters of a split of simulated records.
        in_reach: From `effects_in_reach`, of the same promoters.
        measured: Measured levels, from `promoters.levels` of the targets.

    Returns:
        One row per reach: `reach`, `share_of_effects`, and r over promoters of the best
        prediction, `pearson_r`, with its 95 % confidence interval over records, `pearson_r_low`
        and `pearson_r_high`.
    """
    strength = promoters.table["strength"].to_numpy()
    # A promoter's activator is visible, so the best guess for unseen effects is their mean by it.
    mean_by_activator = in_reach.groupby(promoters.table["activator"].to_numpy()).transform("mean")
    unseen = mean_by_activator.rsub(mean_by_activator["everywhere"], axis=0)
    best = (in_reach + unseen + regulation.BASAL_TRANSCRIPTION).mul(strength, axis=0)
    predicted = [best[reach].to_numpy() for reach in best]
    r = resampling.interval_columns(
        "pearson_r",
        r_over_promoters(promoters, predicted, measured),
        promoters.table["row"].nunique(),
    )
    share = in_reach.sum() / in_reach["everywhere"].sum()
    return share.rename_axis("reach").reset_index(name="share_of_effects").join(r)


def table_of_reaches(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Format the rows of `accuracy_in_reach` for a page, with r and its interval in one column."""
    texts = [resampling.format_interval(row, "pearson_r") for _, row in accuracy.iterrows()]
    reaches = accuracy["reach"].str.replace("_", " ")
    return accuracy.assign(reach=reaches, pearson_r=texts)[
        ["reach", "share_of_effects", "pearson_r"]
    ]
