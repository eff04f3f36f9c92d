"""The demo's measurements and a notebook through a real SLURM, one job of which is cancelled."""

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
    "commit",  # the batch runs in a copy, which is no repository
    "peak_memory_gb",  # by which of two threads was first; compared on its own
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
    """Two calls of Snakemake: in the first, for one measurement, its job is cancelled."""
    cancelled = project / "runs" / "demo" / "measurements" / f"{MEASUREMENTS[0].name}.json"
    first = snakemake(project, slurm, str(cancelled.relative_to(project)))
    while not (running := jobs(slurm, "running")):
        assert first.poll() is None, first.communicate()[0]
        time.sleep(0.2)
    ((number, *_),) = running
    subprocess.run(["scancel", number], env=slurm, check=True)
    said, _ = first.communicate()
    facts = SimpleNamespace(first=first, said_first=said, was_left=cancelled.exists())
    facts.second = snakemake(project, slurm, "memory")
    facts.said_second, _ = facts.second.communicate()
    facts.shares = {rule: how for _, rule, how in jobs(slurm, "completed")}
    return facts


def snakemake(project, slurm, *targets):
    """A call with the profile for SLURM, but for what this machine's node cannot give."""
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
    """Of each job in a state: its number, its rule, and whether others may share its node."""
    listed = subprocess.run(
        ["squeue", f"--states={state}", "--noheader", "--format=%i|%k|%h"],
        env=slurm,
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.split("|") for line in listed.stdout.splitlines()]


def test_a_cancelled_job_fails_its_call_and_leaves_nothing(batch):
    assert batch.first.returncode != 0
    assert "CANCELLED" in batch.said_first
    assert not batch.was_left


def test_the_next_call_runs_it_again_and_each_measurement_has_a_node_alone(batch):
    assert batch.second.returncode == 0, batch.said_second
    assert batch.shares == {"rule_memory": "OK"} | {
        f"rule_measurement_wildcards_{measurement.name}": "NO" for measurement in MEASUREMENTS
    }


def test_the_table_is_that_of_this_machine_but_for_times(batch, project, tmp_path):
    table = results.read(project / "runs" / "demo" / "memory.csv")
    assert len(table) == len(MEASUREMENTS)
    here = measurements.measure_all(MEASUREMENTS[:2], tmp_path)
    assert what_is_the_same(table.head(2)) == what_is_the_same(here)
    peaks_gb = here["peak_memory_gb"].to_numpy()
    assert table["peak_memory_gb"].to_numpy()[:2] == pytest.approx(peaks_gb, rel=0.2)


def what_is_the_same(table):
    read = table.drop(columns=DIFFER).astype(object)
    return read.where(read.notna() & (read != ""), None).to_dict("records")
