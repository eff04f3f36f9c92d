"""What is known of the promoters in simulated records: what each makes, and whose doing it is."""

from __future__ import annotations

import numpy as np
import pandas as pd

from senformer.config import BIN_SIZE_BP
from senformer.data.record_folders import RecordFolder
from senformer.data.simulation import contact, regulation, simulate


def promoters_in_targets(folder: RecordFolder, split: str, target_length: int) -> pd.DataFrame:
    """Every promoter that a model has to predict.

    Args:
        folder: Records that `simulate.write_dataset` wrote.
        split: `train`, `valid` or `test`.
        target_length: Central 128-bp bins that are predicted, at most those that are stored.

    Returns:
        One row per promoter, by record and position: `row` (of the record in its split), `bin` (of
        its centre, in the target), `element` (its row in `simulate.read_elements`), `offset_bp`
        (from the middle of the record), and the columns of `regulation.place_elements`.

    Raises:
        FileNotFoundError: If the records are not simulated.
        ValueError: If there is no such split.
    """
    elements = simulate.read_elements(folder)
    elements = elements.assign(element=np.arange(len(elements)))
    promoters = elements[elements["kind"] == "promoter"]
    frames = []
    intervals = folder.intervals_of(split)
    starts_bp = intervals["start"].to_numpy()
    for row, (chromosome, start_bp) in enumerate(zip(intervals["chrom"], starts_bp, strict=True)):
        centre_bp = start_bp + folder.sequence_length_bp // 2
        first_bp = centre_bp - target_length * BIN_SIZE_BP // 2
        target_bin = (promoters["position_bp"] - first_bp) // BIN_SIZE_BP
        is_inside = (promoters["chrom"] == chromosome) & target_bin.between(0, target_length - 1)
        offset_bp = promoters["position_bp"] - centre_bp
        # Columns first: pandas would give a frame without rows, of a record that holds no promoter,
        # those of a column that is assigned to it.
        with_place = promoters.assign(row=row, bin=target_bin, offset_bp=offset_bp)
        frames.append(with_place[is_inside])
    return pd.concat(frames, ignore_index=True)


def contributions(folder: RecordFolder, promoters: pd.DataFrame) -> pd.DataFrame:
    """What each enhancer does to each promoter.

    Args:
        folder: Records that `simulate.write_dataset` wrote.
        promoters: From `promoters_in_targets`.

    Returns:
        One row per promoter and enhancer in contact: `promoter`, a row of `promoters`;
        `distance_bp`, positive for an enhancer to the right; `offset_bp`, of the enhancer from the
        middle of the record; and for each biosample `effect_<biosample>`. Over a promoter's rows
        these add up to its `distal_<biosample>`.

    Raises:
        FileNotFoundError: If the records are not simulated.
    """
    elements = simulate.read_elements(folder)
    number_of = pd.Series(promoters.index, index=promoters["element"])
    frames = []
    for _, on_it in elements.groupby("chrom"):
        first = on_it.index[0]
        on_it = on_it.reset_index(drop=True)
        pairs = contact.pairs_in_contact(on_it)
        pairs = pairs[(pairs["promoter"] + first).isin(number_of.index)]
        promoter = number_of.loc[pairs["promoter"] + first].to_numpy()
        effects = {
            f"effect_{biosample}": regulation.effects(on_it, pairs, biosample)
            for biosample in regulation.ACTIVITY
        }
        offset_bp = promoters["offset_bp"].to_numpy()[promoter] + pairs["distance_bp"].to_numpy()
        frames.append(
            pd.DataFrame(
                {
                    "promoter": promoter,
                    "distance_bp": pairs["distance_bp"].to_numpy(),
                    "offset_bp": offset_bp,
                    **effects,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
