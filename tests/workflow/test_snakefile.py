import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from senformer.workflow import notebooks

ODD = 'it\'s my `touch 1`; $(touch 2) {x} "y"\n'


def dry_run(*options, project=notebooks.ROOT, **settings):
    options = ["--dry-run", "--printshellcmds", "--nolock", "--cores", "1", *options]
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *options],
        cwd=project,
        env={
            **os.environ,
            **{f"SENFORMER_{name.upper()}": text for name, text in settings.items()},
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Return a folder of records whose name has no run yet."""
    data = tmp_path_factory.mktemp("records") / ODD
    data.mkdir()
    assert not notebooks.run_folder("demo", data).exists()
    return str(data)


@pytest.fixture(scope="module")
def batch(fresh):
    return dry_run(profile="demo", data=fresh)


def test_batch_has_jobs_for_all_results(batch):
    assert batch.returncode == 0, batch.stderr
    jobs = dict(line.split()[:2] for line in batch.stdout.splitlines() if len(line.split()) == 2)
    assert all(jobs[name] == "1" for name in (*notebooks.ORDER, "site"))
    steps = notebooks.parameters_for("memory", profile="demo").measurements
    assert int(jobs["measurement"]) == len(steps)


def shell_commands(outcome):
    found = re.findall(
        r"^Shell command: (.*?)\n(?=\n|\[)", outcome.stdout, re.MULTILINE | re.DOTALL
    )
    return [shlex.split(command) for command in found]


def test_batch_quotes_data_folder(batch, fresh):
    for name in notebooks.ORDER:
        command = [sys.executable, "-m", "senformer", "run", name]
        assert [*command, "--profile=demo", f"--data={fresh}"] in shell_commands(batch)
    folder = notebooks.run_folder("demo", fresh).relative_to(notebooks.ROOT).as_posix()
    assert f"{folder}/memory.ipynb" in batch.stdout


@pytest.mark.slow
def test_batch_runs_in_any_folder(project, tmp_path):
    odd = tmp_path / ODD.strip()
    shutil.copytree(project, odd)
    (odd / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)
    shown = subprocess.run(
        [".venv/bin/python", "-m", "snakemake", "--dry-run", "--printshellcmds", "--cores", "1"],
        cwd=odd,
        env={**os.environ, "PYTHONPATH": str(odd)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert [f"{odd}/.venv/bin/python", "-m", "senformer", "site", "runs/demo"] in shell_commands(
        shown
    )


def jobs_of(outcome):
    """Return the rule and the fields of each job of a dry run."""
    assert outcome.returncode == 0, outcome.stderr
    blocks = re.findall(r"^rule (\w+):\n((?:    .*\n)+)", outcome.stdout, flags=re.MULTILINE)
    return [
        (rule, dict(re.findall(r"^    (\w+): (.*)$", text, re.MULTILINE))) for rule, text in blocks
    ]


@pytest.fixture(scope="module", params=[pytest.param("cpu", marks=pytest.mark.slow), "full"])
def jobs_of_profile(request, fresh):
    return request.param, jobs_of(dry_run(profile=request.param, data=fresh))


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


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("profile=gpu", "unknown profile 'gpu', expected one of cpu, demo, full"),
        ("data=007", "--config data: Snakemake reads it as 7; set SENFORMER_DATA"),
    ],
)
def test_batch_refuses_bad_settings(setting, message):
    outcome = dry_run("--config", setting)
    assert outcome.returncode != 0
    assert outcome.stderr.startswith(f"senformer: {message}")
    assert outcome.stderr.count("\n") == 1


PYTHON = """\
#!/bin/sh
for argument; do printf '%s\\0' "$argument"; done >>arguments
case "$*" in *run-folder*) echo folder ;; *snakemake*) printf '%s' "$SENFORMER_DATA" >data ;; esac
"""


@pytest.mark.parametrize("value", [ODD, "$(shell touch 3)", "$HOME", "a#b", "-x", "{a}", "007"])
@pytest.mark.parametrize("by_environment", [True, False])
def test_make_passes_folders_unchanged(value, by_environment, tmp_path):
    project = tmp_path / ODD.strip()
    programs = project / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        (project / name).symlink_to(notebooks.ROOT / name)
    (project / ".venv" / ".installed").touch()
    (programs / "python").write_text(PYTHON)
    (programs / "python").chmod(0o755)
    settings = {"DATA": value, "PROFILE": "full"}
    options = [] if by_environment else [f"{name}={text}" for name, text in settings.items()]
    environment = {**os.environ, **(settings if by_environment else {})}
    command = ["make", "--silent", "report", "serve", "publish", *options]
    subprocess.run(command, cwd=project, env=environment, capture_output=True, check=True)
    assert (project / "data").read_text() == value
    arguments = (project / "arguments").read_text().split("\0")
    assert arguments.count(f"--data={value}") == 3
    assert "folder/site" in arguments
    assert {path.name for path in project.iterdir()} == {
        *(".venv", "Makefile", "requirements.lock", "pyproject.toml", "data", "arguments")
    }


def test_make_refuses_newline_in_its_path(tmp_path):
    folder = tmp_path / "a\nb"
    folder.mkdir()
    command = ["make", "--file", notebooks.ROOT / "Makefile", "help"]
    outcome = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert outcome.returncode != 0
    assert "the project's path contains a newline, expected none" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
