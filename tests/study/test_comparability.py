"""A run is held against the study where it is like it, and says what it lacks where it is not."""

import pandas as pd
import pytest

from senformer.config import preset
from senformer.study.comparability import describe_differences, select_study_steps
from senformer.study.verdicts import NotComparableError

STUDY = {
    "uses_published_weights": True,
    "sequence_length_bp": 196_608,
    "attention": "bigbird",
    "num_tracks": 5313,
    "num_test_sequences": 1937,
    "num_finetuning_examples": 125_000,
    "num_random_sequences": 100,
}


def test_the_studys_settings_do_not_differ():
    config = preset("senformer")
    assert describe_differences(config, **STUDY) == ""
    assert describe_differences(config, **STUDY | {"num_finetuning_examples": 10**6}) == ""
    assert describe_differences(config, uses_published_weights=True) == ""


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("sequence_length_bp", 32_768, "32,768 bp instead of 196,608"),
        ("attention", "dense", "dense attention instead of bigbird"),
        ("num_tracks", 8, "8 tracks instead of 5,313"),
        ("num_test_sequences", 2, "2 test sequences instead of 1,937"),
        ("num_finetuning_examples", 60, "60 examples of each organism instead of 125,000"),
        ("num_random_sequences", 1, "1 random sequence instead of 100"),
        ("uses_published_weights", False, "weights trained in this run instead of the published"),
    ],
)
def test_describe_differences_names_one(setting, value, expected):
    told = describe_differences(preset("senformer"), **STUDY | {setting: value})
    assert told.startswith(f"here {expected}") and "," not in told.replace(expected, "")


def test_describe_differences_joins_all():
    told = describe_differences(
        preset("enformer_tiny"), uses_published_weights=True, sequence_length_bp=32_768
    )
    assert told == (
        "here 256 channels instead of 1,536, 2 layers instead of 11, 32,768 bp instead of 196,608."
    )


def steps(**changed):
    row = {
        "channels": 1536,
        "trainable": "attention",
        "batch_size": 1,
        "num_transformer_layers": 11,
        "attention": "dense",
        "sequence_length_bp": 131_072,
    }
    return pd.DataFrame([{**row, **changed}, {**row, "sequence_length_bp": 65_536, **changed}])


def test_select_study_steps_come_by_length():
    rows = select_study_steps(pd.concat([steps(), steps(channels=64)]), "dense")
    assert rows["sequence_length_bp"].tolist() == [65_536, 131_072]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"channels": 256}, "256 channels instead of 1,536"),
        ({"trainable": "all"}, "all trained instead of attention"),
        ({"batch_size": 2}, "2 sequences a step instead of 1"),
        ({"num_transformer_layers": 1}, "1 layer instead of 11"),
        ({"attention": "tiled"}, "tiled attention instead of dense"),
    ],
)
def test_steps_of_another_kind_are_refused_and_named(change, why):
    with pytest.raises(NotComparableError, match=f"here {why}"):
        select_study_steps(steps(**change), "dense")
