import dataclasses
import json
import sys

import pandas as pd
import pytest

from senformer.experiments.memory_and_time import measurements
from senformer.experiments.memory_and_time.grid import Measurement, grid

TINY = Measurement(
    attention="dense",
    num_transformer_layers=1,
    channels=256,
    sequence_length_bp=2048,
    num_heads=4,
    block_size=16,
    steps=2,
)


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """Two measurements, of which the first is given too little memory."""
    too_small = dataclasses.replace(TINY, budget_gb=0.005)
    return measurements.measure_all([too_small, TINY], tmp_path_factory.mktemp("measurements"))


@pytest.fixture
def row(batch):
    return batch.iloc[1]


def test_a_measurement_says_what_was_measured(row):
    assert row["status"] == "ok", row["message"]
    asked = dataclasses.asdict(TINY)
    assert {name: row[name] for name in asked if asked[name] is not None} == {
        name: value for name, value in asked.items() if value is not None
    }
    assert row["device"]
    assert 0 < row["step_seconds_min"] <= row["step_seconds"] <= row["step_seconds_max"]


def test_resident_memory_is_weights_and_adams_two_averages(row):
    from senformer.model.enformer import Enformer
    from senformer.training import train_step

    model = Enformer(TINY.config)
    numbers = sum(v.shape.num_elements() for v in model.variables)
    numbers += 2 * sum(
        v.shape.num_elements() for v in train_step.trainable_variables(model, TINY.trainable)
    )
    assert row["resident_memory_gb"] == pytest.approx(4 * numbers / 1e9, rel=0.03)
    assert row["peak_memory_gb"] > row["resident_memory_gb"]


@pytest.mark.slow
def test_training_everything_in_bfloat16_needs_less_than_in_float32():
    sizes = {"num_transformer_layers": [1], "channels": 256, "num_heads": 4, "block_size": 16}
    options = {"trainable": ["all"], "sequence_lengths_bp": [65_536], "steps": 0, **sizes}
    both = grid(attention=["bigbird"], **options)
    both += [dataclasses.replace(both[0], compute_dtype="bfloat16")]
    assert both[1].name != both[0].name
    single, half = (measurements.measure(one) for one in both)
    assert half["resident_memory_gb"] == pytest.approx(single["resident_memory_gb"], rel=0.01)
    # By how much depends on what the threads of a CPU happen to hold at once.
    assert half["peak_memory_gb"] < single["peak_memory_gb"]


def test_a_budget_that_is_too_small_is_a_row_and_the_batch_goes_on(batch):
    assert list(batch["status"]) == ["out_of_memory", "ok"]
    assert "OOM" in batch["message"][0] or "memory" in batch["message"][0]
    assert batch["peak_memory_gb"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("death", "status", "message"),
    [
        ("os.kill(os.getpid(), 9)", "out_of_memory", "killed by the operating system"),
        ("sys.exit(137)", "out_of_memory", "killed by the operating system"),
        (
            "sys.exit('terminate called after throwing an instance of std::bad_alloc')",
            "out_of_memory",
            "bad_alloc",
        ),
        ("raise MemoryError('no more')", "out_of_memory", "no more"),
        ("raise ValueError('a wrong turn')", "failed", "ValueError: a wrong turn"),
        ("os.kill(os.getpid(), 11)", "failed", "ended with status -11 and no message"),
    ],
)
def test_every_death_becomes_a_row(tmp_path, monkeypatch, death, status, message):
    dying = tmp_path / "python"
    dying.write_text(f"#!{sys.executable}\nimport os, sys\n{death}\n")
    dying.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(dying))
    row = measurements.measure(TINY)
    assert row["status"] == status
    assert message in row["message"]


def test_a_process_that_ends_well_after_a_warning_about_memory_is_not_out_of_memory(
    tmp_path, monkeypatch
):
    child = tmp_path / "python"
    child.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        "print('ran out of memory trying to allocate', file=sys.stderr)\n"
        "print(json.dumps({'status': 'ok'}))\n"
    )
    child.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(child))
    assert measurements.measure(TINY)["status"] == "ok"


def test_what_is_measured_is_not_measured_again(tmp_path, monkeypatch):
    measured = []

    def measure(measurement):
        measured.append(measurement)
        return {**dataclasses.asdict(measurement), "status": "ok", "peak_memory_gb": 1.0}

    monkeypatch.setattr(measurements, "measure", measure)
    other = dataclasses.replace(TINY, sequence_length_bp=4096)
    first = measurements.measure_all([TINY], tmp_path)
    both = measurements.measure_all([other, TINY], tmp_path)
    assert measured == [TINY, other]
    pd.testing.assert_frame_equal(both.iloc[[1]].reset_index(drop=True), first)
    assert {*tmp_path.iterdir()} == {tmp_path / f"{one.name}.json" for one in (TINY, other)}


def test_what_failed_is_tried_again_and_what_ran_out_of_memory_is_not(tmp_path, monkeypatch):
    statuses = iter(["failed", "out_of_memory"])

    def measure(measurement):
        return {**dataclasses.asdict(measurement), "status": next(statuses)}

    monkeypatch.setattr(measurements, "measure", measure)
    seen = [measurements.measure_once(TINY, tmp_path)["status"] for _ in range(3)]
    assert seen == ["failed", "out_of_memory", "out_of_memory"]


def test_a_file_of_another_measurement_is_refused(tmp_path):
    path = tmp_path / f"{TINY.name}.json"
    path.write_text(json.dumps({**dataclasses.asdict(TINY), "channels": 512}))
    with pytest.raises(ValueError, match=r"channels=512, expected 256"):
        measurements.measure_once(TINY, tmp_path)
    path.write_text("{")
    with pytest.raises(ValueError, match="expected a measurement"):
        measurements.measure_once(TINY, tmp_path)


def test_measuring_in_a_process_that_does_not_count_says_so(monkeypatch):
    monkeypatch.delenv("TF_CPU_ALLOCATOR_USE_BFC", raising=False)
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("a GPU always counts its memory")
    with pytest.raises(RuntimeError, match="TF_CPU_ALLOCATOR_USE_BFC=1"):
        measurements.measure_here(TINY)


def test_a_measurement_leaves_room_for_the_rest_of_the_machine():
    import psutil

    assert measurements.default_cpu_budget_gb() <= 22
    assert measurements.default_cpu_budget_gb() < psutil.virtual_memory().total / 1e9
