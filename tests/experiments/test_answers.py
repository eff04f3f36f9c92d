"""The report's answers follow the numbers in its tables."""

import pandas as pd
import pytest

from senformer.experiments import answers
from senformer.experiments.finetuning.ablations import ENFORMER, PATTERN
from senformer.study import verdicts

LENGTHS_BP = (131_072, 196_608, 786_432)


def steps(value, **of_kind):
    return pd.DataFrame(
        [
            {
                "attention": kind,
                "trainable": "attention",
                "num_transformer_layers": layers,
                "sequence_length_bp": length_bp,
                value: number * layers,
            }
            for kind, numbers in of_kind.items()
            for length_bp, number in zip(LENGTHS_BP, numbers, strict=True)
            for layers in (1, 10)
        ]
    )


def test_memory_is_told_at_the_studys_length_and_at_the_longest_of_the_deepest_models():
    frame = steps(
        "peak_memory_gb",
        dense=(0.1, 0.2, 2.0),
        tiled=(0.1, 0.2, 0.5),
        bigbird_relative=(0.2, 0.15, 0.4),
    )
    assert answers.answer_memory(frame, "On a card") == (
        "A training step takes 1.50 GB with sparse attention and 2.00 GB with self-attention at "
        "196,608 bp, 4.00 GB and 20.0 GB at 786,432 bp, where self-attention in tiles takes "
        "5.00 GB. It saves from 196,608 bp on. (On a card.)"
    )


def test_tiles_that_did_not_run_at_the_longest_are_not_told_of():
    nan = float("nan")
    dense, sparse = (0.1, 0.2, 2.0), (0.2, 0.15, 0.4)
    for value, answer in (
        ("peak_memory_gb", answers.answer_memory),
        ("step_seconds", answers.answer_runtime),
    ):
        frame = steps(value, dense=dense, tiled=(0.1, 0.2, nan), bigbird_relative=sparse)
        assert answer(frame, "On a card") == answer(
            frame[frame["attention"] != "tiled"], "On a card"
        )


def test_time_is_told_beside_that_of_self_attention():
    frame = steps("step_seconds", dense=(1.0, 1.0, 4.0), bigbird=(2.0, 1.5, 5.0))
    assert answers.answer_runtime(frame, "On a card") == (
        "Beside one with self-attention, a training step with sparse attention takes 1.50 times as "
        "long at 196,608 bp, 1.25 times as long at 786,432 bp. At the longest it saves nothing. "
        "(On a card.)"
    )


@pytest.fixture
def costs():
    return pd.DataFrame(
        [
            {
                "model": model,
                "when": when,
                "measure": measure,
                "pearson_r": 0.6 - loss,
                "pearson_r_drop": loss,
                "pearson_r_drop_low": loss - 0.01,
                "pearson_r_drop_high": loss + 0.01,
            }
            for measure in ("CAGE", "CAGE over promoters")
            for when, later in (("before", 0.1), ("after", 0.0))
            for model, loss in (
                (ENFORMER, 0.0),
                (PATTERN, 0.2 + later),
                ("biases: S-Enformer", 0.4 + later),
            )
        ]
    )


def test_accuracy_is_of_the_measure_that_tells_most_of_regulation(costs):
    assert answers.describe_pattern_drop(costs) == (
        "Of Enformer's r of CAGE over promoters, 0.600, BigBird's pattern costs 0.200 (0.190 to "
        "0.210), trained alike."
    )
    assert answers.describe_warm_start(costs) == (
        "With its own weights and fewer keys it loses 0.300 (0.290 to 0.310) of r before any "
        "training and 0.200 (0.190 to 0.210) after it; with new attention layers, trained alike, "
        "0.400 (0.390 to 0.410)."
    )


def test_an_answer_leads_to_the_verdicts_on_its_topic():
    row = verdicts.Judgement("receptive_field.full", verdicts.THIS_CODE, "x", verdicts.AGREES, "")
    shown = answers.show_answer("So it is.", verdicts.table([row]), "receptive_field").data
    assert shown == (
        "So it is.\n\nOf the study's 3 findings on this, [1 agrees, 2 were not measured]"
        "(#verdicts-receptive-field)."
    )


def test_use_reaches_to_the_first_band_that_is_not_told_from_nothing():
    shares = {
        "ceiling": (1.0, 0.9, 0.4, 0.0),
        "dense": (0.8, 0.5, 0.1, 0.3),  # the last by chance
        "local": (0.1, 0.3, 0.0, 0.0),
    }
    used = pd.DataFrame(
        [
            {
                "attention": kind,
                "sequence_length_bp": 65_536,
                "nearest_bp": nearest_bp,
                "farthest_bp": nearest_bp + 8_192,
                "share_used": share,
                "share_low": share - 0.2,
            }
            for kind, of_kind in shares.items()
            for nearest_bp, share in zip((0, 8_192, 16_384, 24_576), of_kind, strict=True)
        ]
    )
    assert answers.answer_receptive_field(used) == (
        "Given 65,536 bp, enhancers are used "
        "by `dense` up to 16,384 bp away (50% to 80% by band); by `local` nowhere."
    )
