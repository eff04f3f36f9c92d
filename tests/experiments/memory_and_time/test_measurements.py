"""Measurements in child processes become rows, and rows are not measured again."""

import sys

import pandas as pd
import psutil
import pytest
from step_rows import TINY, failed_row, measured_row

from senformer.experiments.memory_and_time import measurements
from senformer.experiments.memory_and_time.grid import grid


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """Two measurements, the first with too low a memory limit."""
    too_small = TINY.replace(budget_gb=0.005)
    return measurements.measure_all([too_small, TINY], tmp_path_factory.mktemp("measurements"))


def make_python(folder, monkeypatch, script):
    """Replace Python by a script, which child processes then run."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\nimport json, os, sys\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


def test_measure_all_continues_after_out_of_memory(batch):
    assert list(batch["status"]) == ["out_of_memory", "ok"]
    assert "OOM" in batch["message"][0] or "memory" in batch["message"][0]
    assert batch["peak_memory_gb"].isna().tolist() == [True, False]


def test_row_has_the_measurement_and_its_numbers(batch):
    from senformer.model.enformer import Enformer
    from senformer.training import train_step

    row = batch.iloc[1]
    fields = {name: value for name, value in TINY if value is not None}
    assert {name: row[name] for name in fields} == fields
    assert 0 < row["step_seconds_min"] <= row["step_seconds"] <= row["step_seconds_max"]
    model = Enformer(TINY.config)
    trained = train_step.trainable_variables(model, TINY.trainable)
    weights_and_moments = [*model.variables, *trained, *trained]
    num_bytes = 4 * sum(v.shape.num_elements() for v in weights_and_moments)
    assert row["resident_memory_gb"] == pytest.approx(num_bytes / 1e9, rel=0.03)
    assert row["peak_memory_gb"] > row["resident_memory_gb"]


@pytest.mark.slow
def test_bfloat16_needs_less_memory_than_float32():
    [single] = grid(
        attention=["bigbird"],
        num_transformer_layers=[1],
        sequence_lengths_bp=[65_536],
        trainable=["all"],
        channels=256,
        num_heads=4,
        block_size=16,
        steps=0,
    )
    half = single.replace(compute_dtype="bfloat16")
    single_row, half_row = measurements.measure(single), measurements.measure(half)
    resident_gb = single_row["resident_memory_gb"]
    assert half_row["resident_memory_gb"] == pytest.approx(resident_gb, rel=0.01)
    # The difference varies with what the threads of a CPU hold at once.
    assert half_row["peak_memory_gb"] < single_row["peak_memory_gb"]


@pytest.mark.parametrize(
    ("script", "status", "message"),
    [
        ("os.kill(os.getpid(), 9)", "out_of_memory", "killed by the operating system"),
        ("sys.exit(137)", "out_of_memory", "killed by the operating system"),
        ("sys.exit('after throwing an instance of std::bad_alloc')", "out_of_memory", "bad_alloc"),
        ("raise MemoryError('no more')", "out_of_memory", "no more"),
        ("raise ValueError('a wrong turn')", "failed", "ValueError: a wrong turn"),
        ("os.kill(os.getpid(), 11)", "failed", "ended with status -11 and no message"),
    ],
)
def test_measure_turns_failures_into_rows(tmp_path, monkeypatch, script, status, message):
    make_python(tmp_path, monkeypatch, script)
    row = measurements.measure(TINY)
    assert row["status"] == status
    assert message in row["message"]


def test_measure_ignores_warnings_about_memory(tmp_path, monkeypatch):
    warning = "print('ran out of memory trying to allocate', file=sys.stderr)"
    make_python(tmp_path, monkeypatch, f"{warning}\nprint(json.dumps({{'status': 'ok'}}))")
    assert measurements.measure(TINY)["status"] == "ok"


def test_measure_all_repeats_only_failed_rows(tmp_path, monkeypatch):
    other = TINY.replace(sequence_length_bp=4096)
    made = [failed_row(TINY), measured_row(other), failed_row(TINY, "out_of_memory")]
    monkeypatch.setattr(measurements, "measure", lambda measurement: made.pop(0))
    assert measurements.measure_all([TINY], tmp_path)["status"].tolist() == ["failed"]
    both = measurements.measure_all([other, TINY], tmp_path)
    assert both["status"].tolist() == ["ok", "out_of_memory"]
    assert not made
    pd.testing.assert_frame_equal(
        measurements.measure_all([other, TINY], tmp_path), both, check_like=True
    )
    assert {*tmp_path.iterdir()} == {tmp_path / f"{m.name}.json" for m in (TINY, other)}


def test_measure_here_needs_a_counting_allocator(monkeypatch):
    monkeypatch.delenv("TF_CPU_ALLOCATOR_USE_BFC", raising=False)
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("a GPU always counts its memory")
    with pytest.raises(RuntimeError, match="TF_CPU_ALLOCATOR_USE_BFC=1"):
        measurements.measure_here(TINY)


def test_default_budget_is_below_the_machines_memory():
    assert measurements.default_cpu_budget_gb() <= 22
    assert measurements.default_cpu_budget_gb() < psutil.virtual_memory().total / 1e9
