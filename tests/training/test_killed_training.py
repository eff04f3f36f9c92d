"""A training that is killed at any moment, and started again, ends as one that was not."""

import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

NUM_KILLS = 20
NUM_STEPS = 400
LONGEST_WAIT_S = 0.7

# A process of its own: it says when it has resumed and is about to train.
TRAIN = """
import sys
from senformer.data import opening
from senformer.training import train
from senformer.config import preset
from senformer.model.enformer import Enformer

data, checkpoint, steps = sys.argv[1:]
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
    train.TrainingPlan(steps=int(steps), sequence_length_bp=10240, learning_rate=1e-3),
    checkpoint=checkpoint,
    trunk_cache=checkpoint + "-trunk",
)
"""


def start(data, checkpoint):
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(data), str(checkpoint), str(NUM_STEPS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.slow
def test_killed_at_twenty_moments_it_ends_with_the_same_weights(small_data, tmp_path):
    whole, killed = tmp_path / "whole.safetensors", tmp_path / "killed.safetensors"
    assert start(small_data, whole).wait() == 0
    moments = random.Random(0)
    for _ in range(NUM_KILLS):
        process = start(small_data, killed)
        process.stdout.readline()  # it has the data and the model; tracing comes next
        wait_for_a_new_checkpoint(process, killed)
        time.sleep(moments.uniform(0, LONGEST_WAIT_S))
        process.kill()
        assert process.wait() == -signal.SIGKILL, "it was done before it was killed"
    assert start(small_data, killed).wait() == 0
    one, other = load_file(whole), load_file(killed)
    assert one.keys() == other.keys()
    for name, array in one.items():
        if name != "progress" and not name.endswith("/progress"):  # it holds seconds
            np.testing.assert_array_equal(array, other[name], err_msg=name)


def wait_for_a_new_checkpoint(process, path):
    before = path.stat().st_mtime_ns if path.exists() else 0
    while process.poll() is None and not (path.exists() and path.stat().st_mtime_ns != before):
        time.sleep(0.01)
