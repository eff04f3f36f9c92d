import re
import subprocess
import sys

import pytest

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
    """Return a folder of records whose name has no run yet."""
    data = tmp_path_factory.mktemp("records")
    assert not notebooks.run_folder("demo", data).exists()
    return data


def test_batch_has_jobs_for_all_results(fresh):
    outcome = dry_run("profile=demo", f"data={fresh}")
    assert outcome.returncode == 0, outcome.stderr
    jobs = dict(line.split()[:2] for line in outcome.stdout.splitlines() if len(line.split()) == 2)
    assert all(jobs[name] == "1" for name in (*notebooks.ORDER, "site"))
    steps = notebooks.parameters_for("memory", profile="demo").measurements
    assert int(jobs["measurement"]) == len(steps)
    assert f"runs/demo-{fresh.name}/memory.ipynb" in outcome.stdout
    assert f"--data {fresh}" in outcome.stdout


def jobs_of(outcome):
    """Return the rule and the fields of each job of a dry run."""
    assert outcome.returncode == 0, outcome.stderr
    blocks = re.findall(r"^rule (\w+):\n((?:    .*\n)+)", outcome.stdout, flags=re.MULTILINE)
    return [
        (rule, dict(re.findall(r"^    (\w+): (.*)$", text, re.MULTILINE))) for rule, text in blocks
    ]


@pytest.fixture(scope="module", params=[pytest.param("cpu", marks=pytest.mark.slow), "full"])
def jobs_of_profile(request, fresh):
    return request.param, jobs_of(dry_run(f"profile={request.param}", f"data={fresh}"))


def test_only_full_profile_requests_gpu(jobs_of_profile):
    profile, jobs = jobs_of_profile
    on_gpu = {rule for rule, fields in jobs if "gpu=1" in fields.get("resources", "")}
    assert on_gpu == ({*notebooks.ORDER, "measurement"} if profile == "full" else set())


def test_timed_step_gets_whole_machine(jobs_of_profile):
    _, jobs = jobs_of_profile
    measured = [fields for rule, fields in jobs if rule == "measurement"]
    assert measured
    for fields in measured:
        is_timed = "_0steps_" not in fields["wildcards"]
        assert ("slurm_extra=--exclusive" in fields["resources"]) == is_timed


def test_notebooks_wait_for_their_models(jobs_of_profile):
    waits_for = {
        rule: {name for name in notebooks.ORDER if f"/{name}.ipynb" in fields["input"]}
        for rule, fields in jobs_of_profile[1]
        if rule in notebooks.ORDER
    }
    assert waits_for["finetuning"] == {"reproduction"}
    assert waits_for["correlation"] == waits_for["receptive_field"] == {"finetuning"}


def test_batch_refuses_unknown_profile():
    outcome = dry_run("profile=gpu")
    assert outcome.returncode != 0
    message = "unknown profile 'gpu', expected one of cpu, demo, full"
    assert message in outcome.stdout + outcome.stderr


def test_make_uses_folder_of_run(tmp_path):
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
