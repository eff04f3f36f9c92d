"""A real SLURM runs the demo's measurements and a notebook; one job is cancelled."""

import subprocess
import sys
import time
from types import SimpleNamespace

import one_node_slurm
import pytest

from senformer.experiments.memory_and_time import measurements
from senformer.report import results
from senformer.workflow import notebooks

pytestmark = pytest.mark.slow

MEASUREMENTS = notebooks.parameters_for("memory", profile="demo").measurements

DIFFER = {
    "first_step_seconds",
    "step_seconds",
    "step_seconds_min",
    "step_seconds_max",
    "time_utc",
    "commit",  # the batch runs in a copy without a repository
    "peak_memory_gb",  # depends on the order of threads; compared separately
}


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    if missing := one_node_slurm.missing():
        pytest.skip(
            f"no {', '.join(missing)}; on Debian: "
            f"apt-get install --no-install-recommends {one_node_slurm.PACKAGES}"
        )
    with one_node_slurm.running(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


@pytest.fixture(scope="module")
def batch(slurm, project):
    """Call Snakemake twice, and cancel the only job of the first call."""
    cancelled = project / "runs" / "demo" / "measurements" / f"{MEASUREMENTS[0].name}.json"
    first = snakemake(project, slurm, str(cancelled.relative_to(project)))
    while not (running := jobs(slurm, "running")):
        assert first.poll() is None, first.communicate()[0]
        time.sleep(0.2)
    ((number, *_),) = running
    subprocess.run(["scancel", number], env=slurm, check=True)
    output, _ = first.communicate()
    facts = SimpleNamespace(first=first, output_first=output, was_left=cancelled.exists())
    facts.second = snakemake(project, slurm, "memory")
    facts.output_second, _ = facts.second.communicate()
    facts.shares = {rule: how for _, rule, how in jobs(slurm, "completed")}
    return facts


def snakemake(project, slurm, *targets):
    """Start Snakemake with the profile for SLURM, reduced to what this machine has."""
    options = (
        "--profile cluster/slurm --config profile=demo --set-threads memory=1 --retries 0 "
        "--slurm-status-command squeue --slurm-init-seconds-before-status-checks 2"
    )
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", *targets, *options.split()],
        cwd=project,
        env={**slurm, "PYTHONPATH": str(project)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def jobs(slurm, state):
    """Return the number, the rule and the node sharing of each job in a state."""
    listed = subprocess.run(
        ["squeue", f"--states={state}", "--noheader", "--format=%i|%k|%h"],
        env=slurm,
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.split("|") for line in listed.stdout.splitlines()]


def test_cancelled_job_leaves_nothing(batch):
    assert batch.first.returncode != 0
    assert "CANCELLED" in batch.output_first
    assert not batch.was_left


def test_next_call_repeats_cancelled_job(batch):
    assert batch.second.returncode == 0, batch.output_second
    assert batch.shares == {"rule_memory": "OK"} | {
        f"rule_measurement_wildcards_{measurement.name}": "NO" for measurement in MEASUREMENTS
    }


def test_table_equals_local_measurements(batch, project, tmp_path):
    table = results.read(project / "runs" / "demo" / "memory.csv")
    assert len(table) == len(MEASUREMENTS)
    here = measurements.measure_all(MEASUREMENTS[:2], tmp_path)
    assert comparable_rows(table.head(2)) == comparable_rows(here)
    peaks_gb = here["peak_memory_gb"].to_numpy()
    assert table["peak_memory_gb"].to_numpy()[:2] == pytest.approx(peaks_gb, rel=0.2)


def comparable_rows(table):
    read = table.drop(columns=DIFFER).astype(object)
    return read.where(read.notna() & (read != ""), None).to_dict("records")
