"""Coverage that a model predicts for regions of a genome: planned, predicted, written."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyfaidx
from numpy.typing import NDArray
from tqdm import tqdm

from senformer.config import BIN_SIZE_BP, expect_integer, expect_one_of
from senformer.data import genome, tracks
from senformer.evaluation import averaging
from senformer.prediction import coverage_files, earlier_runs, parts, regions, track_selection
from senformer.prediction.loaded_models import LoadedModel, load_model
from senformer.prediction.regions import Run, Window
from senformer.storage import atomic_files
from senformer.training.identity import digest_of_file, digest_of_values

_FORMAT = 1  # raise it when the same run would write other files
_PARTS_ENDING = ".parts"
_VALUES_FILE = "values"
_WRITTEN_BYTES_OF_VALUE = 8  # measured, of a bigWig of values that do not repeat


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictionPlan:
    """What is to be predicted.

    Attributes:
        model: A SavedModel's folder, or a `.safetensors` of this package.
        fasta: The genome.
        regions: A BED file; see `regions.read_regions`.
        targets: The table of the tracks that the head predicts.
        tracks: Which of them, as `track_selection.select_tracks` takes them.
        organism: The head.
        sequence_length_bp: Length of the model's input, for one that takes several.
        averaging: Over which views of the input; a name of `averaging.VIEWS`.
        overlaps: What a bin gets that several windows predict; one of `regions.OVERLAPS`.
        step_bins: From one window to the next; by default all that one predicts, so that none
            overlap.
        batch_size: Windows that are predicted at once.
    """

    model: Path
    fasta: Path
    regions: Path
    targets: Path
    tracks: Sequence[str]
    organism: str = "human"
    sequence_length_bp: int | None = None
    averaging: str = "none"
    overlaps: str = "tiled"
    step_bins: int | None = None
    batch_size: int = 1


@dataclasses.dataclass(frozen=True, eq=False)
class _Plan:
    """A prediction whose inputs have been checked against each other."""

    asked: PredictionPlan
    model: LoadedModel
    lengths_bp: Mapping[str, int]
    runs: Sequence[Run]
    targets: pd.DataFrame
    chosen: NDArray[np.intp]
    strand_pairs: NDArray[np.intp]
    step_bins: int
    run: dict[str, Any]  # all that decides the values, by name

    @property
    def num_windows(self) -> int:
        return regions.num_windows(
            self.runs, target_length=self.model.target_length, step_bins=self.step_bins
        )

    @property
    def num_bins(self) -> int:
        return sum(run.end_bin - run.first_bin for run in self.runs)

    def windows(self) -> Iterator[Window]:
        return regions.windows(
            self.runs,
            target_length=self.model.target_length,
            step_bins=self.step_bins,
            overlaps=self.asked.overlaps,
        )


def predict(asked: PredictionPlan, out: str | Path, *, say: Callable[[str], None] = print) -> None:
    """Predict tracks for regions, and write a bigWig for each or one Parquet file.

    All inputs are checked before the first prediction. What was predicted lies in `<out>.parts`
    until the files are written; so a run that was stopped, however that was, is taken up by the
    same call, and its files are the same to the byte. Memory does not grow with the regions.

    Args:
        asked: What is to be predicted.
        out: A folder that gets `<identifier>.bw` for each track, or a file `*.parquet` with a
            column for each.
        say: Is given a line about the size of what is to be done.

    Raises:
        FileNotFoundError: If an input is missing.
        FileExistsError: If `out` is there and is not of this very prediction.
        ValueError: If an input is damaged or does not fit the others, or a prediction is not
            finite.
        OSError: If there is no room for it, or it cannot be written.
    """
    out = Path(out)
    plan = _plan(asked)
    folder = out.with_name(out.name + _PARTS_ENDING)
    with atomic_files.lock(folder):
        if earlier_runs.is_done(out, plan.run):
            shutil.rmtree(folder, ignore_errors=True)
            say(f"{out}: these predictions are there already")
            return
        earlier_runs.begin_or_resume(folder, out, plan.run)
        _expect_room(plan, folder, say)
        _predict_windows(plan, folder / _VALUES_FILE)
        _write(plan, folder / _VALUES_FILE, out)
        shutil.rmtree(folder)


# --------------------------------------------------------------------------------------- the plan


def _plan(asked: PredictionPlan) -> _Plan:
    """All that can be wrong is found here; the model, which takes longest, comes last."""
    expect_one_of("averaging", asked.averaging, averaging.VIEWS)
    expect_one_of("overlaps", asked.overlaps, regions.OVERLAPS)
    expect_integer("batch_size", asked.batch_size, 1)
    targets = tracks.read_targets(asked.targets)
    tracks.check_track_order(targets, asked.targets)
    chosen = track_selection.select_tracks(targets, asked.tracks)
    with genome.open_fasta(asked.fasta) as fasta:
        lengths_bp = {name: len(fasta[name]) for name in fasta.keys()}  # noqa: SIM118 (no dict)
    runs = regions.read_regions(asked.regions, lengths_bp)
    model = load_model(asked.model, asked.sequence_length_bp)
    _expect_head(model, asked, len(targets))
    if any(view.reverse for view in averaging.VIEWS[asked.averaging]):
        averaging.expect_same_middle(model.sequence_length_bp, model.target_length)
    step_bins = model.target_length if asked.step_bins is None else asked.step_bins
    next(
        regions.windows(
            runs,
            target_length=model.target_length,
            step_bins=step_bins,
            overlaps=asked.overlaps,
        )
    )
    strand_pairs = tracks.strand_pairs(targets, asked.targets)
    run = {
        "format": _FORMAT,
        "model": model.digest,
        "sequence_length_bp": model.sequence_length_bp,
        "target_length": model.target_length,
        "fasta": digest_of_file(Path(asked.fasta)),
        "regions": digest_of_values({"runs": runs}),
        "organism": asked.organism,
        "tracks": digest_of_values(
            {"chosen": chosen.tolist(), "names": targets["identifier"].tolist()}
        ),
        "averaging": asked.averaging,
        "overlaps": asked.overlaps,
        "step_bins": step_bins,
        "batch_size": asked.batch_size,
    }
    return _Plan(asked, model, lengths_bp, runs, targets, chosen, strand_pairs, step_bins, run)


def _expect_head(model: LoadedModel, asked: PredictionPlan, num_tracks: int) -> None:
    if asked.organism not in model.tracks:
        raise ValueError(
            f"organism={asked.organism!r}, expected a head of {asked.model}: "
            f"{', '.join(model.tracks)}"
        )
    if model.tracks[asked.organism] != num_tracks:
        raise ValueError(
            f"{asked.targets}: {num_tracks} tracks, expected the "
            f"{model.tracks[asked.organism]} that {asked.model} predicts for {asked.organism}"
        )


def _expect_room(plan: _Plan, folder: Path, say: Callable[[str], None]) -> None:
    num_tracks = len(plan.chosen)
    meanwhile = parts.num_bytes(plan.windows(), num_tracks)
    for_good = plan.num_bins * num_tracks * _WRITTEN_BYTES_OF_VALUE
    values = folder / _VALUES_FILE
    say(
        f"{plan.num_windows:,} windows of {plan.model.sequence_length_bp:,} bp for "
        f"{plan.num_bins:,} bins, {num_tracks:,} tracks: about {for_good / 1e9:.3g} GB, and "
        f"{meanwhile / 1e9:.3g} GB until it is done; {shutil.disk_usage(folder).free / 1e9:.3g} GB "
        "are free"
    )
    there = values.stat().st_size if values.exists() else 0
    atomic_files.check_free_space(folder, for_good + meanwhile - there)


# --------------------------------------------------------------------------------- the prediction


def _predict_windows(plan: _Plan, values: Path) -> None:
    """Predict all windows that the file does not hold yet."""
    batch_size, num_tracks = plan.asked.batch_size, len(plan.chosen)
    num_whole = parts.num_whole(values, plan.windows(), num_tracks)
    num_done = num_whole // batch_size * batch_size  # a batch is the same in every call
    if num_whole == plan.num_windows:
        num_done = num_whole
    done = parts.num_bytes(itertools.islice(plan.windows(), num_done), num_tracks)
    head = plan.model.head(plan.asked.organism)
    remaining = itertools.islice(plan.windows(), num_done, None)
    with (
        genome.open_fasta(plan.asked.fasta) as fasta,
        values.open("ab") as file,
        tqdm(total=plan.num_windows, initial=num_done, desc="predict", unit="window") as bar,
    ):
        file.truncate(done)
        while batch := list(itertools.islice(remaining, batch_size)):
            sequences = np.stack([_sequence(fasta, window, plan.model) for window in batch])
            predicted = _averaged(plan, head, sequences)
            for window, coverage in zip(batch, predicted, strict=True):
                first = window.first_kept_bin - window.first_bin
                kept = coverage[first : first + window.num_kept_bins, plan.chosen].T
                _expect_finite(kept, window, plan)
                parts.append(file, kept)
            bar.update(len(batch))


def _sequence(fasta: pyfaidx.Fasta, window: Window, model: LoadedModel) -> NDArray[np.float32]:
    """The window's bases, one-hot, with N beyond the chromosome's ends."""
    num_tokens = model.sequence_length_bp // BIN_SIZE_BP
    start = (window.first_bin - (num_tokens - model.target_length) // 2) * BIN_SIZE_BP
    return genome.fetch_one_hot(fasta, window.chromosome, start, start + model.sequence_length_bp)


def _averaged(
    plan: _Plan, head: Callable[[NDArray[np.float32]], Any], sequences: NDArray[np.float32]
) -> NDArray[np.float32]:
    name = plan.asked.averaging
    views = averaging.predict_views(head, sequences, averaging.VIEWS[name], plan.strand_pairs)
    return averaging.mean(views, name)


def _expect_finite(values: NDArray[np.float32], window: Window, plan: _Plan) -> None:
    if np.isfinite(values).all():
        return
    track = plan.chosen[np.flatnonzero(~np.isfinite(values).all(axis=1))[0]]
    raise ValueError(
        f"{plan.asked.model}: predicts a value that is not finite for track "
        f"{plan.targets['identifier'].iloc[track]} at {window.chromosome}:"
        f"{window.first_kept_bin * BIN_SIZE_BP}-{window.end_kept_bin * BIN_SIZE_BP}"
    )


# -------------------------------------------------------------------------------------- the files


def _write(plan: _Plan, values: Path, out: Path) -> None:
    names = _names(plan)
    description = {
        "run": plan.run,
        "model": str(plan.asked.model),
        "fasta": str(plan.asked.fasta),
        "tracks": {
            name: plan.targets["description"].iloc[track]
            for name, track in zip(names, plan.chosen, strict=True)
        },
    }
    if out.suffix == ".parquet":
        segments = parts.read(values, plan.windows(), len(names))
        coverage_files.write_parquet(out, segments, plan.lengths_bp, names, description)
        return
    for track, name in enumerate(tqdm(names, desc="write", unit="track")):
        file = out / f"{name}.bw"
        if not file.exists():  # it is whole, if a run that was stopped got as far
            segments = parts.read(values, plan.windows(), len(names), track=track)
            coverage_files.write_bigwig(file, segments, plan.lengths_bp)
    with atomic_files.replace_file(out / earlier_runs.DESCRIPTION_FILE) as unfinished:
        unfinished.write_text(json.dumps(description, indent=1) + "\n")


def _names(plan: _Plan) -> list[str]:
    """A name for each chosen track's file or column: its identifier, with its place if need be."""
    safe = [re.sub(r"[^\w.+-]", "_", name) for name in plan.targets["identifier"]]
    count = Counter(safe)
    return [safe[i] if count[safe[i]] == 1 else f"{safe[i]}.{i}" for i in plan.chosen]
