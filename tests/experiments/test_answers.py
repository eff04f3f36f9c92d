"""Check that the answers follow the numbers in the tables."""

import numpy as np
import pandas as pd
import pytest

from senformer.experiments import answers
from senformer.experiments.finetuning.ablations import PATTERN
from senformer.report.row_labels import ENFORMER
from senformer.study import verdicts

LENGTHS_BP = (131_072, 196_608, 786_432)
NAN = float("nan")


def steps(value, **numbers_by_kind):
    rows = [
        (kind, layers, length_bp, number * layers)
        for kind, numbers in numbers_by_kind.items()
        for length_bp, number in zip(LENGTHS_BP, numbers, strict=True)
        for layers in (1, 10)
    ]
    columns = ["attention", "num_transformer_layers", "sequence_length_bp", value]
    return pd.DataFrame(rows, columns=columns).assign(trainable="attention")


def test_answer_memory_uses_the_deepest_models():
    dense, sparse = (0.1, 0.2, 2.0), (0.2, 0.15, 0.4)
    frame = steps("peak_memory_gb", dense=dense, bigbird_relative=sparse, tiled=(0.1, 0.2, 0.5))
    assert answers.answer_memory(frame, "A card") == (
        "With sparse instead of dense attention, a training step needs 1.50 GB instead of 2.00 GB "
        "at 196,608 bp and 4.00 GB instead of 20.0 GB at 786,432 bp, where dense attention in "
        "tiles needs 5.00 GB. It saves from 196,608 bp on. (A card.)"
    )


def test_answer_runtime_compares_with_dense_attention():
    frame = steps("step_seconds", dense=(1.0, 1.0, 4.0), bigbird=(2.0, 1.5, 5.0))
    assert answers.answer_runtime(frame, "A card") == (
        "Compared with dense attention, a training step with sparse attention takes 1.50 times as "
        "long at 196,608 bp and 1.25 times as long at 786,432 bp. At the longest input it saves "
        "nothing. (A card.)"
    )


@pytest.mark.parametrize(
    ("value", "answer"),
    [("peak_memory_gb", answers.answer_memory), ("step_seconds", answers.answer_runtime)],
)
def test_answers_omit_tiles_that_did_not_run(value, answer):
    both = {"dense": (0.1, 0.2, 2.0), "bigbird_relative": (0.2, 0.15, 0.4)}
    with_tiles = steps(value, **both, tiled=(0.1, 0.2, NAN))
    assert answer(with_tiles, "A card") == answer(steps(value, **both), "A card")


@pytest.fixture
def drops():
    rows = [
        (model, when, measure, drop + more)
        for measure in ("CAGE", "CAGE over promoters")
        for when, more in (("before", 0.1), ("after", 0.0))
        for model, drop in ((PATTERN, 0.2), ("biases: S-Enformer", 0.4))
    ]
    rows += [(ENFORMER, "after", "CAGE over promoters", 0.0)]
    frame = pd.DataFrame(rows, columns=["model", "when", "measure", "pearson_r_drop"])
    drop = frame["pearson_r_drop"]
    return frame.assign(
        pearson_r=0.6 - drop, pearson_r_drop_low=drop - 0.01, pearson_r_drop_high=drop + 0.01
    )


def test_answer_finetuning_uses_the_last_measure(drops):
    assert answers.answer_finetuning(drops) == (
        "Enformer's r of CAGE over promoters is 0.600. BigBird's pattern lowers it by 0.200 (0.190 "
        "to 0.210) after the same training."
    )


def test_answer_warm_start_compares_both_starts(drops):
    assert answers.answer_warm_start(drops) == (
        "With its own weights and fewer keys, r drops by 0.300 (0.290 to 0.310) before any "
        "training and by 0.200 (0.190 to 0.210) after it; with new attention layers and the same "
        "training, by 0.400 (0.390 to 0.410)."
    )


def test_show_answer_links_to_the_verdicts():
    row = verdicts.Judgement("receptive_field.full", verdicts.THIS_CODE, "x", verdicts.AGREES, "")
    shown = answers.show_answer("Yes.", pd.DataFrame([row]), "receptive_field").data
    assert shown == (
        "Yes.\n\nOf the study's 3 claims on this, [1 agrees, 2 were not measured]"
        "(#verdicts-receptive-field)."
    )


def test_answer_receptive_field_ends_at_unused_band():
    shares = {
        "ceiling": (1.0, 0.9, 0.4, 0.0),
        "dense": (0.8, 0.5, 0.1, 0.3),  # the last is significant by chance
        "local": (0.1, 0.3, 0.0, 0.0),
    }
    use = pd.DataFrame(shares).melt(var_name="attention", value_name="share_used")
    use["farthest_bp"] = 8_192 * np.tile([1, 2, 3, 4], 3)
    use = use.assign(sequence_length_bp=65_536, share_low=use["share_used"] - 0.2)
    assert answers.answer_receptive_field(use) == (
        "With an input of 65,536 bp, `dense` uses enhancers up to 16,384 bp away (50% to 80% of "
        "the effect by band); `local` uses enhancers at no distance."
    )
