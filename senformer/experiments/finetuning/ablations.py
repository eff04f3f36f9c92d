"""The changes that lie between Enformer and S-Enformer, and others beside them, one at a time.

The study changes four things at once: which keys a query sees, what its attention layers start
with, whether they know positions, and how wide their keys are. Here each is a change of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from senformer.attention_kinds import KINDS, attention_kind
from senformer.config import STARTS, ModelConfig, expect_one_of

ENFORMER = "Enformer"
PATTERN = "sparse pattern, random blocks from anywhere"

FURTHER_ABLATIONS = ("fewer keys", "other attentions")
"""What can be compared beside the path from Enformer to S-Enformer."""

_NEW, _WARM = STARTS
_UNIFORM = {"random_block_plan": "uniform"}
_NEIGHBOURING_TOKENS = 2  # per block: a window of less than the 6 tokens between two elements


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ablation:
    """One thing that is changed.

    Attributes:
        name: What figures and tables call the model that results.
        compared_with: Name of the model that the ablation differs from in one respect.
        config_fields: Fields of `ModelConfig` in which the model differs from Enformer.
        start: One of `config.STARTS`.
    """

    name: str
    compared_with: str
    config_fields: Mapping[str, Any]
    start: str


def steps_to_senformer(config: ModelConfig) -> list[Ablation]:
    """The path from Enformer to S-Enformer, in steps of one change each.

    Args:
        config: Enformer's, with the block size of the sparse models.
    """
    pattern = {"attention": "bigbird_relative", "block_size": config.block_size}
    no_positions = {**pattern, "relative_positions": False}
    wide_keys = {**no_positions, "key_size": config.value_size}
    path: list[tuple[str, dict[str, Any], str]] = [
        (PATTERN, {**pattern, **_UNIFORM}, _WARM),
        ("random blocks as published", pattern, _WARM),
        ("new attention weights", pattern, _NEW),
        ("no positions", no_positions, _NEW),
        ("wide queries and keys", wide_keys, _NEW),
        ("biases: S-Enformer", {**pattern, "attention": "bigbird"}, _NEW),
    ]
    return _one_after_the_other(ENFORMER, path)


def steps_to_nearby_keys(config: ModelConfig) -> list[Ablation]:
    """On from `PATTERN`, keys taken away step by step, until none is left that lies far.

    Args:
        config: Enformer's, with the block size of the sparse models.
    """
    window = {"attention": "local", "block_size": config.block_size}
    pattern = {**window, "attention": "bigbird_relative", **_UNIFORM}
    neighbours = {**window, "block_size": _NEIGHBOURING_TOKENS}
    path: list[tuple[str, dict[str, Any], str]] = [
        ("one random block", {**pattern, "num_random_blocks": 1}, _WARM),
        ("window and global blocks", {**pattern, "num_random_blocks": 0}, _WARM),
        ("window alone", window, _WARM),
        ("neighbouring tokens alone", neighbours, _WARM),
    ]
    return _one_after_the_other(PATTERN, path)


def other_attentions(config: ModelConfig) -> list[Ablation]:
    """Blocks of other sizes, a change of `PATTERN`, and other kinds of attention, of Enformer.

    Args:
        config: Enformer's, with the block size of the sparse models.
    """
    pattern = {"attention": "bigbird_relative", **_UNIFORM}
    half, twice = (
        {**pattern, "block_size": size} for size in (config.block_size // 2, config.block_size * 2)
    )
    beside: list[tuple[str, str, dict[str, Any], str]] = [
        ("blocks of half the size", PATTERN, half, _WARM),
        ("blocks of twice the size", PATTERN, twice, _WARM),
    ]
    for name, kind in KINDS.items():
        if kind.ablation:
            block_size = {"block_size": config.block_size} if kind.minimum_blocks else {}
            beside.append((kind.ablation, ENFORMER, {"attention": name, **block_size}, _WARM))
    return [
        Ablation(name=name, compared_with=of, config_fields=changes, start=start)
        for name, of, changes, start in beside
    ]


def further_ablations(name: str, config: ModelConfig) -> list[Ablation]:
    """One of the comparisons `FURTHER_ABLATIONS`.

    Args:
        name: Which.
        config: Enformer's, with the block size of the sparse models.

    Raises:
        ValueError: If there is no such comparison.
    """
    expect_one_of("compared_further", name, FURTHER_ABLATIONS)
    return (
        steps_to_nearby_keys(config) if name == FURTHER_ABLATIONS[0] else other_attentions(config)
    )


def select_patterns(
    changes: Sequence[Ablation], seeds: Iterable[int], config: ModelConfig
) -> dict[str, list[ModelConfig]]:
    """The models that are Enformer but for a fixed pattern, with the random blocks of each seed.

    Args:
        changes: Others than such are left out.
        seeds: Of the draws.
        config: Enformer's.

    Returns:
        By name, what `attention_shares.attention_lost` takes.
    """
    return {
        ablation.name: [
            config.replace(random_block_seed=seed, **ablation.config_fields) for seed in seeds
        ]
        for ablation in changes
        if ablation.start == _WARM
        and attention_kind(ablation.config_fields["attention"]).pattern in ("bigbird", "window")
    }


def _one_after_the_other(
    first: str, path: Sequence[tuple[str, dict[str, Any], str]]
) -> list[Ablation]:
    names = [first, *(name for name, _, _ in path)]
    return [
        Ablation(name=name, compared_with=before, config_fields=changes, start=start)
        for before, (name, changes, start) in zip(names, path, strict=False)
    ]
