"""Predict coverage for regions of a genome, and write it to files."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pyfaidx
from numpy.typing import NDArray
from tqdm import tqdm

from senformer.config import BIN_SIZE_BP, Options, PositiveInteger, accept_only
from senformer.data import genome, tracks
from senformer.evaluation import averaging as view_averaging
from senformer.evaluation.averaging import VIEWS
from senformer.prediction import coverage_files, resume_state
from senformer.prediction.loaded_models import LoadedModel, load_model
from senformer.prediction.regions import OVERLAPS, Window, WindowLayout, read_regions
from senformer.prediction.resume_state import WindowFile
from senformer.prediction.track_selection import describe_tracks, select_tracks
from senformer.storage import atomic_files
from senformer.storage.output_paths import check_output
from senformer.storage.text_files import add_path_to_errors
from senformer.training.identity import digest_file, digest_values

_FORMAT = 2  # increase it when the same plan gives other files
_WRITTEN_BYTES_OF_VALUE = 8  # measured for a bigWig whose values do not repeat
_TABLE_ENDING = ".parquet"
_OTHER_ENDINGS = re.compile(
    r"\.(bw|bigwig|bg|bedgraph|wig|bed|csv|tsv|txt|pq|feather|arrow|h5|hdf5|npy|npz|json|gz|zip)"
)


class PredictionPlan(Options):
    """Describe a prediction.

    Attributes:
        model: The folder of a SavedModel, which runs the program that it contains, or a
            `.safetensors` of this package.
        fasta: The genome.
        regions: A BED file, see `regions.read_regions`.
        targets: The table of the tracks that the head predicts.
        tracks: Names of the tracks to predict, see `track_selection.select_tracks`.
        organism: The head.
        sequence_length_bp: Length of the input, for a model that takes several lengths.
        averaging: Views of the input to average over, a name of `averaging.VIEWS`.
        overlaps: The value of a bin that several windows predict, one of `regions.OVERLAPS`.
        step_bins: Number of bins from one window to the next; by default all bins of a window, so
            that windows do not overlap.
        batch_size: Number of windows per call of the model.
    """

    model: Path
    fasta: Path
    regions: Path
    targets: Path
    tracks: Sequence[str]
    organism: str = "human"
    sequence_length_bp: PositiveInteger | None = None
    averaging: Annotated[str, accept_only(VIEWS)] = "none"
    overlaps: Annotated[str, accept_only(OVERLAPS)] = "tiled"
    step_bins: PositiveInteger | None = None
    batch_size: PositiveInteger = 1


def predict(plan: PredictionPlan, out: str | Path, *, say: Callable[[str], None] = print) -> None:
    """Predict tracks for regions, and write one bigWig per track or one Parquet file.

    All inputs are checked before the first prediction. `<out>.parts` holds the predictions until
    the files are written. If the call is stopped, the same call resumes it. The same call gives the
    same bytes, also after a stop, on the same machine and versions. For a SavedModel this needs one
    inter-op thread, which a process must set before it computes with TensorFlow for the first time;
    `predict` does so if it comes first, and otherwise says that bits can differ. Memory does not
    grow with the regions.

    Args:
        plan: The prediction.
        out: A folder for `<identifier>.bw` of each track, or a file `*.parquet` with a column for
            each track. If two identifiers are equal, see `coverage_files.name_tracks`.
        say: Function that receives a line about the size of the work, and one if repeated calls can
            differ.

    Raises:
        FileNotFoundError: If an input is missing.
        FileExistsError: If `out` exists and does not belong to this prediction, or is a folder
            where a file is expected.
        ValueError: If an input is damaged or does not fit the others, or a prediction is infinite
            or NaN.
        OSError: If the disk has too little room, or a file cannot be written.
    """
    out = Path(out)
    _check_out(out)
    job = _prepare(plan)
    folder = out.with_name(f"{out.name}.parts")
    with atomic_files.lock(folder):
        if resume_state.is_done(out, job.identity):
            atomic_files.remove_leftover(out if out.is_dir() else out.parent)
            shutil.rmtree(folder, ignore_errors=True)
            say(f"{out}: these predictions exist already")
            return
        say(f"{len(job.selected):,} tracks: {describe_tracks(job.targets, job.selected)}")
        if not job.model.is_repeatable:
            say(
                "TensorFlow already runs several operations at a time in this process, so the last "
                "bits of these predictions can differ from those of another call"
            )
        resume_state.start_or_resume(folder, out, job.identity)
        values = WindowFile(folder / "values", job.windows, len(job.selected))
        _check_free_space(job, values, say)
        _predict_windows(job, values)
        _write_files(job, values, out)
        shutil.rmtree(folder)


# -------------------------------------------------------------------------------------- preparation


def _check_out(out: Path) -> None:
    """Check the name and the kind of the output."""
    check_output(out)
    if _OTHER_ENDINGS.fullmatch(out.suffix.lower()):
        raise ValueError(
            f"{out}: expected the name of a folder for bigWigs, or a file {'*' + _TABLE_ENDING}"
        )
    if out.exists() and out.is_dir() == (out.suffix.lower() == _TABLE_ENDING):
        found, expected = ("folder", "file") if out.is_dir() else ("file", "folder")
        raise FileExistsError(f"{out}: exists and is a {found}, expected a {expected}")


@dataclass(frozen=True, eq=False)
class _Job:
    """A plan whose inputs fit each other.

    Attributes:
        plan: The plan.
        model: The model.
        windows: The model's windows.
        lengths_bp: Length of each chromosome.
        targets: The table of tracks.
        selected: Positions of the selected tracks in the table.
        strand_pairs: Position of each track's counterpart on the other strand.
        identity: All values that determine the predictions, by name.
    """

    plan: PredictionPlan
    model: LoadedModel
    windows: WindowLayout
    lengths_bp: Mapping[str, int]
    targets: pd.DataFrame
    selected: NDArray[np.intp]
    strand_pairs: NDArray[np.intp]
    identity: dict[str, Any]


def _prepare(plan: PredictionPlan) -> _Job:
    """Read and check all inputs; load the model last, because it takes longest."""
    targets = tracks.read_targets(plan.targets, tracks.NAMING_COLUMNS)
    tracks.check_track_order(targets, plan.targets)
    selected = select_tracks(targets, plan.tracks)
    with genome.open_fasta(plan.fasta) as fasta:
        lengths_bp = {name: len(fasta[name]) for name in fasta.keys()}  # noqa: SIM118 (no dict)
    ranges = read_regions(plan.regions, lengths_bp)
    model = load_model(plan.model, plan.sequence_length_bp)
    if plan.organism not in model.tracks:
        heads = ", ".join(model.tracks)
        raise ValueError(f"organism={plan.organism!r}, expected a head of {plan.model}: {heads}")
    if model.tracks[plan.organism] != len(targets):
        raise ValueError(
            f"{plan.targets}: {len(targets)} tracks, expected {model.tracks[plan.organism]}, as "
            f"{plan.model} predicts for {plan.organism}: the table of all tracks, from which "
            "--tracks selects"
        )
    strand_pairs = tracks.strand_pairs(targets, plan.targets)
    has_reverse = any(view.reverse for view in VIEWS[plan.averaging])
    if has_reverse:
        view_averaging.expect_same_middle(model.sequence_length_bp, model.target_length)
    step_bins = plan.step_bins or model.target_length
    windows = WindowLayout(ranges, model.target_length, step_bins, plan.overlaps)
    identity = {
        "format": _FORMAT,
        "model": model.digest,
        "sequence_length_bp": model.sequence_length_bp,
        "target_length": model.target_length,
        "fasta": digest_file(plan.fasta),
        "regions": digest_values({"runs": ranges}),
        "organism": plan.organism,
        "tracks": digest_values(
            {
                "chosen": selected.tolist(),
                "names": targets["identifier"].tolist(),
                "descriptions": targets["description"].iloc[selected].tolist(),
            }
        ),
        "strand_pairs": digest_values(
            {"pairs": strand_pairs[selected].tolist() if has_reverse else []}
        ),
        "averaging": plan.averaging,
        "overlaps": plan.overlaps,
        "step_bins": step_bins,
        "batch_size": plan.batch_size,
    }
    return _Job(plan, model, windows, lengths_bp, targets, selected, strand_pairs, identity)


def _check_free_space(job: _Job, values: WindowFile, say: Callable[[str], None]) -> None:
    """Report the size of the work, and check that the disk has room for it."""
    num_tracks, num_bins = len(job.selected), job.windows.num_bins
    num_temporary, num_final = values.count_bytes(), num_bins * num_tracks * _WRITTEN_BYTES_OF_VALUE
    num_free = shutil.disk_usage(values.path.parent).free
    say(
        f"{len(job.windows):,} windows of {job.model.sequence_length_bp:,} bp for {num_bins:,} "
        f"bins, {num_tracks:,} tracks: about {num_final / 1e9:.3g} GB, and "
        f"{num_temporary / 1e9:.3g} GB until the files are written; {num_free / 1e9:.3g} GB free"
    )
    num_existing = values.path.stat().st_size if values.path.exists() else 0
    atomic_files.check_free_space(values.path.parent, num_final + num_temporary - num_existing)


# --------------------------------------------------------------------------------- the prediction


def _predict_windows(job: _Job, values: WindowFile) -> None:
    """Predict all windows that the file lacks."""
    batch_size, num_windows = job.plan.batch_size, len(job.windows)
    num_done = values.count_complete()
    if num_done < num_windows:  # continue with a whole batch: every call has the same batches
        num_done = num_done // batch_size * batch_size
    remaining = itertools.islice(job.windows, num_done, None)
    head = job.model.head(job.plan.organism)
    views = VIEWS[job.plan.averaging]
    with (
        add_path_to_errors(values.path),
        genome.open_fasta(job.plan.fasta) as fasta,
        values.path.open("ab") as file,
        tqdm(total=num_windows, initial=num_done, desc="predict", unit="window") as bar,
    ):
        file.truncate(values.count_bytes(num_done))
        while batch := list(itertools.islice(remaining, batch_size)):
            sequences = np.stack([_fetch_sequence(fasta, window, job.model) for window in batch])
            predicted = view_averaging.average_views(
                view_averaging.predict_views(head, sequences, views, job.strand_pairs),
                job.plan.averaging,
            )
            for window, coverage in zip(batch, predicted, strict=True):
                first = window.first_kept_bin - window.first_bin
                kept = coverage[first : first + window.num_kept_bins, job.selected].T
                if not np.isfinite(kept).all():
                    raise ValueError(_describe_infinite(kept, window, job))
                values.append(file, kept)
            bar.update(len(batch))


def _fetch_sequence(
    fasta: pyfaidx.Fasta, window: Window, model: LoadedModel
) -> NDArray[np.float32]:
    """Fetch a window's one-hot sequence, with N beyond the chromosome's ends."""
    num_tokens = model.sequence_length_bp // BIN_SIZE_BP
    start = (window.first_bin - (num_tokens - model.target_length) // 2) * BIN_SIZE_BP
    return genome.fetch_one_hot(fasta, window.chromosome, start, start + model.sequence_length_bp)


def _describe_infinite(values: NDArray[np.float32], window: Window, job: _Job) -> str:
    number = np.isfinite(values).all(axis=1).argmin()
    track = job.targets["identifier"].iloc[job.selected[number]]
    start, end = window.first_kept_bin * BIN_SIZE_BP, window.end_kept_bin * BIN_SIZE_BP
    return (
        f"{job.plan.model}: predicts a value that is not finite for track {track} at "
        f"{window.chromosome}:{start}-{end}"
    )


# -------------------------------------------------------------------------------------- the files


def _write_files(job: _Job, values: WindowFile, out: Path) -> None:
    table = job.targets[["identifier", "description"]].iloc[job.selected]
    every_name = coverage_files.name_tracks(job.targets["identifier"].tolist())
    names = [every_name[position] for position in job.selected]
    description = {
        "run": job.identity,
        "model": str(job.plan.model),
        "fasta": str(job.plan.fasta),
        "tracks": dict(zip(names, table.to_dict("records"), strict=True)),
        "files": {},
    }
    if out.suffix.lower() == _TABLE_ENDING:
        text, segments = resume_state.describe(description), values.read_segments()
        coverage_files.write_parquet(out, segments, job.lengths_bp, names, text)
        return
    files = {name: out / f"{name}.bw" for name in names}
    for track, file in enumerate(tqdm(files.values(), desc="write", unit="track")):
        if not coverage_files.is_whole_bigwig(file):  # else a stopped call wrote it
            coverage_files.write_bigwig(file, values.read_segments(track), job.lengths_bp)
    description["files"] = {file.name: file.stat().st_size for file in files.values()}
    with atomic_files.replace_file(out / resume_state.DESCRIPTION_FILE) as unfinished:
        unfinished.write_text(resume_state.describe(description))
