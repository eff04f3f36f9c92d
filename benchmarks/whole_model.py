"""Time training steps and predictions of whole models, and of Enformer as published.

    python benchmarks/whole_model.py train   --length 131072 --repeats 3
    python benchmarks/whole_model.py predict --length 196608 --repeats 3 --pytorch PYTHON

Contenders alternate; the result is the ratio within a round. `--pytorch` names the Python of an
environment with enformer-pytorch, whose predictions are then timed in a separate process.
"""

from __future__ import annotations

import argparse
import atexit
import subprocess
from collections.abc import Callable
from pathlib import Path

import benchmark
import tensorflow as tf
from published_enformer import published_predict, published_train_step

from senformer.attention_kinds import KINDS
from senformer.config import BIN_SIZE_BP, preset
from senformer.model.enformer import Enformer
from senformer.report.benchmark_tables import contender_ratios
from senformer.training import train_step

BASELINE = "dense, as published"
PYTORCH = "enformer-pytorch"
HEAD = "human"

Contender = Callable[[], object]


def main() -> None:
    """Parse the options, time the models, and write and print the result."""
    parser = benchmark.make_parser(__doc__, repeats=3)
    parser.add_argument("task", choices=["train", "predict"])
    parser.add_argument("--length", type=int, required=True, help="sequence length in bp")
    parser.add_argument("--layers", type=int, default=11)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--pytorch", help="Python of an environment with enformer-pytorch")
    options = parser.parse_args()
    make = {"train": make_training_step, "predict": make_prediction}[options.task]
    contenders = {name: make(name, options) for name in (BASELINE, *options.kinds)}
    if options.task == "predict" and options.pytorch:
        contenders[PYTORCH] = PytorchWorker(options.pytorch, options.length)
    frame = benchmark.time_in_turn(contenders, options.repeats).assign(
        task=options.task,
        sequence_length_bp=options.length,
        num_transformer_layers=options.layers,
    )
    name = f"whole_model_{options.task}_{options.length}bp_{options.layers}layers"
    benchmark.write(frame, name, options, data="random sequence")
    print(contender_ratios({options.task: frame}).to_string(index=False))


def make_training_step(name: str, options: argparse.Namespace) -> Contender:
    """Make a training step of the attention layers with batch size 1."""
    model = make_model(name, options)
    if name == BASELINE:
        step = published_train_step(model, head=HEAD)
    else:
        optimizer = train_step.make_optimizer(model, "attention", 1e-4)
        step = train_step.make_train_step(model, optimizer, head=HEAD, trainable="attention")
    sequence = benchmark.random_sequence(options.length)
    target = tf.random.Generator.from_seed(1).uniform(
        [1, model.config.target_length, model.config.tracks[HEAD]]
    )
    return lambda: step(sequence, target, tf.constant([0, 0])).numpy()


def make_prediction(name: str, options: argparse.Namespace) -> Contender:
    """Make a prediction of both heads with batch size 1."""
    model = make_model(name, options)
    predict = published_predict(model) if name == BASELINE else model.predict_on_batch
    sequence = benchmark.random_sequence(options.length)
    return lambda: predict(sequence)[HEAD].numpy()


def make_model(name: str, options: argparse.Namespace) -> Enformer:
    """Make a model of the study's width with one kind of attention."""
    kind = "dense" if name == BASELINE else name
    tokens = options.length // BIN_SIZE_BP
    config = preset("enformer", attention=kind, num_transformer_layers=options.layers)
    return Enformer(config.replace(target_length=min(config.target_length, tokens)))


class PytorchWorker:
    """Run enformer-pytorch in a separate process; a call is one prediction."""

    def __init__(self, python: str, length_bp: int) -> None:
        command = [python, str(Path(__file__).parent / "pytorch_worker.py"), str(length_bp)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        atexit.register(self.process.kill)
        self.read_line()

    def __call__(self) -> float:
        """Return the seconds of one prediction."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.read_line())

    def read_line(self) -> str:
        """Read the next line that the process prints."""
        assert self.process.stdout
        return self.process.stdout.readline()


if __name__ == "__main__":
    main()
