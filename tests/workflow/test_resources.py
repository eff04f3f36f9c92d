import pytest

from senformer.experiments.memory_and_time.grid import Measurement
from senformer.report import results
from senformer.workflow import notebooks, resources

MB_PER_GB = 1000
STEP = Measurement(
    attention="bigbird", num_transformer_layers=11, channels=1536, sequence_length_bp=196_608
)


def test_measurement_memory_covers_published_peaks():
    measured = results.read(resources.MEASURED).query("status == 'ok'")
    for row in measured.to_dict("records"):
        known = {name: row[name] for name in Measurement.model_fields if row[name] == row[name]}
        requested_mb = resources.memory_of_measurement_mb(Measurement(**known))
        assert requested_mb >= MB_PER_GB * (row["peak_memory_gb"] + resources.PROCESS_GB), known


def test_measurement_memory_is_budget():
    step = STEP.replace(sequence_length_bp=1_572_864, budget_gb=1.5)
    requested_mb = resources.memory_of_measurement_mb(step)
    assert requested_mb == MB_PER_GB * (1.5 + resources.PROCESS_GB)


def test_memory_without_plan_is_limit(monkeypatch):
    most_mb = MB_PER_GB * (22 + resources.PROCESS_GB)
    unmeasured = STEP.replace(attention="performer")
    assert resources.memory_of_measurement_mb(unmeasured) == most_mb
    monkeypatch.setattr(resources, "plan", dict)  # as after a short published run
    values = notebooks.parameters_for("finetuning", profile="demo")
    assert resources.memory_of_measurement_mb(STEP) == most_mb
    assert resources.memory_of_notebook_mb(values) == most_mb


def test_measurement_memory_grows_with_attempt():
    requested_mb = [resources.memory_of_measurement_mb(STEP, attempt=n) for n in (1, 2, 100)]
    step_mb = [mb - MB_PER_GB * resources.PROCESS_GB for mb in requested_mb]
    assert step_mb[1] == pytest.approx(2 * step_mb[0], abs=1)
    assert step_mb[2] == MB_PER_GB * 22


@pytest.mark.parametrize("name", ["finetuning", "receptive_field"])
def test_notebook_memory_grows_with_input(name):
    values = notebooks.parameters_for(name, profile="demo")
    longer = values.model_copy(update={"compared_length_bp": 524_288})
    assert resources.memory_of_notebook_mb(longer) > resources.memory_of_notebook_mb(values)


def test_measurement_memory_on_gpu_is_fixed():
    steps = notebooks.parameters_for("memory", profile="full").measurements
    requested_mb = {resources.memory_of_measurement_mb(step, on_gpu=True) for step in steps}
    assert requested_mb == {MB_PER_GB * resources.HOST_OF_GPU_GB}
