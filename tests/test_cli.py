import json
import subprocess
import sys
from pathlib import Path

import pytest
from papermill.exceptions import PapermillExecutionError
from typer.testing import CliRunner

from senformer import cli
from senformer.experiments.memory_and_time import measurements
from senformer.workflow import failures, notebooks

MODEL = ["--attention", "dense", "--layers", "1", "--channels", "256"]
MEASURE = ["measure", *MODEL, "--length", "2048"]
PREDICT = ["--fasta", "a.fa", "--regions", "a.bed", "--targets", "targets.txt", "--tracks", "CAGE"]


def run(*arguments: str):
    return CliRunner().invoke(cli.app, list(arguments))


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
        (["train", "--profile", "gpu"], "unknown profile 'gpu', expected one of cpu, demo"),
        (["run", "memory", "-p", "step=2"], "unknown parameter 'step', expected one of"),
        (["run", "memory", "-p", "steps"], "-p steps: expected NAME=VALUE"),
        (["run", "memory", "-p", "steps=[1"], "-p steps: not YAML"),
        (["run", "memory", "-p", "steps=!!bool x"], "-p steps: not YAML (line 1 has a tag"),
        (["run", "memory", "-p", "steps=1", "-p", "steps=2"], "-p steps: is set twice"),
        (["run", "memory", "-p", "steps=" + "9" * 4000], "steps=99999999"),
        (["run", "memory", "-p", "steps=yes"], "profile 'demo': steps='yes', expected a valid int"),
        (["run", "memory", "--data", "\udcff"], "'\\udcff': not UTF-8"),
        (["run", "correlation", "--data", "nowhere"], "nowhere: no such folder of records"),
        (["export", "nowhere", "out", "--length", "8192"], "nowhere: no such file or folder, exp"),
        (["predict", "nowhere", "out", *PREDICT], "targets.txt: no such file, expected a targets"),
        (["site", "nowhere"], "nowhere/memory.ipynb: no such executed notebook"),
        (["publish", "nowhere"], "nowhere/memory.ipynb: is missing or no file"),
    ],
)
def test_cli_reports_bad_input_in_one_line(arguments, message):
    outcome = run(*arguments)
    assert outcome.exit_code == 2
    assert message in outcome.stderr
    assert outcome.stderr.count("\n") == 1 and len(outcome.stderr) < 2000
    assert not outcome.stdout


def fails_with(error, monkeypatch):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(notebooks, "run", fail)
    return run("run", "memory")


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ValueError("steps=-1,\nexpected 0"), 2, "steps=-1, expected 0"),
        (FileNotFoundError("x.fa: no such FASTA"), 2, "x.fa: no such FASTA"),
        (FileExistsError(17, "File exists", "runs/demo"), 2, "runs/demo: File exists"),
        (PermissionError(13, "Permission denied", "a.csv"), 2, "a.csv: Permission denied"),
        (IsADirectoryError(21, "Is a directory", "a.csv"), 2, "a.csv: Is a directory"),
        (NotADirectoryError(20, "Not a directory", "a"), 2, "a: Not a directory"),
        (OSError(28, "No space left on device", "a.csv"), 1, "a.csv: No space left on device"),
        (OSError(27, "File too large", "values"), 1, "values: File too large"),
        (MemoryError(), 1, "out of memory"),
        (type("ResourceExhaustedError", (Exception,), {})("OOM when"), 1, "out of memory"),
        (ValueError("x" * 9999), 2, f"{'x' * 500} ... {'x' * 500}"),
    ],
)
def test_cli_reports_user_errors_in_one_line(error, status, line, monkeypatch):
    outcome = fails_with(error, monkeypatch)
    assert outcome.exit_code == status
    assert outcome.stderr == f"senformer: {line}\n"


@pytest.mark.parametrize(
    "error", [TypeError("no"), KeyError("x"), json.JSONDecodeError("no", "", 0), ValueError()]
)
def test_cli_reports_bugs_with_traceback(error, monkeypatch):
    outcome = fails_with(error, monkeypatch)
    assert outcome.exit_code == 1
    assert outcome.stderr.startswith("Traceback (most recent call last):")
    *_, report = outcome.stderr.splitlines()
    assert report.startswith(
        "senformer: This is a bug. Please report it as an issue of the repository"
    )
    assert "tensorflow 2." in report


@pytest.mark.parametrize(
    ("name", "value", "message", "is_bug"),
    [
        ("ZeroDivisionError", "in x:\nby zero", "ZeroDivisionError: by zero (see ", True),
        ("IndexError", "", "IndexError (see ", True),
        ("PermissionError", "denied: 'a.csv'", "PermissionError: denied: 'a.csv' (see ", False),
        ("ResourceExhaustedError", "OOM", "ResourceExhaustedError: OOM (see ", False),
        ("ValueError", "x" * 9999, "ValueError: xxx", False),
    ],
)
def test_run_reports_failed_cell(name, value, message, is_bug, monkeypatch):
    error = PapermillExecutionError(0, 1, "open(x)", name, value, [])
    line = failures.line_of_notebook(error, Path("memory.failed.ipynb"))
    outcome = fails_with(failures.NotebookError(line), monkeypatch)
    assert outcome.exit_code == 1
    assert outcome.stderr.startswith(f"senformer: {message}")
    assert "memory.failed.ipynb" in outcome.stderr
    assert ("This is a bug" in outcome.stderr) == is_bug
    assert outcome.stderr.count("\n") == 1 and len(outcome.stderr) < 2000


def test_run_reports_kernel_that_does_not_start(monkeypatch):
    line = failures.line_of_notebook(RuntimeError("Kernel died"), Path("memory.failed.ipynb"))
    outcome = fails_with(failures.NotebookError(line), monkeypatch)
    assert outcome.stderr == "senformer: memory: the kernel did not start (Kernel died)\n"


@pytest.mark.parametrize("command", ["run memory", "check", "site x", "publish x", "pdf x.pdf"])
def test_cli_says_that_checkout_is_missing(command, monkeypatch, tmp_path):
    monkeypatch.setattr(cli, "_PACKAGE", tmp_path / "senformer")
    outcome = run(*command.split())
    assert outcome.exit_code == 2
    assert f"{command.split()[0]} needs a checkout of the project" in outcome.stderr
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize("data", ["", "no/such {folder}", "a\nb"])
def test_run_folder_prints_one_line(data):
    (line,) = run("run-folder", "--data", data).stdout.splitlines()
    assert Path(line).resolve() == notebooks.run_folder("demo", data or None)


def test_run_parses_parameters_as_yaml(monkeypatch):
    seen = {}
    monkeypatch.setattr(notebooks, "run", lambda name, **given: seen.update(given) or name)
    run("run", "memory", "-p", "steps=3", "-p", "attention=[dense]", "-p", "budget_gb=null")
    assert seen["parameters"] == {"steps": 3, "attention": ["dense"], "budget_gb": None}


def test_help_loads_no_tensorflow():
    code = (
        "import sys; from senformer.cli import app; app(['--help'], standalone_mode=False); "
        "assert 'tensorflow' not in sys.modules; assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
