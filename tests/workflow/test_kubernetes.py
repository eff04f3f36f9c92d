"""What Kubernetes is told of a job, and what is made of its answers, by a stand-in for kubectl."""

import os
import subprocess

import pytest
import yaml

from senformer.workflow import notebooks

COMMANDS = notebooks.ROOT / "cluster" / "kubernetes"


@pytest.fixture
def tell(tmp_path):
    """Runs a command of ours where kubectl keeps what it is told, and answers as it is asked to."""
    kubectl = tmp_path / "kubectl"

    def run(command, *arguments, kubectl_does="cat > told; echo job.batch/one"):
        kubectl.write_text(f"#!/bin/sh\n{kubectl_does}\n")
        kubectl.chmod(0o755)
        environment = {"SENFORMER_CLAIM": "project", "SENFORMER_IMAGE": "python:3.13"}
        answer = subprocess.run(
            [COMMANDS / command, *arguments],
            cwd=tmp_path,
            env={**environment, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=True,
        )
        return answer.stdout.strip()

    return run


@pytest.mark.parametrize("sharing", ["--exclusive", ""])
def test_a_job_gets_what_its_rule_asks_for_and_a_timed_one_a_node(sharing, tell, tmp_path):
    asked = ["receptive_field", "8", "32000", "1440", "1", sharing, f"{tmp_path}/job.sh"]
    assert tell("submit", *asked) == "job.batch/one"
    job = yaml.safe_load((tmp_path / "told").read_text())
    pod = job["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    limits = {"memory": "32000M", "nvidia.com/gpu": 1}
    assert job["metadata"]["generateName"] == "senformer-receptive-field-"
    assert pod["spec"]["activeDeadlineSeconds"] == 24 * 60 * 60
    assert container["resources"] == {"limits": limits, "requests": {"cpu": 8, **limits}}
    assert container["command"] == ["sh", f"{tmp_path}/job.sh"]
    assert container["workingDir"] == container["volumeMounts"][0]["mountPath"] == str(tmp_path)
    ((rule,),) = pod["spec"]["affinity"]["podAntiAffinity"].values()
    alone = {"app": "senformer", "alone": "yes"}
    shunned = rule["labelSelector"]["matchLabels"]
    if sharing:
        assert pod["metadata"]["labels"] == alone
        assert shunned == {"app": "senformer"}
    else:
        assert pod["metadata"]["labels"] == {"app": "senformer", "alone": "no"}
        assert shunned == alone


@pytest.mark.parametrize(
    ("kubectl_does", "expected"),
    [
        ("printf 'there Complete'", "success"),
        ("printf 'there FailureTarget Failed'", "failed"),
        ("printf 'there '", "running"),
        ("exit 0", "failed"),  # it was deleted
        ("exit 1", "running"),  # nobody answers
    ],
)
def test_what_has_become_of_a_job(kubectl_does, expected, tell):
    assert tell("status", "job.batch/one", kubectl_does=kubectl_does) == expected
