import subprocess
import sys

import pytest

from senformer.experiments.memory_and_time.grid import grid
from senformer.workflow import notebooks


def dry_run(*settings: str) -> subprocess.CompletedProcess:
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--dry-run",
        "--printshellcmds",
        "--nolock",
        "--cores",
        "1",
    ]
    return subprocess.run(
        [*command, "--config", *settings],
        cwd=notebooks.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Real records of a name that has no run yet."""
    data = tmp_path_factory.mktemp("records")
    assert not notebooks.run_folder("demo", data).exists()
    return data


def test_the_batch_has_one_job_per_notebook_and_per_measurement(fresh):
    outcome = dry_run("profile=demo", f"data={fresh}")
    assert outcome.returncode == 0, outcome.stderr
    jobs = dict(line.split()[:2] for line in outcome.stdout.splitlines() if len(line.split()) == 2)
    assert all(jobs[name] == "1" for name in (*notebooks.ORDER, "site"))
    values = notebooks.profile_parameters("demo", "memory")
    assert int(jobs["measurement"]) == len(grid(**values))
    assert f"runs/demo-{fresh.name}/memory.ipynb" in outcome.stdout
    assert f"--data {fresh}" in outcome.stdout


def test_a_bad_setting_stops_the_batch_before_any_work():
    outcome = dry_run("profile=gpu")
    assert outcome.returncode != 0
    message = "unknown profile 'gpu', expected one of cpu, demo, full"
    assert message in outcome.stdout + outcome.stderr


def test_make_and_the_batch_agree_on_the_folder_of_a_run(tmp_path):
    for data in ("", str(tmp_path), f"{tmp_path}/"):
        shown = subprocess.run(
            ["make", "--dry-run", "--silent", "serve", f"DATA={data}", "PROFILE=full"],
            cwd=notebooks.ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        folder = notebooks.run_folder("full", data or None).relative_to(notebooks.ROOT)
        assert f'"{folder.as_posix()}/site"' in shown
