"""Models and sequences small enough to scan, for the tests of the receptive field."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from senformer.config import preset
from senformer.experiments.receptive_field.passes import Variants, full_passes
from senformer.experiments.receptive_field.scan import mutation_effects
from senformer.model.enformer import Enformer

LENGTH = 8 * 128

BINS = 4  # the central ones of 8

WEIGHTS = np.array([1.0, 2.0, 4.0, 8.0], np.float32)


def local(sequence: np.ndarray) -> np.ndarray:
    """Predict from each bin's own bases alone: two tracks, one the negative double of the other."""
    scores = sequence.reshape(len(sequence), 8, 128, 4)[:, 2:6].sum(axis=2) @ WEIGHTS
    return np.stack([scores, -2 * scores], axis=-1)  # [batch, bins, tracks]


ARGUMENTS = {
    "sequence_length_bp": LENGTH,
    "positions_bp": [0, 300, 639],
    "num_sequences": 5,
    "seed": 1,
}


def effects(predict=local, batch_size=1, **changed):
    return mutation_effects(full_passes(predict, batch_size=batch_size), **{**ARGUMENTS, **changed})


def model_of(kind: str, num_layers: int = 2, **changed) -> Enformer:
    """A tiny model whose attention is not its zero start, so that bases reach far."""
    config = preset(
        "enformer_tiny",
        attention=kind,
        num_transformer_layers=num_layers,
        target_length=8,
        tracks={"human": 3, "mouse": 2},
    ).replace(**changed)
    model = Enformer(config)
    generator = tf.random.Generator.from_seed(1)
    for block in model.transformer:
        block.attention.output.w.assign(generator.normal(block.attention.output.w.shape) * 0.2)
    return model


def predictor(model: Enformer):
    return lambda sequence: model.predict_on_batch(sequence)["human"].numpy()


def variants_of(tokens: int, positions: list[int]) -> Variants:
    bases = np.random.default_rng(tokens).integers(4, size=tokens * 128)
    sequence = np.eye(4, dtype=np.float32)[bases]
    return Variants(sequence, np.array(positions), np.roll(sequence[positions], 1, axis=-1))
