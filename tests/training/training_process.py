"""A training in a process of its own: `start` starts it, and `train_and_print` is its program."""

import json
import os
import subprocess
import sys

import numpy as np
import tensorflow as tf

from senformer.config import preset
from senformer.data import record_folders
from senformer.evaluation.track_accuracy import evaluate_track_types
from senformer.model import checkpoints
from senformer.model.compute import device
from senformer.model.enformer import Enformer
from senformer.training import distribution, optimizer, train, train_step
from senformer.training.identity import digest_arrays


def start(data, *, environment=(), stderr=subprocess.PIPE, **options):
    """Start a training; it prints as `train_and_print` does."""
    return subprocess.Popen(
        [sys.executable, __file__, json.dumps({"data": str(data), **options}, default=str)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env={**os.environ, **dict(environment)},
    )


def wait(process):
    """Wait for a training and return its accuracies and the digest of its weights."""
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    return out.splitlines()[-2:]


def train_and_print(
    data, devices=1, device_type="cpu", plan=(), model=(), out=None, every=None, **options
):
    """Train, save losses and weights, and print accuracies and the digest of the weights.

    Before that, print when the training and when each evaluation begins.
    """
    names = [f"CPU:{number}" for number in range(devices)]
    [cpu] = tf.config.list_physical_devices("CPU")
    parts = [tf.config.LogicalDeviceConfiguration() for _ in names]
    tf.config.set_logical_device_configuration(cpu, parts)
    strategy = tf.distribute.MirroredStrategy(names) if devices > 1 else distribution.all_devices()
    train.STEPS_PER_CHECKPOINT = 2
    optimizer.EPSILON = options.pop("epsilon", optimizer.EPSILON)
    train_step.CLIP_NORM = options.pop("clip_norm", train_step.CLIP_NORM)
    relu_input = options.pop("relu_input", 0.0)
    folders = record_folders.open_folders(data)
    tracks = {"human": folders["human"].num_tracks}
    sizes = {"num_transformer_layers": 1, "tracks": tracks, "target_length": 32}

    def evaluate(model):
        print("evaluating", flush=True)
        found = evaluate_track_types(model, folders["human"], "valid", sequence_length_bp=10240)
        return found.table

    with strategy.scope(), device.traced_for(device_type):
        trained = Enformer(preset("senformer_tiny", **sizes, **dict(model)))
        for block in trained.transformer:
            block.mlp_in.b.assign_add(tf.fill(block.mlp_in.b.shape, relu_input))
        print("training", flush=True)
        done = train.train(
            trained,
            folders,
            train.TrainingPlan(sequence_length_bp=10240, **dict(plan)),
            evaluation=train.Evaluation(evaluate, every=every),
            **options,
        )
    arrays = dict(checkpoints.named_arrays(trained))
    if out:
        np.savez(out, history=done.history["loss"], **arrays)
    print(done.validation.to_json(double_precision=15))
    print(digest_arrays(arrays.items()))


if __name__ == "__main__":
    train_and_print(**json.loads(sys.argv[1]))
