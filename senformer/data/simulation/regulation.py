"""Simulate a genome's biology: regulatory elements, their sequence, and the experiments' signal.

Two biosamples, blood and liver, share one genome. Each chromosome has elements, 6 to 14 tokens
apart, so that the trunk's convolutions, which reach about 2.5 tokens, never read two of them:

- *enhancers* have several GATA1 or HNF4A motifs, and come up to three in a row; GATA1 is active in
  blood, HNF4A in liver, and each a little in the other;
- *promoters* are GC-rich and have SP1 motifs, and a core that selects their enhancers: TBP cores
  respond to GATA1 enhancers, YY1 cores to HNF4A enhancers;
- *insulators* (kind `boundary`), rare, have many CTCF motifs: they reduce contact across them;
- *CTCF sites* have one or two CTCF motifs, which bind CTCF without any effect;
- *lone sites* have a single GATA1 or HNF4A motif, weakly bound, without a mark or an effect.

Transcription factors give ChIP peaks at their motifs and open the chromatin; enhancers and
promoters carry histone marks. A promoter's transcription is a small constant plus the sum, over its
enhancers, of the enhancer's strength, times its factor's activity in the biosample, times their
contact (`contact`), which reaches over hundreds of thousands of base pairs. So the sequence near a
promoter determines only its mean; the rest lies from ten to thousands of tokens away, where only
attention reaches. CAGE shows the entire transcription; H3K27ac, H3K4me3 and H4K20me1 show it in
part.

The factors and their motifs' cores are real; everything else is invented.
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
"""The motif of each factor, on either strand; a site keeps each base with a probability of 0.94."""

CORE_OF_ACTIVATOR = {"GATA1": "TBP", "HNF4A": "YY1"}
"""The core of the promoters that respond to an activator's enhancers."""

ACTIVITY = {
    "blood": {"GATA1": 1.0, "HNF4A": 0.3},
    "liver": {"GATA1": 0.3, "HNF4A": 1.0},
}
"""Activity of each activator in each biosample."""

GAP_TOKENS = (6, 14)
"""Smallest and largest distance from one element to the next, in tokens."""

KINDS = pd.DataFrame(
    [
        ("promoter", "GATA1", 0.22, 1, 2, 4, 3.0, 1),
        ("promoter", "HNF4A", 0.22, 1, 2, 4, 3.0, 1),
        ("enhancer", "GATA1", 0.007, 3, 2, 6, 4.0, 2),
        ("enhancer", "HNF4A", 0.007, 3, 2, 6, 4.0, 2),
        ("CTCF site", "", 0.16, 1, 1, 2, 1.5, 1),
        (contact.INSULATOR, "", 0.006, 1, 4, 5, 3.0, 1),
        ("lone site", "GATA1", 0.19, 1, 1, 1, 4.0, 1),
        ("lone site", "HNF4A", 0.19, 1, 1, 1, 4.0, 1),
    ],
    columns=[
        "kind",
        "activator",
        "share",
        "max_in_a_row",
        "min_copies",
        "max_copies",
        "copies_at_strength_1",
        "cooperativity",
    ],
)
"""Kinds of elements: the probability of each as the next one on a chromosome, the largest number in
a row, and the number of motif copies. A promoter's activator is the one of its enhancers. The
strength of an element is a power, `cooperativity`, of the copies."""

BASAL_TRANSCRIPTION = 0.03
"""Transcription of a promoter without any enhancer; all enhancers together add about 1."""

_BASES = np.frombuffer(b"ACGT", np.uint8)
_COMPLEMENT = bytes.maketrans(b"ACGT", b"TGCA")
_KEPT_BASES = 0.94
_GC_SHARE, _GC_SHARE_OF_PROMOTERS = 0.41, 0.65
_ELEMENT_BP = 160  # length of the sequence that contains an element's motifs
_CORE_COPIES = 2
_EFFECT_IN_CONTACT = 0.85  # of an enhancer of strength 1 in permanent contact
_HALF_SATURATION = 1.0  # transcription that gives half the height of a promoter's marks
_REACH_TOKENS = 10  # largest distance at which an element changes the tracks

Elements = pd.DataFrame


# ------------------------------------------------------------------------------------ the elements


def draw_elements(rng: np.random.Generator, num_tokens: int) -> Elements:
    """Draw the elements of one chromosome.

    Args:
        rng: Source of all draws.
        num_tokens: Length of the chromosome in tokens of 128 bp.

    Returns:
        One row per element, from left to right: `position_bp` (its centre, from 0), `strand`,
        `kind`, `activator`, `copies` (of its motif; of SP1's for promoters), `strength` (about 1)
        and `distal_<biosample>` for each biosample: the summed effect of a promoter's enhancers,
        0 for other elements.
    """
    low, high = GAP_TOKENS
    token = np.cumsum(rng.integers(low, high + 1, size=num_tokens // low + 1))
    token = token[token < num_tokens - 2]
    kinds = _draw_kinds(rng, len(token))
    copies = rng.integers(kinds["min_copies"], kinds["max_copies"] + 1)
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
    return add_distal_effects(elements, contact.find_pairs(elements))


def add_distal_effects(elements: Elements, pairs: pd.DataFrame) -> Elements:
    """Add the summed effects of enhancers on promoters.

    Args:
        elements: Elements of one chromosome.
        pairs: All or some pairs from `contact.find_pairs`.

    Returns:
        `elements` with `distal_<biosample>`, the sum of the pairs' effects on each promoter.
    """
    distal = {
        f"distal_{biosample}": np.bincount(
            pairs["promoter"],
            weights=compute_effects(elements, pairs, biosample),
            minlength=len(elements),
        )
        for biosample in ACTIVITY
    }
    return elements.assign(**distal)


def add_mean_of_unseen(elements: Elements, seen: Elements) -> Elements:
    """Add the mean of the distal effects that an input does not contain.

    A model that reads a part of the enhancers predicts best if it adds the average effect of the
    others. It can learn this average for each core, but nothing else about the others.

    Args:
        elements: The elements with all distal effects.
        seen: The same elements with the distal effects that the input contains.

    Returns:
        `seen`, with the mean of the missing effects over the promoters of each core added.
    """
    columns = [f"distal_{biosample}" for biosample in ACTIVITY]
    unseen = elements[columns] - seen[columns]
    mean = unseen.groupby([elements["kind"], elements["activator"]]).transform("mean")
    return seen.assign(**{column: seen[column] + mean[column] for column in columns})


def compute_effects(elements: Elements, pairs: pd.DataFrame, biosample: str) -> np.ndarray:
    """Compute the transcription that each enhancer adds to each promoter.

    Args:
        elements: Elements of one chromosome.
        pairs: Pairs from `contact.find_pairs`.
        biosample: A key of `ACTIVITY`.

    Returns:
        `[pairs]` float64, in units of a promoter's mean transcription.
    """
    state = ElementState(elements, biosample)
    of_enhancers = _EFFECT_IN_CONTACT * state.strength * state.activity
    return of_enhancers[pairs["enhancer"]] * pairs["contact"].to_numpy()


def _draw_kinds(rng: np.random.Generator, num_elements: int) -> pd.DataFrame:
    """Draw a row of `KINDS` for each element, from left to right."""
    rows = rng.choice(len(KINDS), size=num_elements, p=KINDS["share"])
    in_a_row = rng.integers(1, KINDS["max_in_a_row"].to_numpy()[rows] + 1)
    return KINDS.iloc[np.repeat(rows, in_a_row)[:num_elements]]


# ------------------------------------------------------------------------------------ the sequence


def draw_bases(rng: np.random.Generator, elements: Elements, length_bp: int) -> np.ndarray:
    """Draw a chromosome's sequence: a random background that contains the elements' motifs.

    Args:
        rng: Source of all draws.
        elements: Elements from `draw_elements`.
        length_bp: Length of the chromosome.

    Returns:
        The letters A, C, G and T as bytes, `[length_bp]` uint8.
    """
    bases = _draw_background(rng, length_bp, _GC_SHARE)
    for position_bp, strand, kind, activator, copies in zip(
        *(elements[name] for name in ("position_bp", "strand", "kind", "activator", "copies")),
        strict=True,
    ):
        element = bases[position_bp - _ELEMENT_BP // 2 : position_bp + _ELEMENT_BP // 2]
        factors = [activator or "CTCF"] * copies
        if kind == "promoter":
            element[:] = _draw_background(rng, _ELEMENT_BP, _GC_SHARE_OF_PROMOTERS)
            factors = ["SP1"] * copies + [CORE_OF_ACTIVATOR[activator]] * _CORE_COPIES
        slot_bp = _ELEMENT_BP // len(factors)
        for slot, factor in enumerate(factors):
            site = _draw_site(rng, factor, strand)
            start = slot * slot_bp + rng.integers(slot_bp - len(site) + 1)
            element[start : start + len(site)] = site
    return bases


def _draw_background(rng: np.random.Generator, length_bp: int, gc_share: float) -> np.ndarray:
    at, gc = (1 - gc_share) / 2, gc_share / 2
    return rng.choice(_BASES, length_bp, p=[at, gc, gc, at])


def _draw_site(rng: np.random.Generator, factor: str, strand: str) -> np.ndarray:
    """Draw a binding site: the factor's motif with random substitutions, on a strand."""
    motif = np.frombuffer(MOTIFS[factor].encode(), np.uint8)
    is_kept = rng.random(len(motif)) < _KEPT_BASES
    site = np.where(is_kept, motif, rng.choice(_BASES, len(motif)))
    if strand == "+":
        return site
    return np.frombuffer(site.tobytes().translate(_COMPLEMENT)[::-1], np.uint8)


# ------------------------------------------------------------------------------------- the tracks


class ElementState:
    """The state of one chromosome's elements in a biosample, as arrays `[elements]` float64.

    Args:
        elements: Elements from `draw_elements`.
        biosample: A key of `ACTIVITY`.
    """

    def __init__(self, elements: Elements, biosample: str) -> None:
        self._elements = elements
        self._biosample = biosample
        self.strength = elements["strength"].to_numpy(float)
        self.is_promoter = self._matches("kind", "promoter")
        self.is_enhancer = self._matches("kind", "enhancer")
        self.binds_ctcf = self._matches("kind", "CTCF site") + self._matches(
            "kind", contact.INSULATOR
        )

    def _matches(self, column: str, value: str) -> np.ndarray:
        return (self._elements[column] == value).to_numpy(float)

    @property
    def activity(self) -> np.ndarray:
        """Activity of the element's activator; 1 without an activator."""
        activity = ACTIVITY[self._biosample]
        return self._elements["activator"].map(activity).fillna(1.0).to_numpy(float)

    @property
    def openness(self) -> np.ndarray:
        """Accessibility of the chromatin."""
        always = 0.8 * self.is_promoter + 0.5 * self.binds_ctcf
        by_activator = self.is_enhancer + self._matches("kind", "lone site")
        return self.strength * (always + by_activator * self.activity)

    def binding(self, factor: str) -> np.ndarray:
        """Return the binding of an activator to its motifs outside promoters."""
        has_motif = self._matches("activator", factor) * (1 - self.is_promoter)
        return has_motif * self.strength * self.activity

    def core_binding(self, factor: str) -> np.ndarray:
        """Return the binding of a factor to the cores of promoters."""
        has_core = (self._elements["activator"].map(CORE_OF_ACTIVATOR) == factor).to_numpy()
        return has_core * self.is_promoter * self.strength

    @property
    def transcription(self) -> np.ndarray:
        """Transcription of promoters."""
        distal = self._elements[f"distal_{self._biosample}"].to_numpy(float)
        return self.is_promoter * self.strength * (BASAL_TRANSCRIPTION + distal)

    @property
    def saturated_transcription(self) -> np.ndarray:
        """Transcription of promoters, from 0 to 1, as it determines histone marks."""
        return self.transcription / (self.transcription + _HALF_SATURATION)

    @property
    def acetylation(self) -> np.ndarray:
        """H3K27ac at enhancers and promoters."""
        at_enhancers = self.is_enhancer * self.strength * self.activity
        return at_enhancers + self.saturated_transcription


@dataclass(frozen=True)
class Signal:
    """The signal of an experiment around an element.

    Attributes:
        height: Counts per 128-bp bin at the centre of an element of amplitude 1.
        amplitude: Function from the elements' state to `[elements]`.
        width_bp: Standard deviation of the peak.
        covers_gene: True if the signal covers the gene, from 1 to 8 tokens downstream, and has no
            peak.
        background: Counts per bin without an element.
        clip: Largest value that is written.
        sum_stat: Statistic of a bin's value, for the targets table.
    """

    height: float
    amplitude: Callable[[ElementState], np.ndarray]
    width_bp: float = 90.0
    covers_gene: bool = False
    background: float = 0.2
    clip: int = 32
    sum_stat: str = "mean"

    def shape(self, downstream_bp: np.ndarray) -> np.ndarray:
        """Return the share of the height at distances along the element's strand."""
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
        """Signal of the experiment."""
        return SIGNALS[self.experiment]

    @property
    def description(self) -> str:
        """Description in a targets table, for instance `CHIP:H3K27ac:simulated blood`."""
        return f"{self.experiment}:simulated {self.biosample}"


def compute_rates(
    elements: Elements, tracks: tuple[SimulatedTrack, ...], num_tokens: int
) -> np.ndarray:
    """Compute the expected counts of experiments along a chromosome, from its first token.

    Args:
        elements: The chromosome's elements, from `draw_elements`.
        tracks: The experiments.
        num_tokens: Number of tokens of 128 bp.

    Returns:
        Expected counts, `[num_tokens, tracks]` float64.
    """
    position_bp = elements["position_bp"].to_numpy()[:, None]
    direction = np.where(elements["strand"] == "+", 1, -1)[:, None]
    offsets = np.arange(-_REACH_TOKENS, _REACH_TOKENS + 1)
    token = position_bp // BIN_SIZE_BP + offsets  # [elements, offsets]
    downstream_bp = (token * BIN_SIZE_BP + BIN_SIZE_BP // 2 - position_bp) * direction
    is_inside = (token >= 0) & (token < num_tokens)
    states = {biosample: ElementState(elements, biosample) for biosample in ACTIVITY}
    columns = []
    for track in tracks:
        amplitude = track.signal.height * track.signal.amplitude(states[track.biosample])
        signal = amplitude[:, None] * track.signal.shape(downstream_bp)
        counts = np.bincount(token[is_inside], weights=signal[is_inside], minlength=num_tokens)
        columns.append(track.signal.background + counts)
    return np.stack(columns, axis=1)


SIGNALS: Mapping[str, Signal] = {
    "DNASE": Signal(10.0, lambda state: state.openness),
    "ATAC": Signal(8.0, lambda state: state.openness, width_bp=110.0),
    "CHIP:GATA1": Signal(12.0, lambda state: state.binding("GATA1")),
    "CHIP:HNF4A": Signal(12.0, lambda state: state.binding("HNF4A")),
    "CHIP:TBP": Signal(12.0, lambda state: state.core_binding("TBP")),
    "CHIP:YY1": Signal(12.0, lambda state: state.core_binding("YY1")),
    "CHIP:CTCF": Signal(12.0, lambda state: state.binds_ctcf * state.strength),
    "CHIP:H3K27ac": Signal(6.0, lambda state: state.acetylation, width_bp=220.0),
    "CHIP:H3K4me3": Signal(
        8.0,
        lambda state: 0.4 * state.is_promoter + 0.8 * state.saturated_transcription,
        width_bp=200.0,
    ),
    "CHIP:H2AFZ": Signal(
        5.0, lambda state: 0.8 * (state.is_promoter + state.binds_ctcf), width_bp=180.0
    ),
    "CHIP:H4K20me1": Signal(4.0, lambda state: state.saturated_transcription, covers_gene=True),
    "CAGE": Signal(
        60.0,
        lambda state: state.transcription,
        width_bp=70.0,
        background=0.02,
        clip=384,
        sum_stat="sum",
    ),
}
"""The signal of each experiment. Two histone marks are not of H3, so that the groupings differ."""

TRACKS: Mapping[str, tuple[SimulatedTrack, ...]] = {
    organism: tuple(SimulatedTrack(*track.split()) for track in tracks)
    for organism, tracks in {
        "human": (
            *("DNASE blood", "DNASE liver", "ATAC blood"),
            *("CHIP:GATA1 blood", "CHIP:HNF4A liver", "CHIP:CTCF blood"),
            *("CHIP:TBP blood", "CHIP:YY1 liver"),
            *("CHIP:H3K27ac blood", "CHIP:H3K27ac liver"),
            *("CHIP:H3K4me3 blood", "CHIP:H3K4me3 liver"),
            *("CHIP:H2AFZ blood", "CHIP:H4K20me1 liver"),
            *("CAGE blood", "CAGE liver"),
        ),
        "mouse": (
            *("DNASE liver", "ATAC blood"),
            *("CHIP:GATA1 blood", "CHIP:HNF4A liver", "CHIP:TBP blood"),
            *("CHIP:H3K27ac blood", "CHIP:H3K27ac liver", "CHIP:H3K4me3 liver"),
            *("CAGE blood", "CAGE liver"),
        ),
    }.items()
}
"""The experiments of each organism. Both organisms share the biology, but not the genome."""
