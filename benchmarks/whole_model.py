"""Whole model, timed: a training step and a prediction, against Enformer as published.

    python benchmarks/whole_model.py train   --length 131072 --repeats 3
    python benchmarks/whole_model.py predict --length 196608 --repeats 3 --pytorch PYTHON

Contenders take turns; what counts is the ratio within a round. `--pytorch` names the Python of an
environment that holds enformer-pytorch, which then takes part in predictions, from a process of its
own.
"""

from __future__ import annotations

import argparse
import atexit
import subprocess
from collections.abc import Callable
from pathlib import Path

import recording
import tensorflow as tf
from published_enformer import published_predict, published_train_step
from rounds import time_in_turn

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
    """Parse, time, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["train", "predict"])
    parser.add_argument("--length", type=int, required=True, help="sequence length in bp")
    parser.add_argument("--layers", type=int, default=11)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--pytorch", help="Python of an environment with enformer-pytorch")
    recording.add_option(parser)
    options = parser.parse_args()
    make = {"train": train_contenders, "predict": predict_contenders}[options.task]
    frame = time_in_turn(make(options), options.repeats).assign(
        task=options.task,
        sequence_length_bp=options.length,
        num_transformer_layers=options.layers,
    )
    name = f"whole_model_{options.task}_{options.length}bp_{options.layers}layers"
    recording.write(frame, name, options, data="random sequence")
    print(contender_ratios({options.task: frame}).to_string(index=False))


def train_contenders(options: argparse.Namespace) -> dict[str, Contender]:
    """One training step of each, attention trained, batch 1."""
    contenders = {}
    for name in (BASELINE, *options.kinds):
        model = make_model(name, options)
        if name == BASELINE:
            step = published_train_step(model, head=HEAD)
        else:
            optimizer = train_step.make_optimizer(model, "attention", 1e-4)
            step = train_step.make_train_step(model, optimizer, head=HEAD, trainable="attention")
        target = tf.random.Generator.from_seed(1).uniform(
            [1, model.config.target_length, model.config.tracks[HEAD]]
        )
        arguments = (random_sequence(options.length), target, tf.constant([0, 0]))
        contenders[name] = lambda step=step, arguments=arguments: step(*arguments).numpy()
    return contenders


def predict_contenders(options: argparse.Namespace) -> dict[str, Contender]:
    """A prediction of both heads by each, batch 1."""
    contenders = {}
    for name in (BASELINE, *options.kinds):
        contenders[name] = predict_contender(name, options)
    if options.pytorch:
        contenders[PYTORCH] = PytorchWorker(options.pytorch, options.length)
    return contenders


def predict_contender(name: str, options: argparse.Namespace) -> Contender:
    """A prediction of both heads by one model of ours."""
    model = make_model(name, options)
    predict = published_predict(model) if name == BASELINE else model.predict_on_batch
    sequence = random_sequence(options.length)
    return lambda: predict(sequence)[HEAD].numpy()


class PytorchWorker:
    """enformer-pytorch in a process of its own; a call is one prediction."""

    def __init__(self, python: str, length_bp: int) -> None:
        command = [python, str(Path(__file__).parent / "pytorch_worker.py"), str(length_bp)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        atexit.register(self.process.kill)
        self.answer()

    def __call__(self) -> float:
        """Seconds of one prediction."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.answer())

    def answer(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout
        return self.process.stdout.readline()


def make_model(name: str, options: argparse.Namespace) -> Enformer:
    """A model of the study's size with one kind of attention."""
    kind = "dense" if name == BASELINE else name
    tokens = options.length // BIN_SIZE_BP
    config = preset("enformer", attention=kind, num_transformer_layers=options.layers)
    return Enformer(config.replace(target_length=min(config.target_length, tokens)))


def random_sequence(length_bp: int) -> tf.Tensor:
    """One random sequence, `[1, length, 4]`."""
    bases = tf.random.Generator.from_seed(0).uniform([1, length_bp], maxval=4, dtype=tf.int32)
    return tf.one_hot(bases, 4)


if __name__ == "__main__":
    main()
