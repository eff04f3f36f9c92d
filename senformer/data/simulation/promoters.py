"""Find the promoters in simulated records, and the contribution of each enhancer to them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from senformer.config import BIN_SIZE_BP
from senformer.data.record_folders import RecordFolder
from senformer.data.simulation import contact, regulation, simulate


def find_promoters(folder: RecordFolder, split: str, target_length: int) -> pd.DataFrame:
    """Find all promoters that a model predicts.

    Args:
        folder: Records of `simulate.write_dataset`.
        split: `train`, `valid` or `test`.
        target_length: Number of central 128-bp bins that are predicted, at most those stored.

    Returns:
        One row per promoter, sorted by record and position: `row` (of the record in its split),
        `bin` (of the promoter's centre, in the target), `element` (row in
        `simulate.read_elements`), `offset_bp` (from the record's middle), and the columns of
        `regulation.draw_elements`.

    Raises:
        FileNotFoundError: If the records are not simulated.
        ValueError: If there is no such split.
    """
    elements = simulate.read_elements(folder)
    elements = elements.assign(element=np.arange(len(elements)))
    promoters = elements[elements["kind"] == "promoter"]
    intervals = folder.intervals_of(split)
    starts_bp = intervals["start"].to_numpy()
    frames = []
    for row, (chromosome, start_bp) in enumerate(zip(intervals["chrom"], starts_bp, strict=True)):
        centre_bp = start_bp + folder.sequence_length_bp // 2
        first_bp = centre_bp - target_length * BIN_SIZE_BP // 2
        target_bin = (promoters["position_bp"] - first_bp) // BIN_SIZE_BP
        is_inside = (promoters["chrom"] == chromosome) & target_bin.between(0, target_length - 1)
        offset_bp = promoters["position_bp"] - centre_bp
        # Select rows last: a record may have no promoter, and pandas would extend an empty frame.
        placed = promoters.assign(row=row, bin=target_bin, offset_bp=offset_bp)
        frames.append(placed[is_inside])
    return pd.concat(frames, ignore_index=True)


def compute_contributions(folder: RecordFolder, promoters: pd.DataFrame) -> pd.DataFrame:
    """Compute the contribution of each enhancer to each promoter.

    Args:
        folder: Records of `simulate.write_dataset`.
        promoters: Promoters from `find_promoters`.

    Returns:
        One row per promoter and enhancer in contact: `promoter`, a row of `promoters`;
        `distance_bp`, positive for an enhancer to the right; `offset_bp`, from the record's middle
        to the enhancer; and `effect_<biosample>` for each biosample. The effects of a promoter add
        up to its `distal_<biosample>`.

    Raises:
        FileNotFoundError: If the records are not simulated.
    """
    elements = simulate.read_elements(folder)
    promoter_of_element = pd.Series(promoters.index, index=promoters["element"])
    offset_bp = promoters["offset_bp"].to_numpy()
    frames = []
    for _, on_chromosome in elements.groupby("chrom"):
        first = on_chromosome.index[0]
        on_chromosome = on_chromosome.reset_index(drop=True)
        pairs = contact.find_pairs(on_chromosome)
        pairs = pairs[(pairs["promoter"] + first).isin(promoter_of_element.index)]
        promoter = promoter_of_element.loc[pairs["promoter"] + first].to_numpy()
        distance_bp = pairs["distance_bp"].to_numpy()
        columns = {
            "promoter": promoter,
            "distance_bp": distance_bp,
            "offset_bp": offset_bp[promoter] + distance_bp,
        }
        for biosample in regulation.ACTIVITY:
            effects = regulation.compute_effects(on_chromosome, pairs, biosample)
            columns[f"effect_{biosample}"] = effects
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)
