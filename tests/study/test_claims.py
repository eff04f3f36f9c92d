"""Published claims come from one file, each with its source, and errors in the file are named."""

from __future__ import annotations

import numpy as np
import pytest

from senformer.data import tracks
from senformer.study import claims

SOURCES = '[sources.study]\nname = "Currie 2022"\n'
CLAIM = '[[claims]]\nkey = "memory.a"\nkind = "finding"\nstatement = "A."\nsource = "study"\n'


def test_claims_are_sentences_with_finite_values():
    for claim in claims.CLAIMS:
        assert claim.source and claim.statement.endswith("."), claim.key
        assert claim.value is None or np.isfinite(claim.value), claim.key
        assert claim.value is not None or not claim.unit, claim.key


def test_get_claim_finds_keys_and_names_unknown_ones():
    assert claims.get_value("memory.dense_out_of_memory_bp") == 589_824
    assert claims.get_claim("memory.bigbird_trains_bp").unit == "bp"
    with pytest.raises(KeyError, match=r"no published claim 'memory\.gb'.*memory\.budget_gb"):
        claims.get_value("memory.gb")
    with pytest.raises(ValueError, match=r"'runtime\.slower' has no number"):
        claims.get_value("runtime.slower")


def test_issue_sources_get_their_address():
    claim = claims.get_claim("reproduction.deepmind_issue_402")
    assert claim.source == "google-deepmind/deepmind-research, issue 402"
    assert claim.url == "https://github.com/google-deepmind/deepmind-research/issues/402"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (SOURCES + CLAIM + CLAIM, "claim 'memory.a' occurs 2 times"),
        (SOURCES + CLAIM.replace("study", "paper"), "claim 'memory.a': source 'paper' is not in"),
        (SOURCES + CLAIM + "page = 3\n", "claim 'memory.a': page: "),
        (SOURCES + CLAIM.replace('"finding"', '"fact"'), "claim 'memory.a': kind: "),
    ],
)
def test_load_claims_names_what_is_wrong(tmp_path, text, error):
    path = tmp_path / "claims.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"claims\.toml: {error}"):
        claims.load_claims(path)


def test_track_counts_match_the_real_table(shared):
    targets = tracks.read_targets(shared / "data" / "basenji2" / "targets_human.txt")
    counts = tracks.track_types(targets, "published").value_counts()
    for name, track_type in claims.TRACK_TYPE_NAMES.items():
        assert counts[track_type] == claims.get_value(f"data.human_{name}")


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "expected"),
    [
        (589_824, "bp", None, "589,824 bp"),
        (0.12345, "", None, "0.1235"),
        (3.4, "%", 2, "3.40 %"),
        ("in words", "GB", None, "in words"),
        (None, "GB", None, ""),
        (float("nan"), "GB", None, ""),
    ],
)
def test_format_quantity(value, unit, decimals, expected):
    assert claims.format_quantity(value, unit, decimals) == expected
