import numpy as np
import pandas as pd
import pytest

from senformer.config import BIN_SIZE_BP
from senformer.data.simulation import contact, regulation
from senformer.data.simulation.regulation import MOTIFS, SIGNALS, SimulatedTrack

NUM_TOKENS = 20_000
COMPLEMENT = str.maketrans("ACGT", "TGCA")


@pytest.fixture(scope="module")
def elements():
    return regulation.draw_elements(np.random.default_rng(0), NUM_TOKENS)


def handmade(*rows: tuple[int, str, str], strand: str = "+") -> pd.DataFrame:
    """Return elements of strength 1 from (position_bp, kind, activator)."""
    frame = pd.DataFrame(sorted(rows), columns=["position_bp", "kind", "activator"])
    frame = frame.assign(strand=strand, copies=3, strength=1.0)
    return regulation.add_distal_effects(frame, contact.find_pairs(frame))


def seen(frame: pd.DataFrame, experiment: str, biosample: str = "blood") -> np.ndarray:
    return regulation.compute_rates(frame, (SimulatedTrack(experiment, biosample),), 200)[:, 0]


def test_elements_are_far_apart(elements):
    tokens = elements["position_bp"].to_numpy() // BIN_SIZE_BP
    gaps = np.diff(tokens)
    assert (gaps.min(), gaps.max()) == regulation.GAP_TOKENS
    assert gaps.min() > 2 * 2.5


def test_elements_have_the_expected_kinds(elements):
    found = elements.groupby(["kind", "activator"]).size() / len(elements)
    kinds = regulation.KINDS.set_index(["kind", "activator"])
    assert kinds["share"].sum() == pytest.approx(1)
    num_drawn = kinds["share"] * (1 + kinds["max_in_a_row"]) / 2
    expected = num_drawn / num_drawn.sum()
    np.testing.assert_allclose(found, expected.reindex(found.index), atol=0.03)


def test_bases_contain_the_motifs(elements):
    bases = regulation.draw_bases(np.random.default_rng(1), elements, NUM_TOKENS * BIN_SIZE_BP)
    text = bases.tobytes().decode()
    assert set(text) == set("ACGT")
    for element in elements.head(300).itertuples():
        around = text[element.position_bp - 80 : element.position_bp + 80]
        if element.strand == "-":
            around = around.translate(COMPLEMENT)[::-1]
        factors = {element.activator or "CTCF": element.copies}
        if element.kind == "promoter":
            factors = {"SP1": element.copies, regulation.CORE_OF_ACTIVATOR[element.activator]: 2}
        for factor, copies in factors.items():
            motif = MOTIFS[factor]
            mismatches = sorted(
                sum(a != b for a, b in zip(motif, around[start:], strict=False))
                for start in range(len(around) - len(motif) + 1)
            )
            assert mismatches[copies - 1] <= 4, (element, factor)


def test_bases_of_promoters_are_gc_rich(elements):
    bases = regulation.draw_bases(np.random.default_rng(1), elements, NUM_TOKENS * BIN_SIZE_BP)
    is_gc = np.isin(bases, list(b"GC"))
    promoters = elements.loc[elements["kind"] == "promoter", "position_bp"]
    assert np.mean([is_gc[p - 80 : p + 80].mean() for p in promoters]) > 0.6
    assert is_gc.mean() == pytest.approx(0.42, abs=0.02)


def test_distal_effects_sum_matching_enhancers():
    frame = handmade(
        (200_000, "promoter", "GATA1"),
        (200_000 + 1_280, "enhancer", "GATA1"),
        (200_000 - 150_000, "enhancer", "GATA1"),
        (200_000 + 2_560, "enhancer", "HNF4A"),
        (200_000 - 1_280, "lone site", "GATA1"),
    )
    distal = 0.85 * contact.compute_contact(np.array([1_280, 150_000])).sum()
    is_promoter = frame["kind"] == "promoter"
    assert frame.loc[is_promoter, "distal_blood"].item() == pytest.approx(distal)
    assert frame.loc[is_promoter, "distal_liver"].item() == pytest.approx(0.3 * distal)
    assert not frame.loc[~is_promoter, "distal_blood"].any()


def test_insulators_reduce_distal_effects():
    promoter, enhancer = (10_000, "promoter", "GATA1"), (60_000, "enhancer", "GATA1")
    distal = [
        handmade(promoter, enhancer, (insulator_bp, contact.INSULATOR, ""))["distal_blood"].max()
        for insulator_bp in (5_000, 30_000)
    ]
    assert distal[1] == pytest.approx(contact.PASSED_BY_INSULATOR * distal[0])


def test_rates_of_cage_show_distal_effects():
    lonely = handmade((12_864, "promoter", "GATA1"))
    matched = handmade((12_864, "promoter", "GATA1"), (16_000, "enhancer", "GATA1"))
    unmatched = handmade((12_864, "promoter", "GATA1"), (16_000, "enhancer", "HNF4A"))
    at_promoter = 12_864 // BIN_SIZE_BP
    cage = [seen(frame, "CAGE")[at_promoter] for frame in (lonely, matched, unmatched)]
    assert cage[1] > 5 * cage[0]
    assert cage[2] == cage[0]
    for experiment in ("DNASE", "CHIP:TBP", "CHIP:H2AFZ"):
        local = [seen(frame, experiment)[at_promoter] for frame in (lonely, matched, unmatched)]
        np.testing.assert_allclose(local, local[0], rtol=1e-12)


@pytest.mark.parametrize("experiment", SIGNALS)
def test_rates_are_mirrored_with_the_elements(experiment):
    length_bp = 200 * BIN_SIZE_BP
    rows = [(9_000, "promoter", "GATA1"), (12_000, "enhancer", "GATA1"), (15_000, "CTCF site", "")]
    mirrored = [(length_bp - position, kind, factor) for position, kind, factor in rows]
    forward, backward = (
        seen(handmade(*rows), experiment),
        seen(handmade(*mirrored, strand="-"), experiment),
    )
    np.testing.assert_allclose(forward, backward[::-1], rtol=1e-9)


def test_rates_of_genes_lie_downstream():
    rows = ((12_864, "promoter", "HNF4A"), (14_400, "enhancer", "HNF4A"))
    centre = 12_864 // BIN_SIZE_BP
    forward = seen(handmade(*rows), "CHIP:H4K20me1", "liver") > 0.3
    assert np.flatnonzero(forward).tolist() == list(range(centre + 2, centre + 8))
    backward = seen(handmade(*rows, strand="-"), "CHIP:H4K20me1", "liver") > 0.3
    assert np.flatnonzero(backward).tolist() == list(range(centre - 7, centre - 1))


def test_add_mean_of_unseen_keeps_means(elements):
    seen = elements.assign(distal_blood=0.25 * elements["distal_blood"], distal_liver=0.0)
    known = regulation.add_mean_of_unseen(elements, seen)
    promoters = elements["kind"] == "promoter"
    for biosample, share in (("blood", 0.25), ("liver", 0.0)):
        column = f"distal_{biosample}"
        assert known[column].mean() == pytest.approx(elements[column].mean())
        spread = elements[promoters].groupby("activator")[column].std()
        known_spread = known[promoters].groupby("activator")[column].std()
        np.testing.assert_allclose(known_spread, share * spread, atol=1e-12)
