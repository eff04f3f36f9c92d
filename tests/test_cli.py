import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from senformer.cli import app
from senformer.experiments.memory_and_time import measurements
from senformer.workflow import notebooks

MODEL = ["--attention", "dense", "--layers", "1", "--channels", "256"]
MEASURE = ["measure", *MODEL, "--length", "2048"]


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_measure_ends_with_one_json_object(monkeypatch):
    monkeypatch.setattr(measurements, "measure", lambda m: {"status": "ok", "peak_memory_gb": None})
    outcome = run(*MEASURE, "--json")
    assert outcome.exit_code == 0
    assert json.loads(outcome.stdout.splitlines()[-1])["status"] == "ok"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*MEASURE, "--attention", "sparse"], "attention='sparse', expected one of dense"),
        ([*MEASURE, "--length", "1000"], "sequence_length_bp=1000 must be a multiple of 128"),
        ([*MEASURE, "--trainable", "heads"], "trainable='heads', expected one of attention, all"),
        (["compile", *MODEL, "--length", "2048"], "no --device, expected one of a100, a6000"),
        (["compile", *MODEL, "--length", "2048", "--device", "k80"], "device='k80', expected one"),
        (["run", "speed"], "unknown notebook 'speed', expected one of memory, runtime"),
        (["run", "memory", "--profile", "gpu"], "unknown profile 'gpu', expected one of cpu, demo"),
        (["run", "memory", "-p", "step=2"], "unknown parameter 'step', expected one of"),
        (["run", "memory", "-p", "steps"], "-p steps: expected NAME=VALUE"),
        (["run", "correlation", "--data", "nowhere"], "nowhere: no such folder of records"),
        (["site", "nowhere"], "nowhere/memory.ipynb: no such executed notebook"),
        (["publish", "nowhere"], "nowhere/memory.ipynb: no such executed notebook"),
    ],
)
def test_bad_input_is_answered_in_one_line(arguments, message):
    outcome = run(*arguments)
    assert outcome.exit_code == 2
    assert message in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert not outcome.stdout


def test_run_reports_the_cell_that_failed_in_one_line(monkeypatch, tmp_path):
    from papermill.exceptions import PapermillExecutionError

    def fail(*arguments, **options):
        raise PapermillExecutionError(0, 1, "x = 1 / 0", "ZeroDivisionError", "in x:\nby zero", [])

    monkeypatch.setattr(notebooks, "run", fail)
    outcome = run("run", "memory")
    assert outcome.exit_code == 1
    assert "ZeroDivisionError: by zero (see " in outcome.stderr
    assert "memory.failed.ipynb" in outcome.stderr


def test_parameters_are_read_as_yaml(monkeypatch):
    seen = {}
    monkeypatch.setattr(notebooks, "run", lambda name, **given: seen.update(given) or name)
    run("run", "memory", "-p", "steps=3", "-p", "attention=[dense]", "-p", "budget_gb=null")
    assert seen["parameters"] == {"steps": 3, "attention": ["dense"], "budget_gb": None}


def test_help_does_not_wait_for_tensorflow():
    code = (
        "import sys; from senformer.cli import app; app(['--help'], standalone_mode=False); "
        "assert 'tensorflow' not in sys.modules; assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
