import dataclasses

import pytest

from senformer.experiments.memory_and_time.grid import Measurement, grid
from senformer.report import results
from senformer.workflow import notebooks, resources

MB_PER_GB = 1000
STEP = Measurement(
    attention="bigbird", num_transformer_layers=11, channels=1536, sequence_length_bp=196_608
)


def test_a_job_gets_what_each_published_measurement_took():
    measured = results.read(resources.MEASURED).query("status == 'ok'")
    fields = [field.name for field in dataclasses.fields(Measurement)]
    for row in measured.to_dict("records"):
        known = {name: row[name] for name in fields if row[name] == row[name]}
        asked_mb = resources.memory_of_measurement_mb(Measurement(**known))
        assert asked_mb >= MB_PER_GB * (row["peak_memory_gb"] + resources.PROCESS_GB), known


def test_a_budget_is_all_that_a_measurement_takes():
    step = dataclasses.replace(STEP, sequence_length_bp=1_572_864, budget_gb=1.5)
    asked_mb = resources.memory_of_measurement_mb(step)
    assert asked_mb == MB_PER_GB * (1.5 + resources.PROCESS_GB)


def test_what_has_no_plan_gets_all_that_a_measurement_may_take(monkeypatch):
    most_mb = MB_PER_GB * (22 + resources.PROCESS_GB)
    unmeasured = dataclasses.replace(STEP, attention="performer")
    assert resources.memory_of_measurement_mb(unmeasured) == most_mb
    monkeypatch.setattr(resources, "plan", dict)  # a run was published that measured little
    values = notebooks.parameters_for("finetuning", profile="demo")
    assert resources.memory_of_measurement_mb(STEP) == most_mb
    assert resources.memory_of_notebook_mb(values) == most_mb


def test_another_attempt_gets_more_up_to_what_a_measurement_may_take():
    asked_mb = [resources.memory_of_measurement_mb(STEP, attempt=n) for n in (1, 2, 100)]
    step_mb = [mb - MB_PER_GB * resources.PROCESS_GB for mb in asked_mb]
    assert step_mb[1] == pytest.approx(2 * step_mb[0], abs=1)
    assert step_mb[2] == MB_PER_GB * 22


@pytest.mark.parametrize("name", ["finetuning", "receptive_field"])
def test_a_notebook_gets_more_for_a_longer_comparison(name):
    values = notebooks.parameters_for(name, profile="demo")
    longer = {**values, "compared_length_bp": 524_288}
    assert resources.memory_of_notebook_mb(longer) > resources.memory_of_notebook_mb(values)


def test_on_a_gpu_the_plan_of_the_gpu_is_not_asked_of_the_machine():
    values = notebooks.parameters_for("memory", profile="full")
    values = {
        k: v for k, v in values.items() if k in notebooks.profile_parameters("full", "memory")
    }
    asked_mb = {resources.memory_of_measurement_mb(m, on_gpu=True) for m in grid(**values)}
    assert asked_mb == {MB_PER_GB * resources.HOST_OF_GPU_GB}
