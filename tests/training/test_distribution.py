"""Train on several devices, which are logical devices of one CPU, and in several processes."""

import io
import json
import signal
import socket
import time

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import training_process
from numpy.linalg import norm
from safetensors.numpy import load_file
from training_process import wait

from senformer.config import preset
from senformer.model.enformer import Enformer
from senformer.training import distribution

TIMEOUT_S = 150

ATTENTION = {"steps": 20, "trainable": "attention"}
ALL = {"steps": 20, "trainable": "all"}


def start(out, data, plan=ATTENTION, **options):
    """Start a training with four sequences per step, whose gradients are all clipped."""
    plan = {"batch_size": 4, **plan}
    return training_process.start(data, out=out, plan=plan, **{"clip_norm": 1e-2, **options})


def start_workers(folder, data, plan=ATTENTION, **options):
    """Start two workers of one training."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(2)]
    cluster = {"worker": [f"localhost:{opened.getsockname()[1]}" for opened in sockets]}
    for opened in sockets:
        opened.close()
    processes = []
    for number in range(2):
        task = {"type": "worker", "index": number}
        environment = {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}
        out = folder / f"worker-{number}.npz"
        processes.append(start(out, data, plan, environment=environment, **options))
    return processes


def read(path):
    with np.load(path) as arrays:
        return dict(arrays)


def assert_equal_up_to_rounding(expected_path, path):
    """Compare losses (relative) and weights (absolute) to 1e-5."""
    expected, found = read(expected_path), read(path)
    np.testing.assert_allclose(found.pop("history"), expected.pop("history"), rtol=1e-5)
    for name, array in expected.items():
        assert np.abs(found[name] - array).max() <= 1e-5, name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("attention", "device_type", "plan", "options"),
    [
        ("bigbird_relative", "cpu", ATTENTION, {}),
        ("bigbird_relative", "gpu", {**ATTENTION, "steps": 3}, {}),
        # The gradient of a bias that a norm cancels is only rounding, and with an epsilon of 1e-8
        # Adam makes whole steps of it, which the moving statistics follow.
        ("bigbird", "cpu", ALL, {"epsilon": 1e-3}),
    ],
)
def test_divided_batch_trains_as_the_whole(
    small_data, tmp_path, attention, device_type, plan, options
):
    options = {"model": {"attention": attention}, "device_type": device_type, **options}
    printed, names = [], ["devices-1", "devices-2", "devices-4", "worker-0", "worker-1"]
    for devices in (1, 2, 4):
        out = tmp_path / f"devices-{devices}.npz"
        printed.append(wait(start(out, small_data, plan, devices=devices, **options)))
    printed += map(wait, start_workers(tmp_path, small_data, plan, **options))
    if plan["trainable"] == "attention":
        names.append("parts")
        in_parts = {**plan, "sequences_at_once": 1}
        out = tmp_path / "parts.npz"
        printed.append(wait(start(out, small_data, in_parts, devices=2, **options)))
    for name in names[1:]:
        assert_equal_up_to_rounding(tmp_path / "devices-1.npz", tmp_path / f"{name}.npz")
    tables = [pd.read_json(io.StringIO(accuracies)) for accuracies, _ in printed]
    before = [table[table["step"] == 0].to_dict() for table in tables]
    assert before == before[:1] * len(before)


@pytest.mark.slow
def test_batch_norm_gradients_use_all_devices(small_data, tmp_path):
    """After one step, Adam's first moment is a tenth of the clipped gradient: norm 1e-3 at most.

    The inputs of ReLU are far from zero; near zero, rounding would decide over the gradient.
    """
    moments = []
    for devices in (1, 2):
        path = tmp_path / f"{devices}.safetensors"
        options = {"devices": devices, "checkpoint": path, "relu_input": 10.0}
        wait(start(None, small_data, {**ALL, "steps": 1}, **options))
        moments.append(
            {name: m for name, m in load_file(path).items() if name.startswith("extra/optimizer/m")}
        )
    for name, whole in moments[0].items():
        assert norm(moments[1][name] - whole) <= 1e-4 * norm(whole) + 1e-6, name


@pytest.mark.slow
@pytest.mark.parametrize(("plan", "killed"), [(ATTENTION, 0), (ATTENTION, 1), (ALL, 0)])
def test_killed_worker_ends_all_and_run_resumes(small_data, tmp_path, plan, killed):
    rates = {"dropout_rate": 0.1, "attention_dropout_rate": 0.05, "positional_dropout_rate": 0.01}
    printed = {}
    for name in ("whole", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        options = {"model": rates, "checkpoint": folder / "run.safetensors"}
        if plan == ATTENTION:
            options["trunk_cache"] = folder / "trunk"
        if name == "killed":
            both = start_workers(folder, small_data, plan, **options)
            kill_in_training(both[killed], folder / "run.safetensors")
            _, errors = both[1 - killed].communicate(timeout=TIMEOUT_S)
            assert both[1 - killed].returncode == 1
            assert errors.splitlines()[-1].startswith(
                f"ConnectionError: worker {1 - killed} of 2: another worker has ended; start all "
                f"workers again; the training resumes from {folder}"
            )
        both = start_workers(folder, small_data, plan, **options)
        printed[name] = [wait(process) for process in both]
    assert printed["killed"] == printed["whole"]


def kill_in_training(process, checkpoint):
    while process.poll() is None and not checkpoint.exists():
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "the process ended before it was killed"


@pytest.mark.slow
def test_run_resumes_on_other_devices(small_data, tmp_path):
    wait(start(tmp_path / "whole.npz", small_data))
    checkpoint = tmp_path / "run.safetensors"
    for devices, steps in ((2, 4), (1, 12), (4, 20)):
        out, plan = tmp_path / f"{devices}.npz", {**ATTENTION, "steps": steps}
        wait(start(out, small_data, plan, devices=devices, checkpoint=checkpoint))
    assert_equal_up_to_rounding(tmp_path / "whole.npz", tmp_path / "4.npz")


def test_check_strategy_rejects_another_scope():
    model = Enformer(preset("enformer_tiny", num_transformer_layers=1, tracks={"human": 1}))
    distribution.check_strategy(model)
    with (
        tf.distribute.OneDeviceStrategy("CPU:0").scope(),
        pytest.raises(
            ValueError,
            match="the model was made with no strategy and is trained with OneDeviceStrategy",
        ),
    ):
        distribution.check_strategy(model)


CLUSTER = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}'
STEP = {
    "SLURM_STEP_NODELIST": "gpu[9-10],big",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2),1",
    "SLURM_STEP_NUM_TASKS": "5",
    "SLURM_JOB_ID": "4711",
    "SLURM_PROCID": "2",
}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"TF_CONFIG": "{"}, "TF_CONFIG does not name the workers"),
        ({"TF_CONFIG": '{"task": {"type": "worker", "index": 0}}'}, "TF_CONFIG does not name"),
        (
            {"TF_CONFIG": CLUSTER},
            r"TF_CONFIG does not name the workers \(IndexError.* expected a cluster with the addre",
        ),
        ({"TF_CONFIG": CLUSTER.replace("2}", "-1}")}, r"TF_CONFIG does not name .*task -1"),
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0"}, "SLURM's step does not name"),
        *(
            ({"SLURM_STEP_NUM_TASKS": value}, "SLURM_STEP_NUM_TASKS='.*', expected an integer of")
            for value in ("x", "", "-1", "2.0", "1e3", " 2", "9" * 5000)
        ),
        *(
            ({**STEP, f"SLURM_{name}": value}, f"SLURM's step .*SLURM_{name}='.*', expected")
            for name, value in (
                ("PROCID", "-1"),
                ("PROCID", "x"),
                ("JOB_ID", "x"),
                ("STEP_TASKS_PER_NODE", "1(x99999999)"),
                ("STEP_NODELIST", "n[1-99999999]"),
            )
        ),
    ],
)
def test_all_devices_names_missing_workers(monkeypatch, variables, message):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        distribution.all_devices()


def test_slurm_tasks_keep_their_order(monkeypatch):
    for name, value in STEP.items():
        monkeypatch.setenv(name, value)
    resolver = distribution.find_slurm_workers()
    hosts = [address.split(":")[0] for address in resolver.cluster_spec().as_dict()["worker"]]
    assert hosts == ["gpu9", "gpu9", "gpu10", "gpu10", "big"]
    assert len(set(resolver.cluster_spec().as_dict()["worker"])) == 5
    assert resolver.task_id == 2
