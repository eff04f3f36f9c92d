"""How much of what enhancers do to a promoter lies where a sparse model can see it.

Before any training the pattern decides it: a regulation that lies within the window tells nothing
of what the pattern takes away. Known on simulated records alone.
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
    "What a model could at best make of what each reach holds: the window of its own block and the "
    "two beside it, the blocks that the first layer's pattern names, what all layers reach, the "
    "input, and the genome."
)
"""What a page says of `accuracy_in_reach`."""


def effects_in_reach(
    promoters: PromotersOfSplit, config: ModelConfig, sequence_length_bp: int
) -> pd.DataFrame:
    """Tabulate for every promoter how much of its enhancers' effect is within which reach.

    Args:
        promoters: Of a split of simulated records.
        config: A sparse model; the random blocks are those of its own draw.
        sequence_length_bp: Length of its input.

    Returns:
        One row per promoter, each column including the one before: `window`, the effect of the
        enhancers in its own block of tokens and the two beside it; `one_layer`, in blocks that the
        pattern of the first layer names; `all_layers`, in blocks that those of all layers reach;
        `within_input`; and `everywhere`, in units of a promoter's mean transcription.

    Raises:
        ValueError: If the model does not take this length.
    """
    patterns = attention_patterns(config, sequence_length_bp)
    size_bp = config.num_tokens(sequence_length_bp) // patterns.shape[1] * BIN_SIZE_BP
    effects = promoters.effects
    offset_bp = effects["offset_bp"].to_numpy() + sequence_length_bp // 2
    promoter_bp = offset_bp - effects["distance_bp"].to_numpy()
    is_inside = (offset_bp >= 0) & (offset_bp < sequence_length_bp)
    seen_by, seen = promoter_bp // size_bp, np.where(is_inside, offset_bp, 0) // size_bp
    within = {
        "window": np.abs(seen - seen_by) <= 1,
        "one_layer": patterns[0][seen_by, seen],
        "all_layers": reachable_blocks(patterns)[seen_by, seen],
        "within_input": np.ones_like(is_inside),
    }
    number, effect = effects["promoter"].to_numpy(), effects["effect"].to_numpy()
    num_promoters = len(promoters.table)
    return pd.DataFrame(
        {
            **{
                name: _sums(number, effect * (is_inside & is_within), num_promoters)
                for name, is_within in within.items()
            },
            "everywhere": _sums(number, effect, num_promoters),
        }
    )


def accuracy_in_reach(
    promoters: PromotersOfSplit, in_reach: pd.DataFrame, measured: NDArray[np.float64]
) -> pd.DataFrame:
    """Say how accurate a model would be that used all that lies in a reach, and no more.

    Args:
        promoters: Of a split of simulated records.
        in_reach: From `effects_in_reach`, of the same.
        measured: `promoters.levels` of the targets.

    Returns:
        One row per reach: `reach`, `share_of_effects`, and r over promoters of the best prediction
        from what lies within, `pearson_r`, with its 95 % interval over records, `pearson_r_low` and
        `pearson_r_high`.
    """
    strength = promoters.table["strength"].to_numpy()
    mean_of_core = in_reach.groupby(promoters.table["activator"].to_numpy()).transform("mean")
    unseen = mean_of_core.rsub(mean_of_core["everywhere"], axis=0)
    best = (in_reach + unseen + regulation.BASAL_TRANSCRIPTION).mul(strength, axis=0)
    predicted = [best[reach].to_numpy() for reach in best]
    share = in_reach.sum() / in_reach["everywhere"].sum()
    r = resampling.interval_columns(
        "pearson_r",
        r_over_promoters(promoters, predicted, measured),
        promoters.table["row"].nunique(),
    )
    return share.rename_axis("reach").reset_index(name="share_of_effects").join(r)


def table_of_reaches(accuracy: pd.DataFrame) -> pd.DataFrame:
    """`accuracy_in_reach` for a page: reaches in words, r with its interval.

    Args:
        accuracy: From `accuracy_in_reach`.
    """
    texts = [resampling.format_interval(row, "pearson_r") for _, row in accuracy.iterrows()]
    words = accuracy["reach"].str.replace("_", " ")
    return accuracy.assign(reach=words, pearson_r=texts)[["reach", "share_of_effects", "pearson_r"]]


def _sums(
    number: NDArray[np.int64], effect: NDArray[np.float64], num_promoters: int
) -> NDArray[np.float64]:
    return np.bincount(number, effect, num_promoters).astype(np.float64)
