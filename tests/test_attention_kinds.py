"""A kind of attention is one row: a new row is modelled, measured, drawn, planned and offered."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from senformer import attention_kinds
from senformer.attention_kinds import KINDS, AttentionKind
from senformer.config import ModelConfig, preset
from senformer.experiments.finetuning import ablations
from senformer.experiments.memory_and_time import measurements, planner
from senformer.experiments.memory_and_time.grid import Measurement, command_line_options
from senformer.experiments.receptive_field import pattern
from senformer.model.attention.layer import AttentionLayer
from senformer.model.enformer import Enformer, attention_variables
from senformer.report.figures import cost
from senformer.study import cost_judges
from senformer.study.judges import judge_claims

TOY = "toy"
LENGTH_BP = 10_240


class MeanAttention(AttentionLayer):
    """Give every token the mean of all tokens, scaled by one weight per channel."""

    def __init__(self, config, layer, generator, name):
        super().__init__(name=name)
        self.scale = tf.Variable(tf.ones([config.channels]), name="scale")

    def __call__(self, x, position_features, dropout_seeds=None, residuals=None):
        return self.scale * tf.reduce_mean(x, axis=1, keepdims=True) + tf.zeros_like(x)


@pytest.fixture
def toy(monkeypatch):
    kind = AttentionKind(
        label="toy (a mean)",
        color="#123456",
        symbol="hexagon",
        pattern="mean",
        minimum_blocks=2,
        ablation="means",
        layer=f"{__name__}:MeanAttention",
        num_parameters=lambda sizes: sizes.channels,
    )
    monkeypatch.setitem(KINDS, TOY, kind)
    return kind


def toy_config(**changes):
    sizes = {"channels": 256, "num_transformer_layers": 1, "num_heads": 4, "block_size": 16}
    return ModelConfig(**{"attention": TOY, "target_length": 16, **sizes, **changes})


def measured_rows(kinds=(TOY, "dense")):
    """Make up peaks of a step, linear in the length."""
    return pd.DataFrame(
        {
            "attention": kind,
            "trainable": "attention",
            "num_transformer_layers": 1,
            "channels": 256,
            "batch_size": 1,
            "compute_dtype": "float32",
            "sequence_length_bp": length,
            "peak_memory_gb": 1 + length / 1e6,
            "resident_memory_gb": 0.5,
            "status": "ok",
            "budget_gb": None,
            "device": "made up",
        }
        for kind in kinds
        for length in (16_384, 32_768, 65_536, 131_072)
    )


def test_row_makes_a_trainable_model(toy):
    model = Enformer(toy_config(tracks={"human": 2}))
    sequence = tf.one_hot(np.random.default_rng(0).integers(0, 4, [1, LENGTH_BP]), 4)
    with tf.GradientTape() as tape:
        predicted = model(sequence, is_training=True)["human"]
    [gradient] = tape.gradient(predicted, attention_variables(model))
    assert predicted.shape == [1, 16, 2] and np.abs(gradient).max() > 0
    assert planner.num_parameters(model.config)["attention"] == gradient.shape.num_elements()


def test_row_sets_the_lengths(toy):
    assert toy_config().sequence_multiple_bp == 16 * 128
    assert toy_config().minimum_tokens == 32
    with pytest.raises(ValueError, match="multiple of 2048 bp for toy attention"):
        toy_config().num_tokens(16 * 128 + 128)


def test_row_is_measured(toy):
    measurement = Measurement(
        attention=TOY,
        num_transformer_layers=1,
        channels=256,
        sequence_length_bp=LENGTH_BP,
        num_heads=4,
        block_size=16,
        steps=0,
    )
    row = measurements.measure_here(measurement)
    assert row["status"] == "ok" and row["attention"] == TOY and row["peak_memory_gb"] > 0
    assert "--attention toy" in command_line_options(measurement)


def test_row_is_drawn(toy):
    figure = cost.memory(measured_rows())
    traces = [trace for trace in figure.data if trace.name == toy.label]
    assert {trace.line.color or trace.marker.color for trace in traces} == {toy.color}
    assert set(traces[0].marker.symbol) == {toy.symbol}


def test_row_is_planned(toy):
    fitted = planner.fit_memory(measured_rows())
    step = planner.PlannedStep(
        TOY, "attention", sequence_length_bp=65_536, num_transformer_layers=1, channels=256
    )
    predicted = planner.predict_peak_gb(fitted, step)
    assert predicted == pytest.approx(1 + 65_536 / 1e6, rel=0.02)


def test_row_is_an_ablation(toy):
    others = ablations.further_ablations("other attentions", preset("enformer"))
    [ablation] = [x for x in others if x.name == "means"]
    assert ablation.config_fields["attention"] == TOY


@pytest.mark.parametrize("name", KINDS)
def test_row_counts_the_layers_parameters(name):
    model = Enformer(preset("enformer_tiny", attention=name, tracks={"human": 1}))
    counted = sum(v.shape.num_elements() for v in attention_variables(model))
    assert planner.num_parameters(model.config)["attention"] == counted


def test_row_changes_no_verdict(toy):
    nothing = measured_rows().iloc[:0].assign(argument_gb=0.0)
    pd.testing.assert_frame_equal(
        judge_claims("memory", cost_judges.memory_tables(measured_rows(), nothing, nothing)),
        judge_claims(
            "memory", cost_judges.memory_tables(measured_rows(["dense"]), nothing, nothing)
        ),
    )


def test_row_is_a_command_line_choice():
    script = (
        "from senformer.attention_kinds import KINDS; KINDS['toy'] = KINDS['dense'];"
        "from senformer.cli import app; app(['measure', '--help'])"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "toy" in shown.stdout, shown.stderr


def test_unknown_pattern_has_no_map(toy):
    with pytest.raises(ValueError, match="attention='toy', expected one of dense, tiled"):
        pattern.attention_patterns(toy_config(), LENGTH_BP)


@pytest.mark.parametrize(
    "use",
    [
        attention_kinds.attention_kind,
        lambda name: ModelConfig(attention=name),
        lambda name: cost.memory(measured_rows([name])),
        lambda name: planner.fit_memory(measured_rows([name])),
    ],
    ids=["table", "config", "figures", "planner"],
)
def test_unknown_kind_is_rejected(use):
    with pytest.raises(ValueError, match=r"attention='unheard', expected one of dense, tiled"):
        use("unheard")
