import numpy as np
import pandas as pd
import pytest

from senformer.config import BIN_SIZE_BP
from senformer.data import regulation
from senformer.data.regulation import MOTIFS, SIGNALS, TRACKS, SimulatedTrack

NUM_TOKENS = 20_000
COMPLEMENT = str.maketrans("ACGT", "TGCA")


@pytest.fixture(scope="module")
def elements():
    return regulation.place_elements(np.random.default_rng(0), NUM_TOKENS)


def handmade(*rows: tuple[int, str, str], strand: str = "+") -> pd.DataFrame:
    """Elements of strength 1 at (position_bp, kind, activator)."""
    frame = pd.DataFrame(sorted(rows), columns=["position_bp", "kind", "activator"])
    frame = frame.assign(strand=strand, copies=3, strength=1.0)
    for biosample in regulation.ACTIVITY:
        frame[f"distal_{biosample}"] = regulation._distal_effect(frame, biosample)
    return frame


def seen(frame: pd.DataFrame, experiment: str, biosample: str = "blood") -> np.ndarray:
    return regulation.rates(frame, (SimulatedTrack(experiment, biosample),), 0, 200)[:, 0]


def test_no_convolution_sees_two_elements(elements):
    tokens = elements["position_bp"].to_numpy() // BIN_SIZE_BP
    gaps = np.diff(tokens)
    assert (gaps.min(), gaps.max()) == regulation.GAP_TOKENS
    assert gaps.min() > 2 * 2.5


def test_every_kind_comes_as_often_as_it_should(elements):
    found = elements.groupby(["kind", "activator"]).size() / len(elements)
    expected = regulation.KINDS.set_index(["kind", "activator"])["share"]
    assert expected.sum() == pytest.approx(1)
    np.testing.assert_allclose(found, expected.reindex(found.index), atol=0.03)


def test_every_element_has_its_motifs_on_its_strand(elements):
    bases = regulation.write_bases(np.random.default_rng(1), elements, NUM_TOKENS * BIN_SIZE_BP)
    text = bases.tobytes().decode()
    assert set(text) == set("ACGT")
    for element in elements.head(300).itertuples():
        around = text[element.position_bp - 80 : element.position_bp + 80]
        if element.strand == "-":
            around = around.translate(COMPLEMENT)[::-1]
        factors = {"boundary": {"CTCF": element.copies}}.get(
            element.kind, {element.activator: element.copies}
        )
        if element.kind == "promoter":
            factors = {"SP1": element.copies, regulation.CORE_OF_ACTIVATOR[element.activator]: 2}
        for factor, copies in factors.items():
            motif = MOTIFS[factor]
            mismatches = sorted(
                sum(a != b for a, b in zip(motif, around[start:], strict=False))
                for start in range(len(around) - len(motif) + 1)
            )
            assert mismatches[copies - 1] <= 4, (element, factor)


def test_promoters_are_rich_in_gc(elements):
    bases = regulation.write_bases(np.random.default_rng(1), elements, NUM_TOKENS * BIN_SIZE_BP)
    is_gc = np.isin(bases, list(b"GC"))
    promoters = elements.loc[elements["kind"] == "promoter", "position_bp"]
    assert np.mean([is_gc[p - 80 : p + 80].mean() for p in promoters]) > 0.6
    assert is_gc.mean() == pytest.approx(0.42, abs=0.02)


def test_a_promoter_listens_to_its_own_enhancers_as_far_as_they_reach():
    near, far = 10_000 + 1_280, 10_000 - 3_840
    frame = handmade(
        (10_000, "promoter", "GATA1"),
        (near, "enhancer", "GATA1"),
        (far, "enhancer", "GATA1"),
        (10_000 + 2_560, "enhancer", "HNF4A"),
        (10_000 - 1_280, "lone site", "GATA1"),
    )
    contact = np.exp(-1_280 / 2048) + np.exp(-3_840 / 2048)
    is_promoter = frame["kind"] == "promoter"
    assert frame.loc[is_promoter, "distal_blood"].item() == pytest.approx(contact)
    assert frame.loc[is_promoter, "distal_liver"].item() == pytest.approx(0.3 * contact)
    assert not frame.loc[~is_promoter, "distal_blood"].any()


def test_the_distal_effect_is_the_sum_over_all_pairs(elements):
    position_bp, activator = elements["position_bp"].to_numpy(), elements["activator"].to_numpy()
    contact = np.exp(-np.abs(position_bp[:, None] - position_bp) / 2048)
    listens = activator[:, None] == activator
    activity = elements["activator"].map({"GATA1": 0.3, "HNF4A": 1.0})
    effect = (elements["kind"] == "enhancer") * elements["strength"] * activity.fillna(0)
    expected = (contact * listens) @ effect * (elements["kind"] == "promoter")
    np.testing.assert_allclose(elements["distal_liver"], expected, atol=1e-4)


def test_cage_shows_the_distal_effect_and_dnase_does_not():
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
def test_turning_everything_round_mirrors_every_track(experiment):
    length_bp = 200 * BIN_SIZE_BP
    rows = [(9_000, "promoter", "GATA1"), (12_000, "enhancer", "GATA1"), (15_000, "boundary", "")]
    mirrored = [(length_bp - position, kind, factor) for position, kind, factor in rows]
    forward, backward = (
        seen(handmade(*rows), experiment),
        seen(handmade(*mirrored, strand="-"), experiment),
    )
    np.testing.assert_allclose(forward, backward[::-1], rtol=1e-9)


def test_a_gene_is_marked_downstream_of_its_promoter():
    rows = ((12_864, "promoter", "HNF4A"), (14_400, "enhancer", "HNF4A"))
    centre = 12_864 // BIN_SIZE_BP
    forward = seen(handmade(*rows), "CHIP:H4K20me1", "liver") > 0.3
    assert np.flatnonzero(forward).tolist() == list(range(centre + 2, centre + 8))
    backward = seen(handmade(*rows, strand="-"), "CHIP:H4K20me1", "liver") > 0.3
    assert np.flatnonzero(backward).tolist() == list(range(centre - 7, centre - 1))


def test_a_stretch_of_a_chromosome_is_a_slice_of_the_whole(elements):
    whole = regulation.rates(elements, TRACKS["human"], 0, NUM_TOKENS)
    stretch = regulation.rates(elements, TRACKS["human"], 777, 300)
    np.testing.assert_allclose(stretch, whole[777:1077], rtol=1e-12)
    assert whole.shape == (NUM_TOKENS, len(TRACKS["human"]))
    assert (whole > 0).all()


def test_without_distal_differences_promoters_of_a_core_differ_by_strength_alone(elements):
    local = regulation.without_distal_differences(elements)
    for biosample in regulation.ACTIVITY:
        per_core = local[local["kind"] == "promoter"].groupby("activator")[f"distal_{biosample}"]
        assert (per_core.nunique() == 1).all()
        assert local[f"distal_{biosample}"].mean() == pytest.approx(
            elements[f"distal_{biosample}"].mean()
        )
    pd.testing.assert_frame_equal(
        local.drop(columns=["distal_blood", "distal_liver"]),
        elements.drop(columns=["distal_blood", "distal_liver"]),
    )
