"""What a run will take is counted from its parameters, and scales with them."""

from types import SimpleNamespace

import numpy as np
import pytest

from senformer.config import preset
from senformer.experiments.memory_and_time import measurements
from senformer.experiments.reproduction import protocol_comparison
from senformer.model.enformer import Enformer
from senformer.workflow import costs, notebooks
from senformer.workflow.costs import Units

RECORDS = {"train": 100, "valid": 10, "test": 20}
WEIGHTS_BYTES = 1_000


def works(profile, **changes):
    parameters = {
        name: {**notebooks.parameters_for(name, profile=profile), **changes}
        for name in notebooks.ORDER
        if name not in notebooks.MEASURING
    }
    return costs.works_of(parameters, RECORDS, WEIGHTS_BYTES)


def test_a_training_is_both_organisms_every_step_and_every_sequence_of_a_batch():
    small = works("demo", senformer_steps=10, compared_steps=0, batch_size=3)["finetuning"]
    # The two starts of S-Enformer.
    assert small.trained == 2 * 2 * 10 * 3


def test_every_variant_is_trained_from_every_seed_and_longer_inputs_count_for_more():
    asked = {"senformer_steps": 0, "compared_steps": 7, "compared_further": []}
    one, three = (works("demo", **asked, num_seeds=n)["finetuning"] for n in (1, 3))
    assert one.trained == 7 * 7  # Enformer and six steps to S-Enformer
    assert three.trained == 3 * one.trained
    twice = works("demo", **asked, num_seeds=1, compared_length_bp=65_536)["finetuning"]
    assert twice.trained == 2 * one.trained


def test_weights_that_are_read_are_not_trained():
    trained, read = works("demo")["reproduction"], works("full")["reproduction"]
    assert trained.trained_all == 2 * 30
    assert read.trained_all == read.trained == read.kept_bytes == 0


def test_tokens_take_room_where_they_are_kept():
    kept, computed = (
        works("demo", largest_trunk_cache_gb=gb)["finetuning"].kept_bytes for gb in (4.0, 0.0)
    )
    # Both organisms' and, at the same length, once more the human ones.
    assert kept - computed == (2 + 1) * RECORDS["train"] * 256 * 256 * 4


def test_no_more_sequences_are_predicted_than_there_are():
    all_of_them, many = (
        works("demo", num_test_sequences=n)["correlation"].predicted for n in (None, 10**6)
    )
    assert all_of_them == many == 2 * (RECORDS["test"] + 1)


def test_a_record_is_predicted_as_often_as_is_counted(small_data, monkeypatch):
    from senformer.data import record_folders

    human = record_folders.open_folders(small_data)["human"]
    calls = []

    def counted(model, head):
        def predict(sequence):
            calls.append(len(sequence))
            return np.ones([len(sequence), 64, 16], np.float32)

        return predict

    monkeypatch.setattr(protocol_comparison, "predictor", counted)
    config = preset(
        "enformer_tiny", num_transformer_layers=1, target_length=64, tracks={"human": 16}
    )
    protocol_comparison.accuracy(
        Enformer(config),
        human,
        sequence_length_bp=16_384,
        context_length_bp=8_192,
        num_sequences=2,
        fasta=human.path / "genome.fa",
    )
    assert sum(calls) == 2 * protocol_comparison.predictions_per_record()


def test_hours_are_the_sum_of_what_is_done():
    work = costs.Work(trained_all=10, trained=100, predicted=1000)
    units = Units(
        step_seconds=3.6, all_step_seconds=36.0, prediction_seconds=0.36, peak_memory_gb=1.0
    )
    assert work.hours(units) == pytest.approx(0.3)


def test_a_step_that_two_notebooks_ask_for_is_measured_once(monkeypatch):
    monkeypatch.setattr(
        measurements, "measure", lambda m: {"step_seconds": 36.0, "first_step_seconds": 36.0}
    )
    clock = iter([0.0, 36.0 + 20.0])  # of a process that takes 20 s beside its step
    monkeypatch.setattr(costs.time, "perf_counter", lambda: next(clock))
    grid = {
        "attention": ["dense"],
        "num_transformer_layers": [1],
        "channels": 256,
        "num_heads": 4,
        "sequence_lengths_bp": [16_384, 32_768],
        "steps": 10,
    }
    longer = {**grid, "sequence_lengths_bp": [16_384, 65_536]}
    taken = costs.hours_of_measurements({"memory": grid, "runtime": longer})
    # Ten steps each, in proportion to the length.
    assert taken["memory"] == (pytest.approx((2 * 20 + 10 * 36 * (1 + 2)) / 3600), 2)
    assert taken["runtime"] == (pytest.approx((20 + 10 * 36 * 4) / 3600), 1)


def test_too_little_room_is_not_passed_over(monkeypatch):
    monkeypatch.setattr(costs, "hours_of_measurements", lambda parameters: {})
    units = Units(1.0, 1.0, 1.0, 1.0)
    monkeypatch.setattr(costs, "_units", lambda *args, **kwargs: units)
    monkeypatch.setattr(costs.shutil, "disk_usage", lambda path: SimpleNamespace(free=1e6))
    *takes, in_all = costs.check("demo")
    assert all(need.is_met for need in takes)
    assert not in_all.is_met
    assert in_all.detail.endswith("0.001 GB are free")
