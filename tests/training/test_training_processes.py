"""Train in processes that are killed and restarted, or that share one run."""

import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

NUM_KILLS = 20
LONGEST_WAIT_S = 0.7
LONGEST_WAIT_IN_EVALUATION_S = 0.2

# Prints when it is about to resume, when it evaluates, and the final accuracies and weights.
TRAIN = """
import sys
from senformer.config import preset
from senformer.data import record_folders
from senformer.evaluation.track_accuracy import evaluate_track_types
from senformer.model import checkpoints
from senformer.model.enformer import Enformer
from senformer.training import train, train_step
from senformer.training.identity import digest_arrays

data, checkpoint, trainable, steps = sys.argv[1:]
folders = record_folders.open_folders(data)
tracks = {"human": folders["human"].num_tracks}
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
make = train_step.make_train_step

def make_and_print(*arguments, **options):
    print("training", flush=True)
    return make(*arguments, **options)

def evaluate(model):
    print("evaluating", flush=True)
    return evaluate_track_types(model, folders["human"], "valid", sequence_length_bp=10240).table

train_step.make_train_step = make_and_print
done = train.train(
    model,
    folders,
    train.TrainingPlan(
        steps=int(steps), sequence_length_bp=10240, learning_rate=1e-3, trainable=trainable
    ),
    checkpoint=checkpoint,
    trunk_cache=checkpoint + "-trunk" if trainable == "attention" else None,
    evaluation=train.Evaluation(evaluate, every=10),
)
print(done.validation.to_json())
print(digest_arrays(checkpoints.named_arrays(model)))
"""


def start(data, checkpoint, trainable="attention", steps=2):
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(data), str(checkpoint), trainable, str(steps)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("trainable", "steps"), [("attention", 400), ("all", 300)])
def test_killed_run_resumes_to_identical_weights(small_data, tmp_path, trainable, steps):
    whole, killed = (tmp_path / name / "run.safetensors" for name in ("whole", "killed"))
    expected = read_last_lines(start(small_data, whole, trainable, steps))
    moments = random.Random(0)
    for number in range(NUM_KILLS):
        process = start(small_data, killed, trainable, steps)
        process.stdout.readline()
        wait_for_a_new_checkpoint(process, killed)
        if number % 2:
            wait_until_it_evaluates(process)
            time.sleep(moments.uniform(0, LONGEST_WAIT_IN_EVALUATION_S))
        else:
            time.sleep(moments.uniform(0, LONGEST_WAIT_S))
        process.kill()
        assert process.wait() == -signal.SIGKILL, "the process ended before it was killed"
    assert read_last_lines(start(small_data, killed, trainable, steps)) == expected
    expect_same_files(whole.parent, killed.parent)


def read_last_lines(process):
    """Return the last two lines of a process: accuracies and digest of the weights."""
    lines = process.communicate()[0].splitlines()
    assert process.returncode == 0
    return lines[-2:]


def wait_until_it_evaluates(process):
    assert any(line == "evaluating\n" for line in process.stdout), "it ended too early"


def wait_for_a_new_checkpoint(process, path):
    before = path.stat().st_mtime_ns if path.exists() else 0
    while process.poll() is None and not (path.exists() and path.stat().st_mtime_ns != before):
        time.sleep(0.01)


@pytest.mark.slow
def test_two_processes_share_a_run(small_data, tmp_path):
    checkpoint = tmp_path / "run.safetensors"
    both = [start(small_data, checkpoint) for _ in range(2)]
    results = [read_last_lines(process) for process in both]
    assert results[0] == results[1]
    assert {path.name for path in tmp_path.iterdir()} == {
        checkpoint.name,
        f"{checkpoint.name}-trunk",
    }


def expect_same_files(one, other):
    """Compare checkpoint and tokens bit by bit."""
    files = {path.relative_to(one) for path in one.rglob("*")}
    assert {path.relative_to(other) for path in other.rglob("*")} == files
    for file in files:
        if file.suffix == ".safetensors":
            given, found = load_file(one / file), load_file(other / file)
            assert given.keys() == found.keys()
            for name, array in given.items():
                if name != "extra/progress":  # contains seconds
                    np.testing.assert_array_equal(found[name], array, err_msg=f"{file}: {name}")
