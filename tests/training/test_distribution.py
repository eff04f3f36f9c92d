"""Trainings on several devices, which are parts of one CPU here, and by several processes."""

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

LONGEST_WAIT_S = 150

# It trains with four sequences a step, says how accurate the model is before and after, and writes
# losses and weights.
TRAIN = """
import json, sys
import numpy as np
import tensorflow as tf
from senformer.config import preset
from senformer.data import record_folders
from senformer.experiments.track_accuracy import accuracy_by_track_type
from senformer.model import checkpoints
from senformer.model.enformer import Enformer
from senformer.model.compute import device
from senformer.training import distribution, optimizer, train, train_step

asked = json.loads(sys.argv[1])
names = [f"CPU:{number}" for number in range(asked["devices"])]
[cpu] = tf.config.list_physical_devices("CPU")
parts = [tf.config.LogicalDeviceConfiguration() for _ in names]
tf.config.set_logical_device_configuration(cpu, parts)
strategy = tf.distribute.MirroredStrategy(names) if len(names) > 1 else distribution.all_devices()
train.STEPS_PER_CHECKPOINT = 2
train_step.CLIP_NORM = 1e-2  # so that all gradients are clipped
optimizer.EPSILON = asked.get("epsilon", optimizer.EPSILON)
folders = record_folders.open_folders(asked["data"])
with strategy.scope(), device.traced_for(asked.get("as_on", "cpu")):
    model = Enformer(
        preset(
            "senformer_tiny",
            attention=asked["attention"],
            num_transformer_layers=1,
            tracks={"human": folders["human"].num_tracks},
            target_length=32,
            dropout_rate=0.1,
            attention_dropout_rate=0.05,
            positional_dropout_rate=0.01,
        )
    )
    for block in model.transformer:
        block.mlp_in.b.assign_add(tf.fill(block.mlp_in.b.shape, asked.get("relu_input", 0.0)))
    done = train.train(
        model,
        folders,
        train.TrainingPlan(
            steps=asked["steps"],
            sequence_length_bp=10240,
            trainable=asked["trainable"],
            batch_size=4,
            sequences_at_once=asked.get("at_once"),
        ),
        checkpoint=asked.get("checkpoint"),
        trunk_cache=asked.get("trunk_cache"),
        evaluate=lambda one: accuracy_by_track_type(
            one, folders["human"], "valid", sequence_length_bp=10240
        ),
    )
arrays = dict(checkpoints.named_arrays(model))
np.savez(asked["out"], history=done.history["loss"], **arrays)
print(done.validation.to_json(double_precision=15))
"""


def start(out, data, *, worker=None, addresses=(), **asked):
    environment = dict(os.environ)
    if worker is not None:
        task = {"type": "worker", "index": worker}
        environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
    asked = {"out": str(out), "data": str(data), "devices": 1, "steps": 20, **asked}
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, json.dumps(asked)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def start_workers(number, out, data, **asked):
    addresses = free_addresses(number)
    return [
        start(out / f"worker-{n}.npz", data, worker=n, addresses=addresses, **asked)
        for n in range(number)
    ]


def free_addresses(number):
    sockets = [socket.create_server(("localhost", 0)) for _ in range(number)]
    addresses = [f"localhost:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return addresses


def ended(process):
    """The accuracies before and after."""
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    return out.splitlines()[-1]


def stored(path):
    with np.load(path) as arrays:
        return dict(arrays)


def assert_equal_but_for_rounding(one, other):
    """Losses to 1e-5 of themselves, weights and moving statistics to 1e-5."""
    np.testing.assert_allclose(other["history"], one["history"], rtol=1e-5)
    for name, end in one.items():
        if name != "history":
            assert np.abs(other[name] - end).max() <= 1e-5, name


def accuracies_before(said):
    table = pd.read_json(io.StringIO(said))
    return table[table["step"] == 0].to_dict()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("attention", "trainable"), [("bigbird_relative", "attention"), ("bigbird", "all")]
)
def test_a_divided_batch_trains_as_the_whole_one(small_data, tmp_path, attention, trainable):
    kind = {"attention": attention, "trainable": trainable}
    if trainable == "all":
        # Biases that a norm takes out again have a gradient of rounding alone. With its own
        # epsilon, 1e-8, Adam makes whole steps of that, and the statistics follow.
        kind["epsilon"] = 1e-3
    said = []
    for devices in (1, 2, 4):
        out = tmp_path / f"devices-{devices}.npz"
        said.append(ended(start(out, small_data, devices=devices, **kind)))
    said += map(ended, start_workers(2, tmp_path, small_data, **kind))
    names = ["devices-2", "devices-4", "worker-0", "worker-1"]
    if trainable == "attention":
        names.append("in-parts")
        out = tmp_path / "in-parts.npz"
        said.append(ended(start(out, small_data, devices=2, at_once=1, **kind)))
    for name in names:
        assert_equal_but_for_rounding(
            stored(tmp_path / "devices-1.npz"), stored(tmp_path / f"{name}.npz")
        )
    for other in said[1:]:
        assert accuracies_before(other) == accuracies_before(said[0])


@pytest.mark.slow
def test_gradients_with_the_statistics_of_all_devices_are_those_of_the_whole_batch(
    small_data, tmp_path
):
    """After one step Adam's first moment is a tenth of the gradient, clipped: norm 1e-3 at most.

    ReLU gets what is far from zero: of what is not, rounding decides whether its gradient passes.
    """
    kind = {"attention": "bigbird", "trainable": "all", "steps": 1, "relu_input": 10.0}
    moments = []
    for devices in (1, 2):
        path = tmp_path / f"{devices}.safetensors"
        out = tmp_path / f"{devices}.npz"
        ended(start(out, small_data, devices=devices, checkpoint=str(path), **kind))
        moments.append(
            {name: m for name, m in load_file(path).items() if name.startswith("extra/optimizer/m")}
        )
    for name, whole in moments[0].items():
        assert norm(moments[1][name] - whole) <= 1e-4 * norm(whole) + 1e-6, name


@pytest.mark.slow
def test_programs_of_a_gpu_divide_a_batch_too(small_data, tmp_path):
    kind = {"attention": "bigbird_relative", "trainable": "attention", "as_on": "gpu", "steps": 3}
    ended(start(tmp_path / "whole.npz", small_data, **kind))
    for name, divided in (("devices", {"devices": 2}), ("in-parts", {"at_once": 1})):
        ended(start(tmp_path / f"{name}.npz", small_data, **kind, **divided))
        assert_equal_but_for_rounding(
            stored(tmp_path / "whole.npz"), stored(tmp_path / f"{name}.npz")
        )


@pytest.mark.slow
@pytest.mark.parametrize(("trainable", "who"), [("attention", 0), ("attention", 1), ("all", 0)])
def test_where_one_worker_is_killed_all_end_and_the_next_start_goes_on(
    small_data, tmp_path, trainable, who
):
    kind = {"attention": "bigbird", "trainable": trainable}
    said = {}
    for name in ("whole", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        kind["checkpoint"] = str(folder / "run.safetensors")
        kind["trunk_cache"] = str(folder / "trunk") if trainable == "attention" else None
        if name == "killed":
            both = start_workers(2, folder, small_data, **kind)
            kill_in_training(both[who], folder / "run.safetensors")
            _, errors = both[1 - who].communicate(timeout=LONGEST_WAIT_S)
            assert both[1 - who].returncode == 1
            assert errors.splitlines()[-1].startswith(
                f"ConnectionError: worker {1 - who} of 2: another worker has ended; start all of "
                f"them again, and the training goes on from {folder}"
            )
        said[name] = [ended(one) for one in start_workers(2, folder, small_data, **kind)]
    assert said["killed"] == said["whole"]
    for worker in ("worker-0.npz", "worker-1.npz"):
        whole, killed = (stored(tmp_path / name / worker) for name in ("whole", "killed"))
        for name, array in whole.items():
            np.testing.assert_array_equal(killed[name], array, err_msg=name)


def kill_in_training(process, checkpoint):
    while process.poll() is None and not checkpoint.exists():
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "it was done before it was killed"


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_devices(small_data, tmp_path):
    kind = {"attention": "bigbird", "trainable": "attention"}
    ended(start(tmp_path / "whole.npz", small_data, **kind))
    kind["checkpoint"] = str(tmp_path / "run.safetensors")
    for devices, steps in ((2, 4), (1, 12), (4, 20)):
        out = tmp_path / f"{devices}.npz"
        ended(start(out, small_data, devices=devices, **kind | {"steps": steps}))
    assert_equal_but_for_rounding(stored(tmp_path / "whole.npz"), stored(tmp_path / "4.npz"))


def test_a_model_of_another_strategy_is_refused():
    model = Enformer(preset("enformer_tiny", num_transformer_layers=1, tracks={"human": 1}))
    distribution.expect_same_strategy(model)
    with (
        tf.distribute.OneDeviceStrategy("CPU:0").scope(),
        pytest.raises(
            ValueError,
            match="a model of no strategy is trained with OneDeviceStrategy, expected both in the",
        ),
    ):
        distribution.expect_same_strategy(model)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"TF_CONFIG": "{"}, "TF_CONFIG does not name the workers"),
        ({"TF_CONFIG": '{"task": {"type": "worker", "index": 0}}'}, "TF_CONFIG does not name"),
        (
            {
                "TF_CONFIG": '{"cluster": {"worker": ["a:1", "b:1"]}, '
                '"task": {"type": "worker", "index": 2}}'
            },
            r"TF_CONFIG does not name the workers \(IndexError.* expected a cluster of `worker`s",
        ),
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0"}, "SLURM's step does not name"),
    ],
)
def test_workers_that_are_not_named_are_refused(monkeypatch, variables, message):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        distribution.all_devices()


def test_tasks_of_slurm_are_workers_in_their_own_order(monkeypatch):
    for name, value in {
        "STEP_NODELIST": "gpu[9-10],big",
        "STEP_TASKS_PER_NODE": "2(x2),1",
        "STEP_NUM_TASKS": "5",
        "JOB_ID": "4711",
        "PROCID": "2",
    }.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    resolver = distribution._workers_of_slurm()
    hosts = [address.split(":")[0] for address in resolver.cluster_spec().as_dict()["worker"]]
    assert hosts == ["gpu9", "gpu9", "gpu10", "gpu10", "big"]
    assert len(set(resolver.cluster_spec().as_dict()["worker"])) == 5
    assert resolver.task_id == 2
