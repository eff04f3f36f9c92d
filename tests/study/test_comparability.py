"""A run is held against the study where it is like it, and says what it lacks where it is not."""

from types import SimpleNamespace

import pandas as pd
import pytest

from senformer.config import preset
from senformer.study.comparability import (
    NotComparableError,
    steps_like_the_studys,
    unlike_the_study,
)


def records(num_tracks=5313, num_test=1937):
    return SimpleNamespace(num_tracks=num_tracks, intervals_of=lambda split: range(num_test))


LIKE = {
    "sequence_length_bp": 196_608,
    "attention": "dense",
    "records": records(),
    "num_test_sequences": None,
    "num_finetuning_examples": 125_000,
    "num_random_sequences": 100,
    "published_weights": True,
}


def test_a_run_like_the_study_is_comparable():
    assert unlike_the_study(preset("enformer"), **LIKE) == ""
    assert unlike_the_study(preset("enformer"), **LIKE | {"num_finetuning_examples": 10**6}) == ""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"sequence_length_bp": 32_768}, "32,768 bp instead of 196,608"),
        ({"attention": "bigbird"}, "dense attention instead of bigbird"),
        ({"records": records(num_tracks=8)}, "8 tracks instead of 5,313"),
        ({"num_test_sequences": 2}, "2 test sequences instead of 1,937"),
        ({"num_finetuning_examples": 60}, "60 examples of each organism instead of 125,000"),
        ({"num_finetuning_examples": 1}, "1 example of each organism instead of 125,000"),
        ({"num_random_sequences": 1}, "1 random sequence instead of 100"),
        ({"published_weights": False}, "weights trained in this run instead of the published ones"),
    ],
)
def test_what_is_unlike_the_study_is_named_and_nothing_else(change, why):
    assert unlike_the_study(preset("enformer"), **LIKE | change) == f"here {why}."


def test_all_differences_are_in_one_sentence():
    why = unlike_the_study(preset("enformer_tiny"), sequence_length_bp=32_768)
    assert (
        why == "here 256 channels instead of 1,536, 2 layers instead of 11, 32,768 bp instead "
        "of 196,608."
    )


def test_what_claims_do_not_speak_of_is_not_looked_at():
    assert unlike_the_study(preset("senformer")) == ""


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


def test_steps_like_the_studys_come_by_length():
    rows = steps_like_the_studys(pd.concat([steps(), steps(channels=64)]), "dense")
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
        steps_like_the_studys(steps(**change), "dense")
