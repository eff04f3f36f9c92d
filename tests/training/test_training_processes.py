"""Trainings as processes: killed at any moment and started again, or two of one run at once."""

import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

NUM_KILLS = 15
LONGEST_WAIT_S = 0.7

# It says when it has the data and the model, and is about to resume and to train.
TRAIN = """
import sys
from senformer.data import opening
from senformer.training import train
from senformer.config import preset
from senformer.model.enformer import Enformer

data, checkpoint, trainable, steps = sys.argv[1:]
folders = opening.open_folders(data)
tracks = {head: folder.num_tracks for head, folder in folders.items()}
model = Enformer(
    preset(
        "senformer_tiny",
        num_transformer_layers=1,
        tracks=tracks,
        target_length=32,
        dropout_rate=0.1,
    )
)
train.STEPS_PER_CHECKPOINT = 2
make = train.make_train_step

def announced(*arguments, **options):
    print("training", flush=True)
    return make(*arguments, **options)

train.make_train_step = announced
train.train(
    model,
    folders,
    train.TrainingPlan(
        steps=int(steps), sequence_length_bp=10240, learning_rate=1e-3, trainable=trainable
    ),
    checkpoint=checkpoint,
    trunk_cache=checkpoint + "-trunk" if trainable == "attention" else None,
)
"""


def start(data, checkpoint, trainable="attention", steps=4):
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(data), str(checkpoint), trainable, str(steps)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("trainable", "steps"), [("attention", 400), ("all", 150)])
def test_killed_at_many_moments_it_ends_as_one_that_was_not(small_data, tmp_path, trainable, steps):
    whole, killed = (tmp_path / name / "run.safetensors" for name in ("whole", "killed"))
    assert start(small_data, whole, trainable, steps).wait() == 0
    moments = random.Random(0)
    for _ in range(NUM_KILLS):
        process = start(small_data, killed, trainable, steps)
        process.stdout.readline()
        wait_for_a_new_checkpoint(process, killed)
        time.sleep(moments.uniform(0, LONGEST_WAIT_S))
        process.kill()
        assert process.wait() == -signal.SIGKILL, "it was done before it was killed"
    assert start(small_data, killed, trainable, steps).wait() == 0
    expect_same_files(whole.parent, killed.parent)


def wait_for_a_new_checkpoint(process, path):
    before = path.stat().st_mtime_ns if path.exists() else 0
    while process.poll() is None and not (path.exists() and path.stat().st_mtime_ns != before):
        time.sleep(0.01)


def test_two_of_one_run_at_once_both_end_with_what_one_alone_ends_with(small_data, tmp_path):
    alone, shared = (tmp_path / name / "run.safetensors" for name in ("alone", "shared"))
    processes = [start(small_data, path) for path in (alone, shared, shared)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    expect_same_files(alone.parent, shared.parent)


def expect_same_files(one, other):
    """Checkpoint and tokens, bit by bit, and none beside them."""
    files = {path.relative_to(one) for path in one.rglob("*")}
    assert {path.relative_to(other) for path in other.rglob("*")} == files
    for file in files:
        if file.suffix == ".safetensors":
            given, found = load_file(one / file), load_file(other / file)
            assert given.keys() == found.keys()
            for name, array in given.items():
                if name != "extra/progress":  # it holds seconds
                    np.testing.assert_array_equal(found[name], array, err_msg=f"{file}: {name}")
