"""Train in processes that are killed and restarted, or that share one run."""

import random
import signal
import subprocess
import time

import numpy as np
import pytest
import training_process
from safetensors.numpy import load_file

NUM_KILLS = 20
LONGEST_WAIT_S = 0.7
LONGEST_WAIT_IN_EVALUATION_S = 0.2


def start(data, checkpoint, trainable="attention", steps=2):
    return training_process.start(
        data,
        stderr=subprocess.DEVNULL,  # nobody reads it, so that a pipe could fill
        plan={"steps": steps, "learning_rate": 1e-3, "trainable": trainable},
        model={"dropout_rate": 0.1},
        every=10,
        checkpoint=checkpoint,
        trunk_cache=f"{checkpoint}-trunk" if trainable == "attention" else None,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("trainable", "steps"), [("attention", 400), ("all", 300)])
def test_killed_run_resumes_to_identical_weights(small_data, tmp_path, trainable, steps):
    whole, killed = (tmp_path / name / "run.safetensors" for name in ("whole", "killed"))
    expected = training_process.wait(start(small_data, whole, trainable, steps))
    moments = random.Random(0)
    for number in range(NUM_KILLS):
        process = start(small_data, killed, trainable, steps)
        assert any(line == "training\n" for line in process.stdout), "it ended too early"
        wait_for_a_new_checkpoint(process, killed)
        if number % 2:
            assert any(line == "evaluating\n" for line in process.stdout), "it ended too early"
            time.sleep(moments.uniform(0, LONGEST_WAIT_IN_EVALUATION_S))
        else:
            time.sleep(moments.uniform(0, LONGEST_WAIT_S))
        process.kill()
        assert process.wait() == -signal.SIGKILL, "the process ended before it was killed"
    assert training_process.wait(start(small_data, killed, trainable, steps)) == expected
    expect_same_files(whole.parent, killed.parent)


def wait_for_a_new_checkpoint(process, path):
    before = path.stat().st_mtime_ns if path.exists() else 0
    while process.poll() is None and not (path.exists() and path.stat().st_mtime_ns != before):
        time.sleep(0.01)


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


@pytest.mark.slow
def test_two_processes_share_a_run(small_data, tmp_path):
    checkpoint = tmp_path / "run.safetensors"
    first, second = map(training_process.wait, [start(small_data, checkpoint) for _ in range(2)])
    assert first == second
    assert {path.name for path in tmp_path.iterdir()} == {
        checkpoint.name,
        f"{checkpoint.name}-trunk",
    }
