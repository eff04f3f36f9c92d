"""Train on several devices, which are logical devices of one CPU, and in several processes."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from numpy.linalg import norm
from safetensors.numpy import load_file

from senformer.config import preset
from senformer.model.enformer import Enformer
from senformer.training import distribution

TIMEOUT_S = 150

# Trains with four sequences per step, prints the accuracies before and after the training, and
# writes losses and weights.
TRAIN = """
import json, sys
import numpy as np
import tensorflow as tf
from senformer.config import preset
from senformer.data import record_folders
from senformer.evaluation.track_accuracy import evaluate_track_types
from senformer.model import checkpoints
from senformer.model.enformer import Enformer
from senformer.model.compute import device
from senformer.training import distribution, optimizer, train, train_step

options = json.loads(sys.argv[1])
names = [f"CPU:{number}" for number in range(options["devices"])]
[cpu] = tf.config.list_physical_devices("CPU")
parts = [tf.config.LogicalDeviceConfiguration() for _ in names]
tf.config.set_logical_device_configuration(cpu, parts)
strategy = tf.distribute.MirroredStrategy(names) if len(names) > 1 else distribution.all_devices()
train.STEPS_PER_CHECKPOINT = 2
train_step.CLIP_NORM = 1e-2  # so that all gradients are clipped
optimizer.EPSILON = options.get("epsilon", optimizer.EPSILON)
folders = record_folders.open_folders(options["data"])
with strategy.scope(), device.traced_for(options.get("device_type", "cpu")):
    model = Enformer(
        preset(
            "senformer_tiny",
            attention=options["attention"],
            num_transformer_layers=1,
            tracks={"human": folders["human"].num_tracks},
            target_length=32,
            dropout_rate=options.get("dropout", 0.0),
            attention_dropout_rate=options.get("dropout", 0.0) / 2,
            positional_dropout_rate=options.get("dropout", 0.0) / 10,
        )
    )
    for block in model.transformer:
        block.mlp_in.b.assign_add(tf.fill(block.mlp_in.b.shape, options.get("relu_input", 0.0)))
    done = train.train(
        model,
        folders,
        train.TrainingPlan(
            steps=options["steps"],
            sequence_length_bp=10240,
            trainable=options["trainable"],
            batch_size=4,
            sequences_at_once=options.get("at_once"),
        ),
        checkpoint=options.get("checkpoint"),
        trunk_cache=options.get("trunk_cache"),
        evaluation=train.Evaluation(
            lambda model: evaluate_track_types(
                model, folders["human"], "valid", sequence_length_bp=10240
            ).table
        ),
    )
arrays = dict(checkpoints.named_arrays(model))
np.savez(options["out"], history=done.history["loss"], **arrays)
print(done.validation.to_json(double_precision=15))
"""


def start(out, data, *, worker=None, addresses=(), **options):
    environment = dict(os.environ)
    if worker is not None:
        task = {"type": "worker", "index": worker}
        environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
    options = {"out": str(out), "data": str(data), "devices": 1, "steps": 20, **options}
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, json.dumps(options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def start_workers(number, folder, data, **options):
    sockets = [socket.create_server(("localhost", 0)) for _ in range(number)]
    addresses = [f"localhost:{opened.getsockname()[1]}" for opened in sockets]
    for opened in sockets:
        opened.close()
    return [
        start(folder / f"worker-{n}.npz", data, worker=n, addresses=addresses, **options)
        for n in range(number)
    ]


def wait(process):
    """Wait for a training and return its accuracies."""
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    return out.splitlines()[-1]


def read(path):
    with np.load(path) as arrays:
        return dict(arrays)


def assert_equal_up_to_rounding(expected_path, path):
    """Compare losses (relative) and weights (absolute) to 1e-5."""
    expected, found = read(expected_path), read(path)
    np.testing.assert_allclose(found.pop("history"), expected.pop("history"), rtol=1e-5)
    for name, array in expected.items():
        assert np.abs(found[name] - array).max() <= 1e-5, name


def accuracies_before(printed):
    table = pd.read_json(io.StringIO(printed))
    return table[table["step"] == 0].to_dict()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("attention", "trainable", "device_type", "steps"),
    [
        ("bigbird_relative", "attention", "cpu", 20),
        ("bigbird_relative", "attention", "gpu", 3),
        ("bigbird", "all", "cpu", 20),
    ],
)
def test_divided_batch_trains_as_the_whole(
    small_data, tmp_path, attention, trainable, device_type, steps
):
    options = {
        "attention": attention,
        "trainable": trainable,
        "device_type": device_type,
        "steps": steps,
    }
    if trainable == "all":
        # The gradient of a bias that a norm cancels is only rounding, and with an epsilon of 1e-8
        # Adam makes whole steps of it, which the moving statistics follow.
        options["epsilon"] = 1e-3
    printed, names = [], ["devices-1", "devices-2", "devices-4", "worker-0", "worker-1"]
    for devices in (1, 2, 4):
        out = tmp_path / f"devices-{devices}.npz"
        printed.append(wait(start(out, small_data, devices=devices, **options)))
    printed += map(wait, start_workers(2, tmp_path, small_data, **options))
    if trainable == "attention":
        names.append("parts")
        out = tmp_path / "parts.npz"
        printed.append(wait(start(out, small_data, devices=2, at_once=1, **options)))
    for name in names[1:]:
        assert_equal_up_to_rounding(tmp_path / "devices-1.npz", tmp_path / f"{name}.npz")
    for other in printed[1:]:
        assert accuracies_before(other) == accuracies_before(printed[0])


@pytest.mark.slow
def test_batch_norm_gradients_use_all_devices(small_data, tmp_path):
    """After one step, Adam's first moment is a tenth of the clipped gradient: norm 1e-3 at most.

    The inputs of ReLU are far from zero; near zero, rounding would decide over the gradient.
    """
    options = {"attention": "bigbird", "trainable": "all", "steps": 1, "relu_input": 10.0}
    moments = []
    for devices in (1, 2):
        path = tmp_path / f"{devices}.safetensors"
        out = tmp_path / f"{devices}.npz"
        wait(start(out, small_data, devices=devices, checkpoint=str(path), **options))
        moments.append(
            {name: m for name, m in load_file(path).items() if name.startswith("extra/optimizer/m")}
        )
    for name, whole in moments[0].items():
        assert norm(moments[1][name] - whole) <= 1e-4 * norm(whole) + 1e-6, name


@pytest.mark.slow
@pytest.mark.parametrize(("trainable", "killed"), [("attention", 0), ("attention", 1), ("all", 0)])
def test_killed_worker_ends_all_and_run_resumes(small_data, tmp_path, trainable, killed):
    options = {"attention": "bigbird", "trainable": trainable, "dropout": 0.1}
    printed = {}
    for name in ("whole", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        options["checkpoint"] = str(folder / "run.safetensors")
        options["trunk_cache"] = str(folder / "trunk") if trainable == "attention" else None
        if name == "killed":
            both = start_workers(2, folder, small_data, **options)
            kill_in_training(both[killed], folder / "run.safetensors")
            _, errors = both[1 - killed].communicate(timeout=TIMEOUT_S)
            assert both[1 - killed].returncode == 1
            assert errors.splitlines()[-1].startswith(
                f"ConnectionError: worker {1 - killed} of 2: another worker has ended; start all "
                f"workers again; the training resumes from {folder}"
            )
        printed[name] = [
            wait(process) for process in start_workers(2, folder, small_data, **options)
        ]
    assert printed["killed"] == printed["whole"]
    for worker in ("worker-0.npz", "worker-1.npz"):
        resumed = read(tmp_path / "killed" / worker)
        for name, array in read(tmp_path / "whole" / worker).items():
            np.testing.assert_array_equal(resumed[name], array, err_msg=name)


def kill_in_training(process, checkpoint):
    while process.poll() is None and not checkpoint.exists():
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "the process ended before it was killed"


@pytest.mark.slow
def test_run_resumes_on_other_devices(small_data, tmp_path):
    options = {"attention": "bigbird", "trainable": "attention"}
    wait(start(tmp_path / "whole.npz", small_data, **options))
    options["checkpoint"] = str(tmp_path / "run.safetensors")
    for devices, steps in ((2, 4), (1, 12), (4, 20)):
        out = tmp_path / f"{devices}.npz"
        wait(start(out, small_data, devices=devices, **options | {"steps": steps}))
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
