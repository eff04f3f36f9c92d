"""The commands for Kubernetes submit jobs and read their status; a script replaces kubectl."""

import os
import subprocess

import pytest
import yaml

from senformer.workflow import notebooks

FOLDER = """it's "my" $(folder) {x} \\"""
COMMANDS = notebooks.ROOT / "cluster" / "kubernetes"


@pytest.fixture
def run_command(tmp_path):
    """Return a function that runs a command with a script in place of kubectl."""
    kubectl = tmp_path / "kubectl"
    (tmp_path / FOLDER).mkdir()

    def run(command, *arguments, kubectl_does="cat > input; echo job.batch/one"):
        kubectl.write_text(f"#!/bin/sh\n{kubectl_does}\n")
        kubectl.chmod(0o755)
        environment = {"SENFORMER_CLAIM": "project", "SENFORMER_IMAGE": "python:3.13"}
        answer = subprocess.run(
            [COMMANDS / command, *arguments],
            cwd=tmp_path / FOLDER,
            env={**environment, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=True,
        )
        return answer.stdout.strip()

    return run


@pytest.mark.parametrize("sharing", ["--exclusive", ""])
def test_submit_requests_resources(sharing, run_command, tmp_path):
    arguments = ["receptive_field", "8", "32000", "1440", "1", sharing, f"{tmp_path / FOLDER}/job"]
    assert run_command("submit", *arguments) == "job.batch/one"
    job = yaml.safe_load((tmp_path / FOLDER / "input").read_text())
    pod = job["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    limits = {"memory": "32000M", "nvidia.com/gpu": 1}
    assert job["metadata"]["generateName"] == "senformer-receptive-field-"
    assert pod["spec"]["activeDeadlineSeconds"] == 24 * 60 * 60
    assert container["resources"] == {"limits": limits, "requests": {"cpu": 8, **limits}}
    assert container["command"] == ["sh", f"{tmp_path / FOLDER}/job"]
    assert (
        container["workingDir"]
        == container["volumeMounts"][0]["mountPath"]
        == f"{tmp_path / FOLDER}"
    )
    ((rule,),) = pod["spec"]["affinity"]["podAntiAffinity"].values()
    alone = {"app": "senformer", "alone": "yes"}
    avoided = rule["labelSelector"]["matchLabels"]
    if sharing:
        assert pod["metadata"]["labels"] == alone
        assert avoided == {"app": "senformer"}
    else:
        assert pod["metadata"]["labels"] == {"app": "senformer", "alone": "no"}
        assert avoided == alone


@pytest.mark.parametrize(
    ("kubectl_does", "expected"),
    [
        ("printf 'there Complete'", "success"),
        ("printf 'there FailureTarget Failed'", "failed"),
        ("printf 'there '", "running"),
        ("exit 0", "failed"),  # the job was deleted
        ("exit 1", "running"),  # the server does not answer
    ],
)
def test_status_translates_answers(kubectl_does, expected, run_command):
    assert run_command("status", "job.batch/one", kubectl_does=kubectl_does) == expected
