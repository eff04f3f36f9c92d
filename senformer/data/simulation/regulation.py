"""The simulated genome's biology: what stands in the sequence and what experiments see of it.

Two biosamples, blood and liver, read one genome. Along each chromosome stand elements, 6 to 14
tokens apart, so that the trunk's convolutions, which reach about 2.5 tokens, never see two of them:

- *enhancers*, several GATA1 or HNF4A motifs, up to three such elements in a row; GATA1 is active in
  blood, HNF4A in liver, and each a little in the other;
- *promoters*, GC-rich with SP1 motifs, and a core that decides which enhancers they listen to: TBP
  cores to GATA1 enhancers, YY1 cores to HNF4A enhancers;
- *CTCF sites*, one or two CTCF motifs, which bind CTCF and do nothing else;
- *boundaries*, rare, with many CTCF motifs: they insulate what lies on either side;
- *lone sites*, a single GATA1 or HNF4A motif, weakly bound, without a mark or an effect.

Transcription factors give ChIP peaks where their motifs are, and open the chromatin; enhancers and
promoters carry histone marks. What a promoter makes is a small constant plus the sum, over the
enhancers that it listens to, of the enhancer's strength, times its factor's activity in the
biosample, times their contact (`contact`), which reaches over hundreds of thousands of base pairs.
A promoter's own surroundings thus tell its mean alone; the rest lies from ten to thousands of
tokens away, where only attention reaches. CAGE shows it in full; H3K27ac, H3K4me3 and H4K20me1 show
it in part.

The factors and their motifs' cores are real, the rest is made up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from senformer.config import BIN_SIZE_BP
from senformer.data.simulation import contact

MOTIFS = {
    "GATA1": "CAGATAAGGTGA",
    "HNF4A": "GGCAAAGTCCAT",
    "TBP": "GCTATAAAAGGC",
    "YY1": "CAAGATGGCGGC",
    "SP1": "GGGGGCGGGGCC",
    "CTCF": "TGGCCACCAGGGGGCGCTA",
}
"""What each factor binds, on either strand; a site keeps each base with a probability of 0.94."""

CORE_OF_ACTIVATOR = {"GATA1": "TBP", "HNF4A": "YY1"}
"""The core of the promoters that listen to an activator's enhancers."""

ACTIVITY = {
    "blood": {"GATA1": 1.0, "HNF4A": 0.3},
    "liver": {"GATA1": 0.3, "HNF4A": 1.0},
}
"""How active each activator is in each biosample."""

GAP_TOKENS = (6, 14)
"""Fewest and most tokens from one element to the next."""

KINDS = pd.DataFrame(
    [
        ("promoter", "GATA1", 0.22, 1, 2, 4, 3.0, 1),
        ("promoter", "HNF4A", 0.22, 1, 2, 4, 3.0, 1),
        ("enhancer", "GATA1", 0.007, 3, 2, 6, 4.0, 2),
        ("enhancer", "HNF4A", 0.007, 3, 2, 6, 4.0, 2),
        ("CTCF site", "", 0.16, 1, 1, 2, 1.5, 1),
        ("boundary", "", 0.006, 1, 4, 5, 3.0, 1),
        ("lone site", "GATA1", 0.19, 1, 1, 1, 4.0, 1),
        ("lone site", "HNF4A", 0.19, 1, 1, 1, 4.0, 1),
    ],
    columns=[
        "kind",
        "activator",
        "share",
        "most_in_a_row",
        "fewest_copies",
        "most_copies",
        "copies_at_strength_1",
        "cooperativity",
    ],
)
"""What can come next on a chromosome, how often, and up to how many of the kind then follow each
other. A promoter's activator is the one it listens to. The strength of an element grows with the
copies of its motif, of enhancers with their square."""

BASAL_TRANSCRIPTION = 0.03
"""Of a promoter without any enhancer; all of them add about 1."""

_BASES = np.frombuffer(b"ACGT", np.uint8)
_COMPLEMENT = bytes.maketrans(b"ACGT", b"TGCA")
_KEPT_BASES = 0.94
_GC_SHARE, _GC_SHARE_OF_PROMOTERS = 0.41, 0.65
_ELEMENT_BP = 160  # an element's motifs lie within this
_CORE_COPIES = 2
_EFFECT_IN_CONTACT = 0.85  # of an enhancer of strength 1 that always touches the promoter
_HALF_SATURATION = 1.0  # transcription at which a promoter's marks are at half their height
_REACH_TOKENS = 10  # no element shows in the tracks beyond this

Elements = pd.DataFrame
Amplitude = Callable[[Elements, str], np.ndarray]


# ------------------------------------------------------------------------------------ the elements


def place_elements(rng: np.random.Generator, num_tokens: int) -> Elements:
    """Draw the elements of one chromosome.

    Args:
        rng: Source of every draw.
        num_tokens: Length of the chromosome in tokens of 128 bp.

    Returns:
        One row per element, from left to right: `position_bp` (its centre, from 0), `strand`,
        `kind`, `activator`, `copies` (of its motif; of SP1's for promoters), `strength` (about 1)
        and, for each biosample, `distal_<biosample>`: the summed effect of the enhancers that a
        promoter listens to, 0 for other elements.
    """
    low, high = GAP_TOKENS
    token = np.cumsum(rng.integers(low, high + 1, size=num_tokens // low + 1))
    token = token[token < num_tokens - 2]
    kinds = _kinds_in_order(rng, len(token))
    copies = rng.integers(kinds["fewest_copies"], kinds["most_copies"] + 1)
    at_strength_1 = kinds["copies_at_strength_1"].to_numpy()
    elements = pd.DataFrame(
        {
            "position_bp": token * BIN_SIZE_BP + rng.integers(BIN_SIZE_BP, size=len(token)),
            "strand": rng.choice(["+", "-"], size=len(token)),
            "kind": kinds["kind"].to_numpy(),
            "activator": kinds["activator"].to_numpy(),
            "copies": copies,
            "strength": (copies / at_strength_1) ** kinds["cooperativity"].to_numpy(),
        }
    )
    return with_distal_effects(elements, contact.pairs_in_contact(elements))


def with_distal_effects(elements: Elements, pairs: pd.DataFrame) -> Elements:
    """The elements with what their enhancers do to promoters.

    Args:
        elements: One chromosome's.
        pairs: From `contact.pairs_in_contact`, all or some of them.

    Returns:
        `elements` with `distal_<biosample>`, the sum of the effects of those pairs.
    """
    distal = {
        f"distal_{biosample}": np.bincount(
            pairs["promoter"],
            weights=effects(elements, pairs, biosample),
            minlength=len(elements),
        )
        for biosample in ACTIVITY
    }
    return elements.assign(**distal)


def with_mean_of_unseen(elements: Elements, seen: Elements) -> Elements:
    """What is left to know of the distal effects where only a part of them is seen.

    The best prediction of a model that sees a part adds to it what the rest is on average, which it
    can learn, for promoters of a core differ in nothing else that tells of the rest.

    Args:
        elements: All there is.
        seen: The same elements, with the distal effects that are seen.

    Returns:
        `seen`, with the mean over promoters of the same core of what is not seen added to each.
    """
    columns = [f"distal_{biosample}" for biosample in ACTIVITY]
    unseen = elements[columns] - seen[columns]
    mean = unseen.groupby([elements["kind"], elements["activator"]]).transform("mean")
    return seen.assign(**{column: seen[column] + mean[column] for column in columns})


def effects(elements: Elements, pairs: pd.DataFrame, biosample: str) -> np.ndarray:
    """What each enhancer adds to each promoter's transcription.

    Args:
        elements: One chromosome's.
        pairs: From `contact.pairs_in_contact`.
        biosample: Of `ACTIVITY`.

    Returns:
        `[pairs]` float64, in units of a promoter's mean transcription.
    """
    of_enhancers = _EFFECT_IN_CONTACT * _strength(elements) * _activity(elements, biosample)
    return of_enhancers[pairs["enhancer"]] * pairs["contact"].to_numpy()


def _kinds_in_order(rng: np.random.Generator, num_elements: int) -> pd.DataFrame:
    """One row of `KINDS` per element, from left to right."""
    rows = rng.choice(len(KINDS), size=num_elements, p=KINDS["share"])
    in_a_row = rng.integers(1, KINDS["most_in_a_row"].to_numpy()[rows] + 1)
    return KINDS.iloc[np.repeat(rows, in_a_row)[:num_elements]]


# ------------------------------------------------------------------------------------ the sequence


def write_bases(rng: np.random.Generator, elements: Elements, length_bp: int) -> np.ndarray:
    """Draw a chromosome's sequence: a random background with the elements' motifs in it.

    Args:
        rng: Source of every draw.
        elements: From `place_elements`.
        length_bp: Length of the chromosome.

    Returns:
        The letters A, C, G and T as bytes, `[length_bp]` uint8.
    """
    bases = _random_bases(rng, length_bp, _GC_SHARE)
    for position_bp, strand, kind, activator, copies in zip(
        *(elements[name] for name in ("position_bp", "strand", "kind", "activator", "copies")),
        strict=True,
    ):
        element = bases[position_bp - _ELEMENT_BP // 2 : position_bp + _ELEMENT_BP // 2]
        if kind == "promoter":
            element[:] = _random_bases(rng, _ELEMENT_BP, _GC_SHARE_OF_PROMOTERS)
        factors = _factors_at(kind, activator, copies)
        slot_bp = _ELEMENT_BP // len(factors)
        for slot, factor in enumerate(factors):
            site = _site(rng, factor, strand)
            start = slot * slot_bp + rng.integers(slot_bp - len(site) + 1)
            element[start : start + len(site)] = site
    return bases


def _factors_at(kind: str, activator: str, copies: int) -> list[str]:
    if kind == "promoter":
        return ["SP1"] * copies + [CORE_OF_ACTIVATOR[activator]] * _CORE_COPIES
    return [activator or "CTCF"] * copies


def _site(rng: np.random.Generator, factor: str, strand: str) -> np.ndarray:
    motif = np.frombuffer(MOTIFS[factor].encode(), np.uint8)
    is_kept = rng.random(len(motif)) < _KEPT_BASES
    site = np.where(is_kept, motif, rng.choice(_BASES, len(motif)))
    if strand == "+":
        return site
    return np.frombuffer(site.tobytes().translate(_COMPLEMENT)[::-1], np.uint8)


def _random_bases(rng: np.random.Generator, length_bp: int, gc_share: float) -> np.ndarray:
    at, gc = (1 - gc_share) / 2, gc_share / 2
    return rng.choice(_BASES, length_bp, p=[at, gc, gc, at])


# ------------------------------------------------------------------------------------- the tracks


@dataclass(frozen=True)
class Signal:
    """What an experiment sees around an element.

    Attributes:
        height: Counts per 128-bp bin at the centre of an element of amplitude 1.
        amplitude: `(elements, biosample)` to `[elements]`.
        width_bp: Standard deviation of the peak.
        covers_gene: Whether it covers the gene instead, from 1 to 8 tokens downstream.
        background: Counts per bin where there is no element.
        clip: Largest value that is written.
        sum_stat: The targets table's word for how a bin's value comes about.
    """

    height: float
    amplitude: Amplitude
    width_bp: float = 90.0
    covers_gene: bool = False
    background: float = 0.2
    clip: int = 32
    sum_stat: str = "mean"

    def shape(self, downstream_bp: np.ndarray) -> np.ndarray:
        """Share of the height at a distance from the element, positive along its strand."""
        if self.covers_gene:
            return ((downstream_bp > BIN_SIZE_BP) & (downstream_bp < 8 * BIN_SIZE_BP)) * 1.0
        return np.exp(-0.5 * (downstream_bp / self.width_bp) ** 2)


@dataclass(frozen=True)
class SimulatedTrack:
    """An experiment in a biosample."""

    experiment: str
    biosample: str

    @property
    def signal(self) -> Signal:
        """What it sees."""
        return SIGNALS[self.experiment]

    @property
    def description(self) -> str:
        """As in a targets table: `CHIP:H3K27ac:simulated blood`, for instance."""
        return f"{self.experiment}:simulated {self.biosample}"


def rates(
    elements: Elements, tracks: tuple[SimulatedTrack, ...], first_token: int, num_tokens: int
) -> np.ndarray:
    """What the experiments see on average, in a stretch of one chromosome.

    Args:
        elements: The chromosome's, from `place_elements`.
        tracks: The experiments.
        first_token: Where the stretch begins, in tokens of 128 bp.
        num_tokens: Its length.

    Returns:
        Expected counts, `[num_tokens, tracks]` float64.
    """
    position_bp = elements["position_bp"].to_numpy()[:, None]
    direction = np.where(elements["strand"] == "+", 1, -1)[:, None]
    offsets = np.arange(-_REACH_TOKENS, _REACH_TOKENS + 1)
    token = position_bp // BIN_SIZE_BP + offsets  # [elements, offsets]
    downstream_bp = (token * BIN_SIZE_BP + BIN_SIZE_BP // 2 - position_bp) * direction
    row = token - first_token
    is_inside = (row >= 0) & (row < num_tokens)
    columns = []
    for track in tracks:
        amplitude = track.signal.height * track.signal.amplitude(elements, track.biosample)
        seen = amplitude[:, None] * track.signal.shape(downstream_bp)
        counts = np.bincount(row[is_inside], weights=seen[is_inside], minlength=num_tokens)
        columns.append(track.signal.background + counts)
    return np.stack(columns, axis=1)


def _is(elements: Elements, kind: str) -> np.ndarray:
    return (elements["kind"] == kind).to_numpy(float)


def _binds_ctcf(elements: Elements) -> np.ndarray:
    return _is(elements, "CTCF site") + _is(elements, "boundary")


def _strength(elements: Elements) -> np.ndarray:
    return elements["strength"].to_numpy(float)


def _activity(elements: Elements, biosample: str) -> np.ndarray:
    """Of the element's activator; 1 where it has none."""
    return elements["activator"].map(ACTIVITY[biosample]).fillna(1.0).to_numpy(float)


def _openness(elements: Elements, biosample: str) -> np.ndarray:
    always = 0.8 * _is(elements, "promoter") + 0.5 * _binds_ctcf(elements)
    by_activator = _is(elements, "enhancer") + _is(elements, "lone site")
    return _strength(elements) * (always + by_activator * _activity(elements, biosample))


def _binding_of_activator(factor: str) -> Amplitude:
    def amplitude(elements: Elements, biosample: str) -> np.ndarray:
        has_motif = (elements["activator"] == factor).to_numpy() * (1 - _is(elements, "promoter"))
        return has_motif * _strength(elements) * _activity(elements, biosample)

    return amplitude


def _binding_of_core(factor: str) -> Amplitude:
    def amplitude(elements: Elements, biosample: str) -> np.ndarray:
        has_core = (elements["activator"].map(CORE_OF_ACTIVATOR) == factor).to_numpy()
        return has_core * _is(elements, "promoter") * _strength(elements)

    return amplitude


def _binding_of_ctcf(elements: Elements, biosample: str) -> np.ndarray:
    return _binds_ctcf(elements) * _strength(elements)


def _transcription(elements: Elements, biosample: str) -> np.ndarray:
    distal = elements[f"distal_{biosample}"].to_numpy(float)
    return _is(elements, "promoter") * _strength(elements) * (BASAL_TRANSCRIPTION + distal)


def _is_transcribed(elements: Elements, biosample: str) -> np.ndarray:
    """From 0 to 1, as marks of transcription saturate."""
    level = _transcription(elements, biosample)
    return level / (level + _HALF_SATURATION)


def _acetylation(elements: Elements, biosample: str) -> np.ndarray:
    at_enhancers = _is(elements, "enhancer") * _strength(elements) * _activity(elements, biosample)
    return at_enhancers + _is_transcribed(elements, biosample)


def _trimethylation(elements: Elements, biosample: str) -> np.ndarray:
    return 0.4 * _is(elements, "promoter") + 0.8 * _is_transcribed(elements, biosample)


def _histone_variant(elements: Elements, biosample: str) -> np.ndarray:
    return 0.8 * (_is(elements, "promoter") + _binds_ctcf(elements))


SIGNALS: Mapping[str, Signal] = {
    "DNASE": Signal(10.0, _openness),
    "ATAC": Signal(8.0, _openness, width_bp=110.0),
    "CHIP:GATA1": Signal(12.0, _binding_of_activator("GATA1")),
    "CHIP:HNF4A": Signal(12.0, _binding_of_activator("HNF4A")),
    "CHIP:TBP": Signal(12.0, _binding_of_core("TBP")),
    "CHIP:YY1": Signal(12.0, _binding_of_core("YY1")),
    "CHIP:CTCF": Signal(12.0, _binding_of_ctcf),
    "CHIP:H3K27ac": Signal(6.0, _acetylation, width_bp=220.0),
    "CHIP:H3K4me3": Signal(8.0, _trimethylation, width_bp=200.0),
    "CHIP:H2AFZ": Signal(5.0, _histone_variant, width_bp=180.0),
    "CHIP:H4K20me1": Signal(4.0, _is_transcribed, covers_gene=True),
    "CAGE": Signal(60.0, _transcription, width_bp=70.0, background=0.02, clip=384, sum_stat="sum"),
}
"""What each experiment sees. Two of the histone marks are not of H3, so the groupings differ."""

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
"""The experiments of each organism. Both have the same biology and genomes of their own."""
