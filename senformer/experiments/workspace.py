"""Give a notebook what its run shares: records, models, the run's folder and result tables."""

from __future__ import annotations

import functools
import gc
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple, cast

import pandas as pd

from senformer.config import STARTS, ModelConfig, expect_one_of, preset
from senformer.data.record_folders import RecordFolder
from senformer.evaluation.resampling import NUM_RESAMPLINGS
from senformer.evaluation.track_accuracy import evaluate_track_types
from senformer.experiments import run_data
from senformer.experiments.parameters import (
    TABLES_FOLDER,
    EnformerParameters,
    NotebookParameters,
    SenformerParameters,
)
from senformer.experiments.provenance import describe_run
from senformer.experiments.run_data import HEAD, TEST_SPLIT, VALIDATION_SPLIT
from senformer.model import checkpoints
from senformer.model.enformer import Enformer, attention_variables
from senformer.model.weights import sonnet
from senformer.report import results
from senformer.training import train
from senformer.training.identity import digest_values
from senformer.training.trunk_cache import count_token_bytes

NEW_ATTENTION, WARM_START = STARTS


class Finetuned(NamedTuple):
    """Hold a fine-tuned model and its accuracy during the training.

    Attributes:
        model: The model.
        accuracy: Its accuracy on validation records: `step`, and the columns of
            `Workspace.validation_accuracy`.
    """

    model: Enformer
    accuracy: pd.DataFrame


class ResultFolder:
    """Save the tables of a notebook's run, all with one provenance.

    Attributes:
        parameters: The notebook's parameters.
        folder: The run's folder.
    """

    def __init__(
        self, parameters: NotebookParameters, *, seed: int = 0, data: str = "random sequence"
    ) -> None:
        self.parameters = parameters
        self.folder = Path(parameters.output_folder)
        self._seed, self._data = seed, data

    @functools.cached_property
    def provenance(self) -> dict[str, Any]:
        """Describe what the run's results came from, once for all of its tables."""
        values = self.parameters.model_dump()
        return describe_run(parameters=values, seed=self._seed, data=self._data)

    def save_table(
        self, name: str, frame: pd.DataFrame, *, data: str | None = None
    ) -> pd.DataFrame:
        """Save a table with the run's provenance, and return it as `results.read` reads it.

        Args:
            name: Name of the file, without `.csv`, in the run's folder or that of `TABLES_FOLDER`.
            frame: The table.
            data: Description of the table's data, if it differs from the run's.

        Raises:
            OSError: If the file cannot be written.
        """
        provenance = self.provenance | ({"data": data} if data else {})
        folder = Path(os.environ.get(TABLES_FOLDER, self.folder))
        return results.read(results.write(frame, folder / f"{name}.csv", provenance))


class Workspace(ResultFolder):
    """Give a notebook the records and models of its run.

    The first notebook that needs a model trains it; later ones read its checkpoint from the folder
    `models` of the run. A training that was interrupted resumes.

    Attributes:
        parameters: The notebook's parameters.
        folder: The run's folder.
        sequences_at_once: Sequences per device in a step that trains the attention; see
            `TrainingPlan`.

    Raises:
        FileNotFoundError: By `records` or the models, if a file is missing.
        ValueError: By `records` or the models, if a file is damaged, or records and model do not
            fit each other.
        OSError: By the models, if a file cannot be written.
    """

    parameters: EnformerParameters

    def __init__(
        self, parameters: EnformerParameters, *, sequences_at_once: int | None = None
    ) -> None:
        data = run_data.name_of_data(parameters.data)
        super().__init__(parameters, seed=parameters.seed, data=data)
        self.sequences_at_once = sequences_at_once

    @functools.cached_property
    def records(self) -> dict[str, RecordFolder]:
        """Open the run's records by head, simulated ones if the run has no folder of records."""
        return run_data.open_data(self.parameters.data, self.folder, seed=self.parameters.seed)

    @property
    def human(self) -> RecordFolder:
        """Return the records of the head that is evaluated."""
        return self.records[HEAD]

    @property
    def num_test_sequences(self) -> int:
        """Number of human test records that the notebook evaluates."""
        return len(self.human.intervals_of(TEST_SPLIT)[: self.parameters.num_test_sequences])

    def enformer(self) -> Enformer:
        """Return the run's Enformer, with published weights or trained on the run's records."""
        return self._enformer

    @functools.cached_property
    def _enformer(self) -> Enformer:
        p = self.parameters
        tracks = {head: folder.num_tracks for head, folder in self.records.items()}
        config = p.enformer_config.replace(tracks=tracks)
        if p.enformer_checkpoint:
            return sonnet.load_sonnet(p.enformer_checkpoint, config)
        model = Enformer(config, seed=p.seed)
        whole = self._plan(p.enformer_steps, p.enformer_learning_rate, trainable="all")
        checkpoint = self._checkpoint(f"{p.enformer_preset}-all", model, whole)
        train.train(model, self.records, whole, checkpoint=checkpoint)
        attention = self._plan(p.enformer_attention_steps, p.enformer_attention_learning_rate)
        train.train(
            model,
            self.records,
            attention,
            trunk_cache=self.trunk_folder(model),
            checkpoint=self._checkpoint(f"{p.enformer_preset}-attention", model, attention),
        )
        return model

    def senformer(self, start: str = NEW_ATTENTION) -> Finetuned:
        """Return one of the run's S-Enformers: Enformer with sparse attention, fine-tuned.

        The training changes only the attention.

        Args:
            start: One of `config.STARTS`; see `untrained_senformer`.
        """
        model, p = self.untrained_senformer(start), self._senformer_parameters
        plan = self._plan(p.senformer_steps, p.senformer_learning_rate)
        checkpoint = self._checkpoint(
            f"{p.senformer_preset}-{start.replace(' ', '-')}",
            model,
            plan,
            num_evaluations=p.num_evaluations,
            num_validation_sequences=p.num_validation_sequences,
            num_resamplings=NUM_RESAMPLINGS,
        )
        training = train.train(
            model,
            self.records,
            plan,
            trunk_cache=self.trunk_folder(model),
            checkpoint=checkpoint,
            evaluation=train.Evaluation(
                self.validation_accuracy,
                every=max(1, p.senformer_steps // p.num_evaluations),
            ),
        )
        return Finetuned(model, training.validation)

    def untrained_senformer(self, start: str) -> Enformer:
        """Return one of the run's S-Enformers before its fine-tuning.

        Args:
            start: `new attention` is the study's: all of Enformer except the attention layers,
                which are BigBird's and random. `warm start` keeps every weight of Enformer, and
                BigBird's pattern restricts the keys of each query.

        Raises:
            ValueError: If the start is unknown, or the presets differ in more than attention.
        """
        expect_one_of("start", start, STARTS)
        enformer, p = self.enformer(), self._senformer_parameters
        if start == NEW_ATTENTION:
            config = preset(
                p.senformer_preset,
                tracks=enformer.config.tracks,
                target_length=p.target_length,
                random_block_seed=p.seed,
            )
        else:
            config = enformer.config.replace(attention="bigbird_relative", random_block_seed=p.seed)
        return started_from(enformer, config, start, seed=p.seed)

    def validation_accuracy(self, model: Enformer) -> pd.DataFrame:
        """Measure a model's accuracy on the run's validation records, by track type."""
        p = self._senformer_parameters
        evaluated = evaluate_track_types(
            model,
            self.human,
            VALIDATION_SPLIT,
            sequence_length_bp=p.sequence_length_bp,
            num_sequences=p.num_validation_sequences,
        )
        return evaluated.table.drop(columns="num_undefined")

    @property
    def _senformer_parameters(self) -> SenformerParameters:
        return cast(SenformerParameters, self.parameters)

    def trunk_folder(self, model: Enformer, sequence_length_bp: int | None = None) -> Path | None:
        """Return the folder for a frozen trunk's tokens, or None if they are too large.

        Args:
            model: The model with the trunk. Its heads select the records.
            sequence_length_bp: Length of the input, by default that of the run's models.
        """
        length_bp = sequence_length_bp or self.parameters.sequence_length_bp
        largest_gb = self.parameters.largest_trunk_cache_gb
        num_records = sum(len(self.records[head].intervals_of("train")) for head in model.heads)
        size_gb = num_records * count_token_bytes(model.config, length_bp) / 1e9
        if size_gb <= largest_gb:
            return self.folder / "trunk"
        print(
            f"each step computes the trunk: its tokens would take {size_gb:,.3g} GB, more than "
            f"largest_trunk_cache_gb={largest_gb:g}; with the tokens a step computes only the "
            "transformer",
            file=sys.stderr,
        )
        return None

    def _plan(
        self, steps: int, learning_rate: float, trainable: str = "attention"
    ) -> train.TrainingPlan:
        p = self.parameters
        return train.TrainingPlan(
            steps=steps,
            sequence_length_bp=p.sequence_length_bp,
            trainable=trainable,
            learning_rate=learning_rate,
            batch_size=p.batch_size,
            sequences_at_once=self.sequences_at_once if trainable == "attention" else None,
            seed=p.seed,
        )

    def _checkpoint(
        self, name: str, model: Enformer, plan: train.TrainingPlan, **evaluation: int | None
    ) -> Path:
        """Return a checkpoint's path, which is a function of all that decides its contents.

        These are the contents of the records, the model with its initial weights, the plan, how
        the training evaluates the model, and the format of the file. So a notebook finds what
        another made from equal inputs, wherever the records are, and never a model of records
        that were replaced since.
        """
        decisive = train.describe_run(model, self.records, plan)
        decisive |= {"steps": plan.steps, "format": checkpoints.FORMAT, **evaluation}
        return self.folder / "models" / f"{name}-{digest_values(decisive)}.safetensors"


def started_from(enformer: Enformer, config: ModelConfig, start: str, *, seed: int) -> Enformer:
    """Return a model with Enformer's weights that differs from Enformer only in its attention.

    Args:
        enformer: The model that provides the weights.
        config: Configuration of the new model.
        start: One of `config.STARTS`: whether the attention keeps Enformer's weights too.
        seed: Seed of the run; the new model's random weights use `seed + 1`.

    Raises:
        ValueError: If the start is unknown, or the model has variables outside of new attention
            that Enformer lacks.
    """
    expect_one_of("start", start, STARTS)
    # A model and its compiled functions refer to each other, and Python collects such cycles late:
    # at the study's size a comparison of models would fill 24 GB before that.
    gc.collect()
    model = Enformer(config, seed=seed + 1)
    kept = attention_variables(model) if start == NEW_ATTENTION else ()
    checkpoints.copy_weights(enformer, model, kept=kept)
    return model
