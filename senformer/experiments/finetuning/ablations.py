"""List the ablations: models that differ from Enformer or from another ablation in one respect.

The study changes four things at once: which keys a query attends to, the initial weights of the
attention layers, whether they use positions, and how wide their keys are. Here each is an ablation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from senformer.attention_kinds import KINDS, attention_kind
from senformer.config import STARTS, ModelConfig
from senformer.report.row_labels import ENFORMER

PATTERN = "sparse pattern, random blocks from anywhere"

FURTHER_ABLATIONS = ("fewer keys", "other attentions")
"""Groups of ablations besides the steps from Enformer to S-Enformer."""

_NEW, _WARM = STARTS
_UNIFORM = {"random_block_plan": "uniform"}
_NEIGHBOURING_TOKENS = 2  # per block: a window of less than the 6 tokens between two elements


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ablation:
    """Describe a model that differs from another one in one respect.

    Attributes:
        name: Name of the model in figures and tables.
        compared_with: Name of the model that this one differs from in one respect.
        config_fields: All fields of `ModelConfig` in which the model differs from Enformer.
        start: One of `config.STARTS`: the initial weights of the attention layers.
    """

    name: str
    compared_with: str
    config_fields: Mapping[str, Any]
    start: str


def steps_to_senformer(config: ModelConfig) -> list[Ablation]:
    """Return the ablations that lead from Enformer to S-Enformer, each compared with the last.

    Args:
        config: Enformer's configuration, with the block size of the sparse models.
    """
    pattern = {"attention": "bigbird_relative", "block_size": config.block_size}
    no_positions = {**pattern, "relative_positions": False}
    wide_keys = {**no_positions, "key_size": config.value_size}
    return _chain(
        ENFORMER,
        [
            (PATTERN, {**pattern, **_UNIFORM}, _WARM),
            ("random blocks as published", pattern, _WARM),
            ("new attention weights", pattern, _NEW),
            ("no positions", no_positions, _NEW),
            ("wide queries and keys", wide_keys, _NEW),
            ("biases: S-Enformer", {**pattern, "attention": "bigbird"}, _NEW),
        ],
    )


def further_ablations(group: str, config: ModelConfig) -> list[Ablation]:
    """Return one of the groups `FURTHER_ABLATIONS`.

    `fewer keys` removes keys from `PATTERN` step by step until only neighbouring tokens remain.
    `other attentions` compares other block sizes with `PATTERN`, and other kinds of attention with
    Enformer.

    Args:
        group: One of `FURTHER_ABLATIONS`.
        config: Enformer's configuration, with the block size of the sparse models.
    """
    block_size = {"block_size": config.block_size}
    pattern = {"attention": "bigbird_relative", **_UNIFORM}
    if group == "fewer keys":
        sparse, window = {**pattern, **block_size}, {"attention": "local", **block_size}
        neighbours = {**window, "block_size": _NEIGHBOURING_TOKENS}
        return _chain(
            PATTERN,
            [
                ("one random block", {**sparse, "num_random_blocks": 1}, _WARM),
                ("window and global blocks", {**sparse, "num_random_blocks": 0}, _WARM),
                ("window alone", window, _WARM),
                ("neighbouring tokens alone", neighbours, _WARM),
            ],
        )
    half, twice = config.block_size // 2, config.block_size * 2
    models = [
        ("blocks of half the size", PATTERN, {**pattern, "block_size": half}),
        ("blocks of twice the size", PATTERN, {**pattern, "block_size": twice}),
    ]
    for name, kind in KINDS.items():
        if kind.ablation:
            fields = {"attention": name, **(block_size if kind.minimum_blocks else {})}
            models.append((kind.ablation, ENFORMER, fields))
    return [
        Ablation(name=name, compared_with=other, config_fields=fields, start=_WARM)
        for name, other, fields in models
    ]


def select_patterns(
    ablations: Sequence[Ablation], seeds: Iterable[int], config: ModelConfig
) -> dict[str, list[ModelConfig]]:
    """Select the ablations that only restrict Enformer's keys to a fixed pattern.

    Args:
        ablations: The ablations to select from.
        seeds: Seeds of the random blocks.
        config: Enformer's configuration.

    Returns:
        By name, one configuration per seed, as `attention_shares.attention_lost` takes them.
    """
    return {
        ablation.name: [
            config.replace(random_block_seed=seed, **ablation.config_fields) for seed in seeds
        ]
        for ablation in ablations
        if ablation.start == _WARM
        and attention_kind(ablation.config_fields["attention"]).pattern in ("bigbird", "window")
    }


def _chain(first: str, steps: Sequence[tuple[str, dict[str, Any], str]]) -> list[Ablation]:
    """Compare each model with the one before it, the first one with the model `first`."""
    names = [first, *(name for name, _, _ in steps)]
    return [
        Ablation(name=name, compared_with=previous, config_fields=fields, start=start)
        for previous, (name, fields, start) in zip(names, steps, strict=False)
    ]
