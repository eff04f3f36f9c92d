"""Models and sequences small enough to scan, for the tests of the receptive field."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from senformer.config import preset
from senformer.experiments.receptive_field.passes import Variants, full_passes
from senformer.experiments.receptive_field.scan import ScanPlan, mutation_effects
from senformer.model.enformer import Enformer

LENGTH = 8 * 128

BASE_SCORES = np.array([1.0, 2.0, 4.0, 8.0], np.float32)

PLAN = {"sequence_length_bp": LENGTH, "positions_bp": [0, 300, 639], "num_sequences": 5, "seed": 1}


def predict_locally(sequence: np.ndarray) -> np.ndarray:
    """Predict two tracks of the 4 central bins from their own bases: a score and -2 times it."""
    by_bin = sequence.reshape(len(sequence), 8, 128, 4)[:, 2:6]
    scores = by_bin.sum(axis=2) @ BASE_SCORES
    return np.stack([scores, -2 * scores], axis=-1)  # [batch, bins, tracks]


def effects(predict=predict_locally, batch_size=1, **settings):
    plan = ScanPlan(**{**PLAN, **settings})
    return mutation_effects(full_passes(predict, batch_size=batch_size), plan)


def make_model(kind: str, num_layers: int = 2, **settings) -> Enformer:
    """Return a tiny model whose attention outputs are not zero, so that bases reach far."""
    config = preset(
        "enformer_tiny",
        attention=kind,
        num_transformer_layers=num_layers,
        target_length=8,
        tracks={"human": 3, "mouse": 2},
    ).replace(**settings)
    model = Enformer(config)
    generator = tf.random.Generator.from_seed(1)
    for block in model.transformer:
        block.attention.output.w.assign(generator.normal(block.attention.output.w.shape) * 0.2)
    return model


def make_variants(tokens: int, positions: list[int]) -> Variants:
    bases = np.random.default_rng(tokens).integers(4, size=tokens * 128)
    sequence = np.eye(4, dtype=np.float32)[bases]
    return Variants(sequence, np.array(positions), np.roll(sequence[positions], 1, axis=-1))
