from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from senformer.experiments import provenance
from senformer.report import results

ROOT = Path(__file__).resolve().parents[2]


def test_describe_run_has_all_keys():
    parameters = {"budget_gb": None, "n": np.int64(3), "x": np.arange(2), "folder": Path("a/b")}
    described = provenance.describe_run(parameters=parameters, seed=np.int64(7), data="simulated")
    assert tuple(described) == results.PROVENANCE_KEYS
    assert described["parameters"] == {"budget_gb": None, "n": 3, "x": [0, 1], "folder": "a/b"}
    assert described["seed"] == 7
    assert set(described["libraries"]) >= {"python", "tensorflow", "dm-sonnet", "numpy"}
    assert described["time_utc"].endswith("+00:00")
    assert "core" in described["device"] or "GPU" in described["device"]


def test_describe_run_names_bad_parameter():
    with pytest.raises(ValueError, match=r"model=.*, expected a value that JSON"):
        provenance.describe_run(parameters={"model": object()}, seed=0, data="simulated")


def print_of_process(call: str, **options: object) -> str:
    """Return what a process prints that calls a function of `provenance`."""
    code = f"from senformer.experiments import provenance; print(provenance.{call})"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    command = [sys.executable, "-c", code]
    run = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True, **options
    )
    return run.stdout.strip()


def test_commit_is_found_from_any_folder(tmp_path):
    git = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    head = subprocess.run(git, capture_output=True, text=True)
    expected = head.stdout.strip() if head.returncode == 0 else results.UNKNOWN
    assert print_of_process("commit()", cwd=tmp_path).removesuffix("-dirty") == expected


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """Return a repository with one commit that contains a file of the package."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    package = tmp_path / "repository" / "senformer"
    package.mkdir(parents=True)
    (package / "provenance.py").write_text("")
    monkeypatch.setattr(provenance, "_PACKAGE_FOLDER", package)
    _git(package.parent, "init", "-q")
    _git(package.parent, "add", ".")
    _git(package.parent, "commit", "-q", "-m", "first")
    return package.parent


def _git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)


def test_commit_is_dirty_after_changes_of_code(repository):
    published = [repository / f"{name}/results/memory.csv" for name in ("book", "benchmarks")]
    for path in published:
        path.parent.mkdir(parents=True)
        path.write_text("old")
    _git(repository, "add", ".")
    _git(repository, "commit", "-q", "-m", "publish")
    clean = provenance.commit()
    assert len(clean) == 40
    for path in published:
        path.write_text("new")
    assert provenance.commit() == clean
    (repository / "senformer" / "provenance.py").write_text("changed")
    assert provenance.commit() == f"{clean}-dirty"


def test_commit_of_installed_package_is_unknown(repository, monkeypatch):
    installed = shutil.copytree(repository / "senformer", repository / "venv" / "senformer")
    monkeypatch.setattr(provenance, "_PACKAGE_FOLDER", installed)
    assert provenance.commit() == results.UNKNOWN


def test_cpu_name_includes_family_and_model():
    described = """processor\t: {number}
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
"""
    cpuinfo = "\n".join(described.format(number=number) for number in range(2))
    assert provenance.cpu_name(cpuinfo) == "AMD EPYC (family 25, model 17)"
    assert provenance.cpu_name("model name\t: A processor\n") == "A processor"
    assert provenance.cpu_name("Hardware\t: something else\n") == ""


@pytest.mark.parametrize(
    ("onednn", "kernels"),
    [pytest.param("0", "TensorFlow's own kernels", marks=pytest.mark.slow), ("1", "oneDNN")],
)
def test_device_names_kernels(onednn, kernels):
    environment = {"TF_ENABLE_ONEDNN_OPTS": onednn, "CUDA_VISIBLE_DEVICES": ""}
    assert print_of_process("device()", env=environment).endswith(f", {kernels}")
