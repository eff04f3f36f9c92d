"""What every parameter of every notebook may be: looked at before any work.

The functions that the notebooks call check their arguments too; of a run of hours some are reached
when most of it is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from senformer.attention_kinds import KINDS
from senformer.config import (
    COMPUTE_DTYPES,
    PRESETS,
    TRAINABLE_SETS,
    expect_integer,
    expect_number,
    expect_one_of,
    preset,
)
from senformer.evaluation.averaging import expect_same_middle
from senformer.experiments.compiling.cards import card
from senformer.experiments.finetuning.ablations import FURTHER, further_changes, steps_to_senformer
from senformer.experiments.memory_and_time.grid import Measurement, grid

_LARGEST = 2**31 - 1
_LARGEST_SEED = _LARGEST - 1  # one more is the seed of the second model


class Rule(Protocol):
    """What a parameter may be."""

    def expect(self, name: str, value: Any) -> None:
        """Refuse any other value.

        Raises:
            ValueError: The message has the name, the value and what was expected.
        """


@dataclass(frozen=True)
class Whole:
    """A whole number, or nothing where that is allowed."""

    least: int = 1
    most: int = _LARGEST
    or_none: bool = False

    def expect(self, name: str, value: Any) -> None:
        """As `Rule`."""
        if value is None and self.or_none:
            return
        expect_integer(name, value, self.least)
        if value > self.most:
            raise ValueError(f"{name}={value!r}, expected at most {self.most}")


@dataclass(frozen=True)
class Number:
    """A finite number of at least 0, or nothing where that is allowed."""

    or_none: bool = False

    def expect(self, name: str, value: Any) -> None:
        """As `Rule`."""
        if value is not None or not self.or_none:
            expect_number(name, value)


@dataclass(frozen=True)
class Text:
    """A text, one of some choices where there are any."""

    choices: tuple[str, ...] = ()
    may_be_empty: bool = False

    def expect(self, name: str, value: Any) -> None:
        """As `Rule`."""
        if not isinstance(value, str):
            raise ValueError(f"{name}={value!r}, expected a text")
        if self.choices:
            expect_one_of(name, value, self.choices)
        if not value and not self.may_be_empty:
            raise ValueError(f"{name}={value!r}, expected a text that is not empty")


@dataclass(frozen=True)
class ListOf:
    """A list, each item once, each as a rule says."""

    item: Rule
    may_be_empty: bool = False

    def expect(self, name: str, value: Any) -> None:
        """As `Rule`."""
        if not isinstance(value, list | tuple):
            raise ValueError(f"{name}={value!r}, expected a list, such as [{value}]")
        if not value and not self.may_be_empty:
            raise ValueError(f"{name}={value!r}, expected a list of at least one")
        for number, one in enumerate(value):
            self.item.expect(f"{name}[{number}]", one)
            if one in value[:number]:
                raise ValueError(f"{name}[{number}]={one!r}, expected each once")


@dataclass(frozen=True)
class PartOf:
    """Some of several parameters, by name, each as its rule says."""

    rules: Mapping[str, Rule]

    def expect(self, name: str, value: Any) -> None:
        """As `Rule`."""
        if not isinstance(value, Mapping):
            raise ValueError(f"{name}={value!r}, expected parameters by name")
        for key, one in value.items():
            if key not in self.rules:
                expected = ", ".join(self.rules)
                raise ValueError(f"{name}: unknown parameter {key!r}, expected one of {expected}")
            self.rules[key].expect(f"{name}: {key}", one)


def _presets_of(kind: str) -> tuple[str, ...]:
    return tuple(name for name, config in PRESETS.items() if config.attention == kind)


def _kinds_that_start_warm() -> tuple[str, ...]:
    return tuple(name for name, kind in KINDS.items() if kind.takes_enformers_weights)


_GRID: dict[str, Rule] = {
    "attention": ListOf(Text(tuple(KINDS))),
    "num_transformer_layers": ListOf(Whole()),
    "sequence_lengths_bp": ListOf(Whole()),
    "trainable": ListOf(Text(TRAINABLE_SETS)),
    "channels": Whole(),
    "num_heads": Whole(),
    "block_size": Whole(),
    "batch_size": Whole(),
    "steps": Whole(0),
    "budget_gb": Number(or_none=True),
}
_FURTHER_GRID = PartOf({**_GRID, "compute_dtype": Text(COMPUTE_DTYPES)})

RULES: dict[str, Rule] = {
    "output_folder": Text(),
    # memory, runtime
    **_GRID,
    "more": ListOf(_FURTHER_GRID, may_be_empty=True),
    "compiled_for": ListOf(Text(), may_be_empty=True),
    "compiled": PartOf({**_FURTHER_GRID.rules, "more": ListOf(_FURTHER_GRID, may_be_empty=True)}),
    # the others
    "data": Text(may_be_empty=True),
    "seed": Whole(0, _LARGEST_SEED),
    "enformer_preset": Text(_presets_of("dense")),
    "enformer_checkpoint": Text(may_be_empty=True),
    "enformer_steps": Whole(0),
    "enformer_learning_rate": Number(),
    "enformer_attention_steps": Whole(0),
    "enformer_attention_learning_rate": Number(),
    "senformer_preset": Text(_presets_of("bigbird")),
    "senformer_steps": Whole(0),
    "senformer_learning_rate": Number(),
    "largest_trunk_cache_gb": Number(),
    "num_evaluations": Whole(),
    "num_validation_sequences": Whole(or_none=True),
    "num_test_sequences": Whole(or_none=True),
    "sequence_length_bp": Whole(),
    "context_length_bp": Whole(),
    "target_length": Whole(),
    "num_positions": Whole(2),
    "num_sequences": Whole(),
    "num_gradient_sequences": Whole(),
    "compared_length_bp": Whole(),
    "compared_lengths_bp": ListOf(Whole()),
    "compared_attention": ListOf(Text(_kinds_that_start_warm())),
    "compared_block_size": Whole(2),
    "compared_steps": Whole(0),
    "compared_learning_rate": Number(),
    "compared_further": ListOf(Text(FURTHER), may_be_empty=True),
    "num_seeds": Whole(most=100),
    "shown_sequence": Whole(0),
    "shown_tracks": ListOf(Text(), may_be_empty=True),
}
"""The rule of every parameter of every notebook, by name: a name means the same in all."""


def expect_parameters(values: Mapping[str, Any]) -> None:
    """Refuse parameters of a notebook that cannot be, alone or together.

    Args:
        values: All of its parameters.

    Raises:
        ValueError: The message names the parameter, its value and what was expected.
    """
    for name, value in values.items():
        if name not in RULES:
            raise ValueError(f"{name}={value!r}: no rule says what it may be, expected one")
        RULES[name].expect(name, value)
    if "sequence_lengths_bp" in values:
        _expect_possible_steps(values)
    if "sequence_length_bp" in values:
        _expect_lengths_of_models(values)


def measurements_of(values: Mapping[str, Any]) -> list[Measurement]:
    """The steps that a notebook measures.

    Args:
        values: All parameters of `memory` or `runtime`.

    Raises:
        ValueError: As `grid`.
    """
    beside = ("output_folder", "compiled_for", "compiled")
    return grid(**{name: value for name, value in values.items() if name not in beside})


def longest_input_bp(values: Mapping[str, Any]) -> int:
    """The longest input that a notebook's models are given, in base pairs.

    Args:
        values: All parameters of a notebook with models.
    """
    compared = [values.get("compared_length_bp", 0), *values.get("compared_lengths_bp", ())]
    return max(values["sequence_length_bp"], *compared)


def _expect_possible_steps(values: Mapping[str, Any]) -> None:
    measurements_of(values)
    if not values["compiled_for"]:
        return
    for name in values["compiled_for"]:
        try:
            card(name)
        except ValueError as error:
            raise ValueError(f"compiled_for: {error}") from None
    for name in ("attention", "num_transformer_layers", "sequence_lengths_bp", "channels"):
        if name not in values["compiled"]:
            raise ValueError(f"compiled={values['compiled']!r}, expected {name} among it")
    grid(**values["compiled"])


def _expect_lengths_of_models(values: Mapping[str, Any]) -> None:
    target_length = values["target_length"]
    for name in ("enformer_preset", "senformer_preset"):
        if name in values:
            config = preset(values[name], target_length=target_length)
            config.num_tokens(values["sequence_length_bp"])
    if "context_length_bp" in values:
        _expect_context(values)
    if "compared_length_bp" in values:
        _expect_compared_models(values)


def _expect_compared_models(values: Mapping[str, Any]) -> None:
    """Every model of a comparison takes the lengths that it is asked for."""
    config = preset(
        values["enformer_preset"],
        target_length=values["target_length"],
        block_size=values["compared_block_size"],
    )
    asked = [
        (config.replace(attention=kind), length_bp)
        for kind in values.get("compared_attention", ())
        for length_bp in (*values["compared_lengths_bp"], values["compared_length_bp"])
    ]
    if "compared_further" in values:
        changes = steps_to_senformer(config)
        for name in values["compared_further"]:
            changes += further_changes(name, config)
        asked += [
            (config.replace(**change.changes), values["compared_length_bp"]) for change in changes
        ]
    for model, length_bp in asked:
        try:
            model.num_tokens(length_bp)
        except ValueError as error:
            raise ValueError(f"compared: {error}, in blocks of {model.block_size} tokens") from None


def _expect_context(values: Mapping[str, Any]) -> None:
    """A central part of the input, of which both strands have the same middle."""
    length_bp, context_length_bp = values["sequence_length_bp"], values["context_length_bp"]
    if context_length_bp > length_bp:
        raise ValueError(
            f"context_length_bp={context_length_bp}, expected at most "
            f"sequence_length_bp={length_bp}, of which it is a part"
        )
    config = preset(values["enformer_preset"], target_length=values["target_length"])
    try:
        config.num_tokens(context_length_bp)
    except ValueError as error:
        raise ValueError(f"context_length_bp, as {error}") from None
    for length in (length_bp, context_length_bp):
        expect_same_middle(length, values["target_length"])
