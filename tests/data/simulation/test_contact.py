import numpy as np
import pandas as pd
import pytest

from senformer.data.simulation import contact


@pytest.fixture(scope="module")
def elements():
    """Return elements of every kind, far longer than the largest distance."""
    rng = np.random.default_rng(0)
    kinds = ["promoter", "enhancer", contact.INSULATOR, "lone site"]
    return pd.DataFrame(
        {
            "position_bp": np.cumsum(rng.integers(700, 1860, size=2_000)),
            "kind": rng.choice(kinds, size=2_000, p=[0.4, 0.2, 0.01, 0.39]),
            "activator": rng.choice(["GATA1", "HNF4A"], size=2_000),
        }
    )


def test_contact_falls_as_a_power():
    far_bp = np.array([65_536, 131_072, 262_144])
    slope = np.diff(np.log(contact.compute_contact(far_bp))) / np.diff(np.log(far_bp))
    np.testing.assert_allclose(slope, -contact.EXPONENT, atol=0.08)
    assert contact.compute_contact(np.array(0)) == 1
    ends = np.array([-1, 0, 1]) + contact.MAX_DISTANCE_BP
    assert (contact.compute_contact(ends) > 0).tolist() == [True, True, False]
    np.testing.assert_array_equal(contact.compute_contact(-ends), contact.compute_contact(ends))


def test_find_pairs_equals_the_full_matrix(elements):
    position_bp = elements["position_bp"].to_numpy()
    insulators = np.flatnonzero(elements["kind"] == contact.INSULATOR)
    distance_bp = position_bp - position_bp[:, None]
    between = [
        [np.sum((insulators > min(i, j)) & (insulators < max(i, j))) for j in range(300)]
        for i in range(300)
    ]
    listens = (
        (elements["kind"] == "promoter").to_numpy()[:, None]
        & (elements["kind"] == "enhancer").to_numpy()
        & (elements["activator"].to_numpy()[:, None] == elements["activator"].to_numpy())
    )
    expected = listens[:300, :300] * contact.compute_contact(distance_bp[:300, :300])
    expected *= contact.PASSED_BY_INSULATOR ** np.array(between)

    pairs = contact.find_pairs(elements.head(300))
    found = np.zeros([300, 300])
    found[pairs["promoter"], pairs["enhancer"]] = pairs["contact"]
    np.testing.assert_allclose(found, expected)
    np.testing.assert_array_equal(
        pairs["distance_bp"], distance_bp[pairs["promoter"], pairs["enhancer"]]
    )


def test_find_pairs_grows_linearly(elements):
    twice = pd.concat(
        [elements, elements.assign(position_bp=elements["position_bp"] + 100_000_000)],
        ignore_index=True,
    )
    pairs, doubled = contact.find_pairs(elements), contact.find_pairs(twice)
    assert len(doubled) == 2 * len(pairs)
    assert np.abs(pairs["distance_bp"]).max() <= contact.MAX_DISTANCE_BP


def test_find_pairs_without_promoters(elements):
    assert contact.find_pairs(elements[elements["kind"] != "promoter"]).empty
