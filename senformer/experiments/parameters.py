"""Declare the parameters of every notebook: names, types, bounds and defaults.

A name means the same in all notebooks. The classes check values before any work begins, alone and
together, because a run of hours uses some parameters only at its end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from senformer.attention_kinds import KINDS
from senformer.config import (
    PRESETS,
    TRAINABLE_SETS,
    ModelConfig,
    NonNegativeInteger,
    NonNegativeNumber,
    Options,
    PositiveInteger,
    accept_only,
    preset,
)
from senformer.evaluation.averaging import expect_same_middle
from senformer.experiments.compiling import cards
from senformer.experiments.finetuning.ablations import (
    FURTHER_ABLATIONS,
    further_ablations,
    steps_to_senformer,
)
from senformer.experiments.memory_and_time.grid import Measurement, grid

TABLES_FOLDER = "SENFORMER_TABLES_FOLDER"
"""Variable that names the folder for a notebook's tables, by default the run's; see
`workflow.notebooks.run`."""


def _check_distinct(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError("expected each value once")
    return values


def _check_card(name: str) -> str:
    cards.load_card(name)
    return name


_Distinct = AfterValidator(_check_distinct)
_Text = Annotated[str, Field(min_length=1)]
_Kind = Annotated[str, accept_only(KINDS)]
_WarmKind = Annotated[
    str, accept_only([k for k, kind in KINDS.items() if kind.takes_enformers_weights])
]
_Integers = Annotated[list[PositiveInteger], Field(min_length=1), _Distinct]


def _presets(attention: str) -> list[str]:
    return [name for name, config in PRESETS.items() if config.attention == attention]


class NotebookParameters(Options):
    """Declare what all notebooks have.

    Attributes:
        output_folder: The run's folder, relative to `notebooks/`.
    """

    output_folder: _Text = "../runs/interactive"


class MeasuringParameters(NotebookParameters):
    """Declare which training steps `memory` and `runtime` measure and compile.

    Attributes:
        attention: Kinds of attention.
        num_transformer_layers: Numbers of layers.
        sequence_lengths_bp: Lengths of the input.
        trainable: Sets of variables that the step trains.
        channels: Width of the transformer.
        num_heads: Attention heads.
        block_size: Tokens per block of sparse attention.
        batch_size: Sequences per step.
        steps: Timed steps after the first; 0 measures memory only.
        budget_gb: Memory limit of a measurement; None is all that the device has.
        more: Further grids; each names what differs from the values above.
        compiled_for: Names of the cards that steps are compiled for.
        compiled: The grid of compiled steps.
    """

    attention: Annotated[list[_Kind], Field(min_length=1), _Distinct] = ["dense", "bigbird"]
    num_transformer_layers: _Integers = [1, 2]
    sequence_lengths_bp: _Integers = [16_384, 32_768, 65_536]
    trainable: Annotated[
        list[Annotated[str, accept_only(TRAINABLE_SETS)]], Field(min_length=1), _Distinct
    ] = ["attention"]
    channels: PositiveInteger = 256
    num_heads: PositiveInteger = 4
    block_size: PositiveInteger = 16
    batch_size: PositiveInteger = 1
    steps: NonNegativeInteger = 3
    budget_gb: NonNegativeNumber | None = None
    more: list[dict[str, Any]] = [{"compute_dtype": "bfloat16", "sequence_lengths_bp": [65_536]}]
    compiled_for: Annotated[list[Annotated[str, AfterValidator(_check_card)]], _Distinct] = []
    compiled: dict[str, Any] = {}

    @property
    def measurements(self) -> list[Measurement]:
        """Return the training steps to measure on this device."""
        return grid(**self.model_dump(exclude={"output_folder", "compiled_for", "compiled"}))

    @property
    def compiled_steps(self) -> list[Measurement]:
        """Return the training steps to compile for the cards of `compiled_for`."""
        return grid(**self.compiled) if self.compiled_for else []

    @model_validator(mode="after")
    def _check_grids(self) -> MeasuringParameters:
        for name in ("measurements", "compiled_steps"):
            try:
                getattr(self, name)
            except TypeError as error:  # an argument is unknown, missing or no list
                raise ValueError(f"{name}: {error}") from None
        return self


class EnformerParameters(NotebookParameters):
    """Declare which records a run uses and how it makes its Enformer.

    Notebooks with equal values share the model.

    Attributes:
        data: Folder of real records; empty for simulated ones.
        seed: Seed of initial weights, batches, dropout and random blocks.
        enformer_preset: The model.
        enformer_checkpoint: Its weights, a Sonnet checkpoint without `.index`; empty to train it.
        enformer_steps: Training steps with all variables.
        enformer_learning_rate: Learning rate of those steps.
        enformer_attention_steps: Further steps that train only the attention. On simulated records
            a small model learns nearby effects in the first steps and distant ones only here,
            where a step is cheap because the trunk's tokens are kept.
        enformer_attention_learning_rate: Learning rate of the further steps.
        sequence_length_bp: Length of the input.
        target_length: Predicted bins of 128 bp.
        batch_size: Sequences per organism and step.
        largest_trunk_cache_gb: Up to this size the run's folder keeps the tokens of the frozen
            trunk, and a step computes only the transformer. All of Basenji2 takes 600 GB at
            Enformer's size. The value changes no weight.
        num_test_sequences: Test records to evaluate on; None is all.
    """

    data: str = ""
    seed: Annotated[NonNegativeInteger, Field(lt=2**31 - 1)] = 0  # seed + 1 is another model's
    enformer_preset: Annotated[str, accept_only(_presets("dense"))] = "enformer_tiny"
    enformer_checkpoint: str = ""
    enformer_steps: NonNegativeInteger = 60
    enformer_learning_rate: NonNegativeNumber = 1e-3
    enformer_attention_steps: NonNegativeInteger = 100
    enformer_attention_learning_rate: NonNegativeNumber = 1e-3
    sequence_length_bp: PositiveInteger = 32_768
    target_length: PositiveInteger = 192
    batch_size: PositiveInteger = 1
    largest_trunk_cache_gb: NonNegativeNumber = 4.0
    num_test_sequences: PositiveInteger | None = None

    @property
    def enformer_config(self) -> ModelConfig:
        """Return the configuration of the run's Enformer, with Basenji2's tracks."""
        return preset(self.enformer_preset, target_length=self.target_length)

    @property
    def longest_input_bp(self) -> int:
        """Return the length of the longest input of any of the notebook's models."""
        return self.sequence_length_bp

    @model_validator(mode="after")
    def _check_input_of_enformer(self) -> EnformerParameters:
        self.enformer_config.num_tokens(self.sequence_length_bp)
        return self


class SenformerParameters(EnformerParameters):
    """Declare how a run makes its S-Enformers from its Enformer.

    Attributes:
        senformer_preset: The model: Enformer's sizes with another attention.
        senformer_steps: Fine-tuning steps, which train only the attention.
        senformer_learning_rate: Learning rate of the fine-tuning.
        num_evaluations: Number of times that the fine-tuning measures accuracy.
        num_validation_sequences: Validation records of these measurements; None is all.
    """

    senformer_preset: Annotated[str, accept_only(_presets("bigbird"))] = "senformer_tiny"
    senformer_steps: NonNegativeInteger = 60
    senformer_learning_rate: NonNegativeNumber = 1e-3
    num_evaluations: PositiveInteger = 6
    num_validation_sequences: PositiveInteger | None = None

    @model_validator(mode="after")
    def _check_input_of_senformer(self) -> SenformerParameters:
        config = preset(self.senformer_preset, target_length=self.target_length)
        config.num_tokens(self.sequence_length_bp)
        return self


class ComparisonParameters(SenformerParameters):
    """Declare how a run trains the models that it compares.

    Attributes:
        compared_length_bp: Length of their input.
        compared_block_size: Tokens per block of their attention.
        compared_steps: Training steps of each model.
        compared_learning_rate: Learning rate of the first step.
        num_seeds: Number of trainings of each model.
    """

    compared_length_bp: PositiveInteger = 65_536
    compared_block_size: Annotated[PositiveInteger, Field(ge=2)] = 16
    compared_steps: NonNegativeInteger = 60
    compared_learning_rate: NonNegativeNumber = 1e-3
    num_seeds: Annotated[PositiveInteger, Field(le=100)] = 1

    @property
    def compared_config(self) -> ModelConfig:
        """Return the configuration of the Enformer that the compared models differ from."""
        return self.enformer_config.replace(block_size=self.compared_block_size)

    @property
    def seeds(self) -> range:
        """Return one seed per training of each model."""
        return range(self.seed, self.seed + self.num_seeds)

    @property
    def longest_input_bp(self) -> int:
        """Return the length of the longest input of any of the notebook's models."""
        return max(self.sequence_length_bp, self.compared_length_bp)


class ReproductionParameters(EnformerParameters):
    """Declare the parameters of `reproduction`.

    Attributes:
        context_length_bp: Length of the shorter input that is compared, at most
            `sequence_length_bp`.
    """

    context_length_bp: PositiveInteger = 24_576

    @model_validator(mode="after")
    def _check_context(self) -> ReproductionParameters:
        if self.context_length_bp > self.sequence_length_bp:
            raise ValueError(
                f"context_length_bp={self.context_length_bp}, expected at most "
                f"sequence_length_bp={self.sequence_length_bp}"
            )
        try:
            self.enformer_config.num_tokens(self.context_length_bp)
        except ValueError as error:
            raise ValueError(f"context_length_bp: {error}") from None
        for length_bp in (self.sequence_length_bp, self.context_length_bp):
            expect_same_middle(length_bp, self.target_length)
        return self


class FinetuningParameters(ComparisonParameters):
    """Declare the parameters of `finetuning`.

    Attributes:
        compared_further: Groups of ablations that are compared besides those between Enformer and
            S-Enformer.
    """

    compared_further: Annotated[list[Annotated[str, accept_only(FURTHER_ABLATIONS)]], _Distinct] = [
        "fewer keys"
    ]

    @model_validator(mode="after")
    def _check_ablations(self) -> FinetuningParameters:
        ablations = steps_to_senformer(self.compared_config)
        for name in self.compared_further:
            ablations += further_ablations(name, self.compared_config)
        models = [self.compared_config.replace(**ablation.config_fields) for ablation in ablations]
        _check_inputs(models, [self.compared_length_bp])
        return self


class CorrelationParameters(SenformerParameters):
    """Declare the parameters of `correlation`.

    Attributes:
        shown_sequence: Index of the test record whose tracks are drawn.
        shown_tracks: Identifiers or descriptions of these tracks; empty for random ones.
    """

    shown_sequence: NonNegativeInteger = 0
    shown_tracks: Annotated[list[_Text], _Distinct] = []


class ReceptiveFieldParameters(ComparisonParameters):
    """Declare the parameters of `receptive_field`.

    Attributes:
        num_positions: Mutated positions per sequence.
        num_sequences: Random sequences whose bases are mutated.
        num_gradient_sequences: Random sequences whose gradients are taken.
        compared_attention: Kinds of attention that are compared at several lengths.
        compared_lengths_bp: These lengths.
    """

    num_positions: Annotated[PositiveInteger, Field(ge=2)] = 9
    num_sequences: PositiveInteger = 3
    num_gradient_sequences: PositiveInteger = 1
    compared_attention: Annotated[list[_WarmKind], Field(min_length=1), _Distinct] = [
        "dense",
        "bigbird_relative",
    ]
    compared_lengths_bp: _Integers = [32_768, 65_536]

    @property
    def longest_input_bp(self) -> int:
        """Return the length of the longest input of any of the notebook's models."""
        return max(super().longest_input_bp, *self.compared_lengths_bp)

    @model_validator(mode="after")
    def _check_compared_lengths(self) -> ReceptiveFieldParameters:
        models = [self.compared_config.replace(attention=kind) for kind in self.compared_attention]
        _check_inputs(models, [*self.compared_lengths_bp, self.compared_length_bp])
        return self


PARAMETERS: dict[str, type[NotebookParameters]] = {
    "memory": MeasuringParameters,
    "runtime": MeasuringParameters,
    "reproduction": ReproductionParameters,
    "finetuning": FinetuningParameters,
    "correlation": CorrelationParameters,
    "receptive_field": ReceptiveFieldParameters,
}
"""The parameters of each notebook, in the order in which the report asks its questions."""


def _check_inputs(models: Iterable[ModelConfig], lengths_bp: Iterable[int]) -> None:
    """Check that each of the compared models accepts inputs of each length."""
    for config in models:
        for length_bp in lengths_bp:
            try:
                config.num_tokens(length_bp)
            except ValueError as error:
                raise ValueError(
                    f"compared models: {error}, in blocks of {config.block_size} tokens"
                ) from None
