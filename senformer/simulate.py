"""The embedded data set: a small genome whose biology is known, because it is written down here.

Two biosamples, blood and liver, read one genome. Along each chromosome stand elements, 10 to 26
tokens apart, so that no convolution of the trunk sees two of them:

- *enhancers*, clusters of GATA1 or of HNF4A motifs; GATA1 is active in blood, HNF4A in liver, and
  each a little in the other;
- *promoters*, GC-rich with SP1 motifs, and a core that decides which enhancers they listen to: TBP
  cores to GATA1 enhancers, YY1 cores to HNF4A enhancers;
- *boundaries*, CTCF motifs, which bind CTCF and do nothing else;
- *lone sites*, a single GATA1 or HNF4A motif, weakly bound, without a mark or an effect.

Transcription factors give ChIP peaks where their motifs are, and open the chromatin; enhancers and
promoters carry histone marks. A promoter's CAGE level is a small constant plus the sum, over every
enhancer that it listens to, of the enhancer's strength times its factor's activity in the biosample
times a contact that decays with distance (`CONTACT_LENGTH_BP`). What a promoter's own surroundings
say about it is thus the mean alone; the rest lies tens of tokens away, where only attention reaches.
Every value is a Poisson count around the rate that follows from the elements.

`write_dataset` writes it as Basenji2's files; `expected_targets` gives the rates without the noise,
with and without the distal part, and `ceilings` the correlation that each can reach.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf

from senformer import datasets, genome
from senformer.config import BIN_SIZE_BP

GENOME_FILE = "genome.fa"
"""The FASTA's name in an organism's folder."""

ELEMENTS_FILE = "elements.csv"
"""The ground truth's name in an organism's folder."""

DEFAULT_NUM_SEQUENCES: Mapping[str, Mapping[str, int]] = {
    "human": {"train": 96, "valid": 16, "test": 16},
    "mouse": {"train": 64, "valid": 12, "test": 12},
}

CONTACT_LENGTH_BP = 3072
"""Distance over which an enhancer's effect on a promoter falls to 1/e."""

MOTIFS = {
    "GATA1": "CAGATAAGGTGA",
    "HNF4A": "GGCAAAGTCCAT",
    "TBP": "GCTATAAAAGGC",
    "YY1": "CAAGATGGCGGC",
    "SP1": "GGGGGCGGGGCC",
    "CTCF": "TGGCCACCAGGGGGCGCTA",
}
"""Consensus of each factor's motif, around its known core; each base is kept in 94 % of sites."""

CORE_OF_ACTIVATOR = {"GATA1": "TBP", "HNF4A": "YY1"}
"""The core motif of the promoters that listen to an activator's enhancers."""

ACTIVITY = {
    "blood": {"GATA1": 1.0, "HNF4A": 0.3},
    "liver": {"GATA1": 0.3, "HNF4A": 1.0},
}
"""How active each activator is in each biosample."""

_SIMULATION = 1  # raise it when the same arguments give other data
_ARGUMENTS_FILE = "simulation.json"
_RECORDS_PER_FILE = 32
_SPLITS = ("train", "valid", "test")
_BASES = np.frombuffer(b"ACGT", np.uint8)
_COMPLEMENT = bytes.maketrans(b"ACGT", b"TGCA")
_KEPT_BASES = 0.94
_GC_BACKGROUND, _GC_PROMOTER = 0.41, 0.65
_GAP_TOKENS = (10, 26)
_ELEMENT_BP = 160  # motifs of one element lie within this
_BASAL_CAGE = 0.03  # CAGE of a promoter without any enhancer, as a share of a full enhancer's
_PROFILE_TOKENS = 20  # no element is felt farther than this, apart from enhancers by promoters

_KINDS = pd.DataFrame(
    [  # kind, activator, share of elements, fewest and most motif copies
        ("promoter", "GATA1", 0.17, 2, 4),
        ("promoter", "HNF4A", 0.17, 2, 4),
        ("enhancer", "GATA1", 0.13, 3, 5),
        ("enhancer", "HNF4A", 0.13, 3, 5),
        ("boundary", "", 0.16, 1, 2),
        ("lone site", "GATA1", 0.12, 1, 1),
        ("lone site", "HNF4A", 0.12, 1, 1),
    ],
    columns=["kind", "activator", "share", "fewest", "most"],
)
_FULL_COPIES = {"promoter": 3, "enhancer": 4, "boundary": 1.5, "lone site": 4}  # of strength 1


def write_dataset(
    folder: str | Path,
    *,
    seed: int = 0,
    sequence_length_bp: int = 32_768,
    target_length: int = 224,
    num_sequences: Mapping[str, Mapping[str, int]] = DEFAULT_NUM_SEQUENCES,
) -> Path:
    """Write the embedded data set, or find it written; for every run that is given no real data.

    Nothing downstream needs to know that it is simulated: the files are Basenji2's
    (`datasets.open_folders` reads them), with a FASTA and the ground truth beside them. The same
    arguments give the same bytes. Each split has a chromosome of its own, cut into adjacent
    sequences, with half a sequence of more genome at both ends.

    Args:
        folder: Where to; must be absent, empty, or hold this very data set.
        seed: Decides sequence, elements and noise.
        sequence_length_bp: Length of a record's sequence, a multiple of 128.
        target_length: 128-bp bins with values, in the middle of each sequence.
        num_sequences: Records of each organism and split.

    Returns:
        `folder`, with below it `human` and `mouse`: `tfrecords/{split}-{n}.tfr`, `targets.txt`,
        `sequences.bed`, `statistics.json`, `genome.fa` and `elements.csv`.

    Raises:
        FileExistsError: If the folder holds anything else.
        ValueError: If an argument is out of range.
    """
    folder = Path(folder)
    arguments = {
        "simulation": _SIMULATION,
        "seed": seed,
        "sequence_length_bp": sequence_length_bp,
        "target_length": target_length,
        "num_sequences": {organism: dict(splits) for organism, splits in num_sequences.items()},
    }
    _validate(arguments)
    if _is_written(folder, arguments):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as partial:
        written = Path(partial) / folder.name
        for organism, splits in arguments["num_sequences"].items():
            _write_organism(
                written / organism, organism, splits, seed, sequence_length_bp, target_length
            )
        (written / _ARGUMENTS_FILE).write_text(json.dumps(arguments, indent=1) + "\n")
        try:
            written.rename(folder)
        except OSError:  # another process was quicker
            if not _is_written(folder, arguments):
                raise
    return folder


def read_elements(folder: str | Path, organism: str) -> pd.DataFrame:
    """The ground truth: where each element stands and what it does.

    Args:
        folder: What `write_dataset` returned.
        organism: `human` or `mouse`.

    Returns:
        One row per element: `chrom`, `position_bp` (its centre, from 0), `strand`, `kind`
        (`promoter`, `enhancer`, `boundary`, `lone site`), `activator` (the factor that binds it, or
        that the promoter listens to; empty for boundaries), `copies` (motifs) and `strength`; for
        promoters `distal_blood` and `distal_liver`, the enhancers' summed effect.

    Raises:
        FileNotFoundError: If the folder holds no simulated data set.
    """
    path = Path(folder) / organism / ELEMENTS_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file, expected a data set of write_dataset")
    return pd.read_csv(path, keep_default_na=False)


def expected_targets(
    folder: str | Path, organism: str, split: str, *, distal: bool = True
) -> np.ndarray:
    """The rates that a split's targets are Poisson counts of: the best that any model can do.

    Args:
        folder: What `write_dataset` returned.
        organism: `human` or `mouse`.
        split: `train`, `valid` or `test`.
        distal: With False, what enhancers do to promoters is replaced by its mean over the
            promoters of the same core: the best that a model can do which sees no farther than an
            element.

    Returns:
        `[records, target_length, tracks]` float64, in the order of `datasets.examples`.

    Raises:
        FileNotFoundError: If the folder holds no simulated data set.
        ValueError: If there is no such split.
    """
    elements = read_elements(folder, organism)
    record_folder = datasets.open_folders(folder)[organism]
    record_folder.num_records(split)  # raises for an unknown split
    if not distal:
        elements = _without_distal_differences(elements)
    intervals = record_folder.intervals.query("split == @split")
    crop = record_folder.sequence_length_bp // BIN_SIZE_BP - record_folder.target_length
    rates = []
    for interval in intervals.itertuples():
        first = interval.start // BIN_SIZE_BP + crop // 2
        near = elements[elements["chrom"] == interval.chrom]
        rates.append(_rates(near, TRACKS[organism], first, record_folder.target_length))
    return np.stack(rates)


def ceilings(folder: str | Path, organism: str, split: str) -> pd.DataFrame:
    """How well a split's targets can be predicted, with and without distal enhancers.

    Args:
        folder: What `write_dataset` returned.
        organism: `human` or `mouse`.
        split: `train`, `valid` or `test`.

    Returns:
        One row per track: `description`, and Pearson's r over all bins of the split between the
        targets and `expected_targets`, as `pearson_r` (all that is known) and `pearson_r_local`
        (without distal enhancers).

    Raises:
        FileNotFoundError: If the folder holds no simulated data set.
        ValueError: If there is no such split.
    """
    record_folder = datasets.open_folders(folder)[organism]
    stored = datasets.examples(
        record_folder, split, sequence_length_bp=record_folder.sequence_length_bp
    )
    targets = np.concatenate([example["target"].numpy() for example in stored])
    columns = {}
    for name, distal in (("pearson_r", True), ("pearson_r_local", False)):
        expected = expected_targets(folder, organism, split, distal=distal)
        expected = expected.reshape(-1, record_folder.num_tracks)
        columns[name] = [
            np.corrcoef(expected[:, track], targets[:, track])[0, 1]
            for track in range(record_folder.num_tracks)
        ]
    return pd.DataFrame({"description": record_folder.targets["description"], **columns})


# ------------------------------------------------------------------------------ elements to rates


@dataclass(frozen=True)
class Signal:
    """What one kind of experiment measures around the elements.

    Attributes:
        height: Rate at the centre of an element of amplitude 1, in counts per 128-bp bin.
        amplitude: `(elements, biosample) -> [elements]`.
        width_bp: Standard deviation of the peak; for a gene body, see `downstream`.
        downstream: Whether it covers the gene body instead, 2 to 16 tokens along the strand.
    """

    height: float
    amplitude: Callable[[pd.DataFrame, str], np.ndarray]
    width_bp: float = 90.0
    downstream: bool = False

    def profile(self, distance_bp: np.ndarray) -> np.ndarray:
        """Share of the height at a distance from the element, positive along its strand."""
        if self.downstream:
            return ((distance_bp > 2 * BIN_SIZE_BP) & (distance_bp < 16 * BIN_SIZE_BP)) * 1.0
        return np.exp(-0.5 * (distance_bp / self.width_bp) ** 2)


@dataclass(frozen=True)
class SimulatedTrack:
    """A track: an experiment in a biosample."""

    experiment: str  # a key of SIGNALS
    biosample: str

    @property
    def description(self) -> str:
        """As in a targets table, `CHIP:H3K27ac:simulated blood` for instance."""
        return f"{self.experiment}:simulated {self.biosample}"

    @property
    def is_cage(self) -> bool:
        """Whether the track counts transcription starts."""
        return self.experiment == "CAGE"


def _is(elements: pd.DataFrame, kind: str) -> np.ndarray:
    return (elements["kind"] == kind).to_numpy(float)


def _activity(elements: pd.DataFrame, biosample: str) -> np.ndarray:
    return elements["activator"].map(ACTIVITY[biosample]).fillna(1.0).to_numpy(float)


def _binding(factor: str) -> Callable[[pd.DataFrame, str], np.ndarray]:
    """Occupancy of a factor: at its own motifs, as far as it is active."""

    def amplitude(elements: pd.DataFrame, biosample: str) -> np.ndarray:
        strength = elements["strength"].to_numpy(float)
        if factor == "CTCF":
            return _is(elements, "boundary") * strength
        if factor in CORE_OF_ACTIVATOR:
            bound = (elements["activator"] == factor) & (elements["kind"] != "promoter")
            return bound.to_numpy(float) * strength * _activity(elements, biosample)
        core = elements["activator"].map(CORE_OF_ACTIVATOR) == factor
        return core.to_numpy(float) * _is(elements, "promoter") * strength

    return amplitude


def _openness(elements: pd.DataFrame, biosample: str) -> np.ndarray:
    strength = elements["strength"].to_numpy(float)
    always_open = 0.8 * _is(elements, "promoter") + 0.5 * _is(elements, "boundary")
    by_activator = _is(elements, "enhancer") + _is(elements, "lone site")
    return strength * (always_open + by_activator * _activity(elements, biosample))


def _transcription(elements: pd.DataFrame, biosample: str) -> np.ndarray:
    """What a promoter makes: a basal level, and the rest by its enhancers."""
    strength = elements["strength"].to_numpy(float)
    distal = elements[f"distal_{biosample}"].to_numpy(float)
    return _is(elements, "promoter") * strength * (_BASAL_CAGE + distal)


def _saturating_transcription(elements: pd.DataFrame, biosample: str) -> np.ndarray:
    level = _transcription(elements, biosample)
    return level / (level + 0.3)


def _acetylation(elements: pd.DataFrame, biosample: str) -> np.ndarray:
    strength = elements["strength"].to_numpy(float)
    at_enhancers = _is(elements, "enhancer") * strength * _activity(elements, biosample)
    return at_enhancers + _saturating_transcription(elements, biosample)


def _trimethylation(elements: pd.DataFrame, biosample: str) -> np.ndarray:
    at_promoters = _is(elements, "promoter")
    return 0.4 * at_promoters + 0.8 * _saturating_transcription(elements, biosample)


def _variant_histone(elements: pd.DataFrame, biosample: str) -> np.ndarray:
    del biosample  # the same in both
    return 0.8 * _is(elements, "promoter") + 0.8 * _is(elements, "boundary")


SIGNALS: Mapping[str, Signal] = {
    "DNASE": Signal(10.0, _openness),
    "ATAC": Signal(8.0, _openness, width_bp=110.0),
    **{f"CHIP:{factor}": Signal(12.0, _binding(factor)) for factor in MOTIFS if factor != "SP1"},
    "CHIP:H3K27ac": Signal(6.0, _acetylation, width_bp=350.0),
    "CHIP:H3K4me3": Signal(8.0, _trimethylation, width_bp=300.0),
    "CHIP:H2AFZ": Signal(5.0, _variant_histone, width_bp=250.0),
    "CHIP:H4K20me1": Signal(4.0, _saturating_transcription, downstream=True),
    "CAGE": Signal(50.0, _transcription, width_bp=70.0),
}
"""What each experiment measures."""

TRACKS: Mapping[str, tuple[SimulatedTrack, ...]] = {
    "human": (
        SimulatedTrack("DNASE", "blood"),
        SimulatedTrack("DNASE", "liver"),
        SimulatedTrack("ATAC", "blood"),
        SimulatedTrack("CHIP:GATA1", "blood"),
        SimulatedTrack("CHIP:HNF4A", "liver"),
        SimulatedTrack("CHIP:CTCF", "blood"),
        SimulatedTrack("CHIP:TBP", "blood"),
        SimulatedTrack("CHIP:YY1", "liver"),
        SimulatedTrack("CHIP:H3K27ac", "blood"),
        SimulatedTrack("CHIP:H3K27ac", "liver"),
        SimulatedTrack("CHIP:H3K4me3", "blood"),
        SimulatedTrack("CHIP:H3K4me3", "liver"),
        SimulatedTrack("CHIP:H2AFZ", "blood"),
        SimulatedTrack("CHIP:H4K20me1", "liver"),
        SimulatedTrack("CAGE", "blood"),
        SimulatedTrack("CAGE", "liver"),
    ),
    "mouse": (
        SimulatedTrack("DNASE", "liver"),
        SimulatedTrack("ATAC", "blood"),
        SimulatedTrack("CHIP:GATA1", "blood"),
        SimulatedTrack("CHIP:HNF4A", "liver"),
        SimulatedTrack("CHIP:TBP", "blood"),
        SimulatedTrack("CHIP:H3K27ac", "blood"),
        SimulatedTrack("CHIP:H3K27ac", "liver"),
        SimulatedTrack("CHIP:H3K4me3", "liver"),
        SimulatedTrack("CAGE", "blood"),
        SimulatedTrack("CAGE", "liver"),
    ),
}
"""The tracks of each head."""


def _rates(
    elements: pd.DataFrame, tracks: tuple[SimulatedTrack, ...], first_token: int, num_tokens: int
) -> np.ndarray:
    """Expected counts `[num_tokens, tracks]` of one chromosome's tokens from `first_token` on."""
    position = elements["position_bp"].to_numpy()
    direction = np.where(elements["strand"] == "+", 1, -1)
    rates = np.empty((num_tokens, len(tracks)))
    offsets = np.arange(-_PROFILE_TOKENS, _PROFILE_TOKENS + 1)
    token = position[:, None] // BIN_SIZE_BP + offsets  # [elements, offsets]
    distance_bp = (token * BIN_SIZE_BP + BIN_SIZE_BP // 2 - position[:, None]) * direction[:, None]
    row = token - first_token
    inside = (row >= 0) & (row < num_tokens)
    for column, track in enumerate(tracks):
        signal = SIGNALS[track.experiment]
        amplitude = signal.height * signal.amplitude(elements, track.biosample)
        felt = amplitude[:, None] * signal.profile(distance_bp)
        background = 0.02 if track.is_cage else 0.2
        rates[:, column] = background + np.bincount(
            row[inside], weights=felt[inside], minlength=num_tokens
        )
    return rates


def _distal_effect(elements: pd.DataFrame, biosample: str) -> np.ndarray:
    """Summed effect of the enhancers that each promoter listens to; 0 for other elements."""
    position = elements["position_bp"].to_numpy()
    activator = elements["activator"].to_numpy()
    contact = np.exp(-np.abs(position[:, None] - position) / CONTACT_LENGTH_BP)
    listens = activator[:, None] == activator  # [promoters, enhancers]
    enhancing = _is(elements, "enhancer") * elements["strength"] * _activity(elements, biosample)
    return _is(elements, "promoter") * ((contact * listens) @ enhancing.to_numpy())


def _without_distal_differences(elements: pd.DataFrame) -> pd.DataFrame:
    columns = [f"distal_{biosample}" for biosample in ACTIVITY]
    means = elements.groupby(["kind", "activator"])[columns].transform("mean")
    return elements.assign(**means)


# ------------------------------------------------------------------------------ elements and bases


def _place_elements(rng: np.random.Generator, num_tokens: int) -> pd.DataFrame:
    """Elements along one chromosome, in order."""
    low, high = _GAP_TOKENS
    token = np.cumsum(rng.integers(low, high + 1, size=num_tokens // low + 1))
    token = token[token < num_tokens - 2]
    kind = _KINDS.iloc[rng.choice(len(_KINDS), size=len(token), p=_KINDS["share"])]
    kind = kind.reset_index(drop=True)
    copies = rng.integers(kind["fewest"], kind["most"] + 1)
    elements = pd.DataFrame(
        {
            "position_bp": token * BIN_SIZE_BP + rng.integers(BIN_SIZE_BP, size=len(token)),
            "strand": rng.choice(["+", "-"], size=len(token)),
            "kind": kind["kind"],
            "activator": kind["activator"],
            "copies": copies,
            "strength": copies / kind["kind"].map(_FULL_COPIES),
        }
    )
    for biosample in ACTIVITY:
        elements[f"distal_{biosample}"] = _distal_effect(elements, biosample)
    return elements


def _write_bases(rng: np.random.Generator, elements: pd.DataFrame, length_bp: int) -> np.ndarray:
    """A chromosome's bases `[length_bp]` uint8 letters: background, then each element's motifs."""
    bases = _random_bases(rng, length_bp, _GC_BACKGROUND)
    for element in elements.itertuples():
        start = element.position_bp - _ELEMENT_BP // 2
        if element.kind == "promoter":
            bases[start : start + _ELEMENT_BP] = _random_bases(rng, _ELEMENT_BP, _GC_PROMOTER)
        motifs = _motifs_of(element.kind, element.activator, element.copies)
        slots = np.linspace(0, _ELEMENT_BP, len(motifs) + 1).astype(int)
        for motif, slot, next_slot in zip(motifs, slots, slots[1:], strict=False):
            site = _site(rng, motif, element.strand)
            at = start + rng.integers(slot, max(next_slot - len(site), slot) + 1)
            bases[at : at + len(site)] = site
    return bases


def _motifs_of(kind: str, activator: str, copies: int) -> list[str]:
    if kind == "promoter":
        return ["SP1"] * copies + [CORE_OF_ACTIVATOR[activator]] * 2
    return ["CTCF" if kind == "boundary" else activator] * copies


def _site(rng: np.random.Generator, motif: str, strand: str) -> np.ndarray:
    consensus = np.frombuffer(MOTIFS[motif].encode(), np.uint8)
    kept = rng.random(len(consensus)) < _KEPT_BASES
    site = np.where(kept, consensus, rng.choice(_BASES, len(consensus)))
    if strand == "+":
        return site
    return np.frombuffer(site.tobytes().translate(_COMPLEMENT)[::-1], np.uint8)


def _random_bases(rng: np.random.Generator, length: int, gc: float) -> np.ndarray:
    return rng.choice(_BASES, length, p=[(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2])


# --------------------------------------------------------------------------------------- the files


def _write_organism(
    path: Path,
    organism: str,
    num_sequences: Mapping[str, int],
    seed: int,
    sequence_length_bp: int,
    target_length: int,
) -> None:
    (path / "tfrecords").mkdir(parents=True)
    _write_targets(path / "targets.txt", organism)
    all_elements, intervals = [], []
    with (path / GENOME_FILE).open("wb") as fasta:
        for number, split in enumerate(_SPLITS, start=1):
            rng = np.random.default_rng([seed, tuple(TRACKS).index(organism), number])
            chromosome = f"chr{number}"
            num_records = num_sequences[split]
            length_bp = sequence_length_bp * (num_records + 1)
            elements = _place_elements(rng, length_bp // BIN_SIZE_BP)
            bases = _write_bases(rng, elements, length_bp)
            starts = rng.permutation(num_records) * sequence_length_bp
            starts += sequence_length_bp // BIN_SIZE_BP // 2 * BIN_SIZE_BP
            counts = _counts(rng, elements, organism, length_bp // BIN_SIZE_BP)
            records = [
                _record(bases, counts, start, sequence_length_bp, target_length) for start in starts
            ]
            _write_records(path / "tfrecords", split, records)
            _write_chromosome(fasta, chromosome, bases)
            elements.insert(0, "chrom", chromosome)
            all_elements.append(elements)
            intervals += [
                f"{chromosome}\t{start}\t{start + sequence_length_bp}\t{split}\n"
                for start in starts
            ]
    genome.open_fasta(path / GENOME_FILE).close()  # writes the index
    (path / "sequences.bed").write_text("".join(intervals))
    pd.concat(all_elements).to_csv(path / ELEMENTS_FILE, index=False)
    _write_statistics(path, organism, num_sequences, sequence_length_bp, target_length)


def _counts(
    rng: np.random.Generator, elements: pd.DataFrame, organism: str, num_tokens: int
) -> np.ndarray:
    """Noisy values `[tokens, tracks]` float16 of a chromosome, clipped as the table says."""
    counts = rng.poisson(_rates(elements, TRACKS[organism], 0, num_tokens))
    return np.minimum(counts, [_clip(track) for track in TRACKS[organism]]).astype(np.float16)


def _record(
    bases: np.ndarray, counts: np.ndarray, start: int, sequence_length_bp: int, target_length: int
) -> bytes:
    sequence = genome.one_hot(bases[start : start + sequence_length_bp].tobytes())
    crop = (sequence_length_bp // BIN_SIZE_BP - target_length) // 2
    first = start // BIN_SIZE_BP + crop
    values = {
        "sequence": sequence.astype(bool).tobytes(),
        "target": counts[first : first + target_length].tobytes(),
    }
    example = tf.train.Example(
        features=tf.train.Features(
            feature={
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                for name, value in values.items()
            }
        )
    )
    return example.SerializeToString(deterministic=True)


def _write_records(path: Path, split: str, records: list[bytes]) -> None:
    for number, first in enumerate(range(0, len(records), _RECORDS_PER_FILE)):
        with tf.io.TFRecordWriter(str(path / f"{split}-{number}.tfr"), options="ZLIB") as writer:
            for record in records[first : first + _RECORDS_PER_FILE]:
                writer.write(record)


def _write_targets(path: Path, organism: str) -> None:
    """The columns of Basenji2's own tables."""
    pd.DataFrame(
        [
            {
                "genome": tuple(TRACKS).index(organism),
                "identifier": f"SIM{organism[0].upper()}{number:03d}",
                "file": f"simulated/{organism}/{number}",
                "clip": _clip(track),
                "scale": 1,
                "sum_stat": "sum" if track.is_cage else "mean",
                "description": track.description,
            }
            for number, track in enumerate(TRACKS[organism])
        ]
    ).to_csv(path, sep="\t", index_label="index")


def _clip(track: SimulatedTrack) -> int:
    return 384 if track.is_cage else 32


def _write_statistics(
    path: Path,
    organism: str,
    num_sequences: Mapping[str, int],
    sequence_length_bp: int,
    target_length: int,
) -> None:
    statistics = {
        "num_targets": len(TRACKS[organism]),
        **{f"{split}_seqs": num_sequences[split] for split in _SPLITS},
        "seq_length": sequence_length_bp,
        "pool_width": BIN_SIZE_BP,
        "crop_bp": (sequence_length_bp - target_length * BIN_SIZE_BP) // 2,
        "target_length": target_length,
    }
    (path / "statistics.json").write_text(json.dumps(statistics, indent=4) + "\n")


def _write_chromosome(fasta, name: str, bases: np.ndarray, width: int = 60) -> None:
    fasta.write(f">{name}\n".encode())
    letters = bases.tobytes()
    for start in range(0, len(letters), width):
        fasta.write(letters[start : start + width] + b"\n")


# --------------------------------------------------------------------------------- the arguments


def _validate(arguments: Mapping) -> None:
    sequence_length_bp, target_length = arguments["sequence_length_bp"], arguments["target_length"]
    if sequence_length_bp < BIN_SIZE_BP or sequence_length_bp % BIN_SIZE_BP:
        raise ValueError(
            f"sequence_length_bp={sequence_length_bp} must be a positive multiple of {BIN_SIZE_BP}"
        )
    tokens = sequence_length_bp // BIN_SIZE_BP
    if not 1 <= target_length <= tokens or (tokens - target_length) % 2:
        raise ValueError(
            f"target_length={target_length}, expected 1 to {tokens} bins (sequence_length_bp / "
            f"{BIN_SIZE_BP}) with as many left over on either side"
        )
    for organism, splits in arguments["num_sequences"].items():
        if organism not in TRACKS:
            raise ValueError(f"organism {organism!r}, expected one of {', '.join(TRACKS)}")
        if set(splits) != set(_SPLITS) or min(splits.values()) < 1:
            raise ValueError(
                f"num_sequences[{organism!r}]={splits}, expected at least one sequence for each of "
                f"{', '.join(_SPLITS)}"
            )
    if not arguments["num_sequences"]:
        raise ValueError("num_sequences is empty, expected at least one organism")
    if arguments["seed"] < 0:
        raise ValueError(f"seed={arguments['seed']}, expected at least 0")


def _is_written(folder: Path, arguments: Mapping) -> bool:
    """Whether the folder holds this data set; an error if it holds another or something else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    path = folder / _ARGUMENTS_FILE
    if not path.is_file():
        raise FileExistsError(f"{folder}: exists and is no simulated data set, expected none")
    found = json.loads(path.read_text())
    differing = [name for name in arguments if found.get(name) != arguments[name]]
    if differing:
        raise FileExistsError(
            f"{folder}: holds a data set of other arguments ("
            + ", ".join(f"{name}={found.get(name)}, not {arguments[name]}" for name in differing)
            + "); name another folder or remove it"
        )
    return True
