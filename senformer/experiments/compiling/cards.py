"""Load descriptions of GPUs: what a compiler has to know, and the rates of the data sheets.

Each file `cards/<name>.toml` describes one GPU. `target` is XLA's `GpuTargetConfigProto` as text.
"""

from __future__ import annotations

import reprlib
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import field_validator

from senformer.config import NonEmptyText, Options, PositiveNumber, accept_only
from senformer.storage.text_files import read_text

FOLDER = Path(__file__).parent / "cards"

LAUNCH_SECONDS = 4e-6
"""Time to start a kernel; measurements range from 4 to 6 microseconds."""

_PRODUCT_TYPES = ("float32", "tensorfloat32", "bfloat16")


class Card(Options):
    """A GPU.

    Attributes:
        name: Name on the command line and in tables.
        label: Name in figures.
        memory_gb: Memory for a program, in 10^9 bytes.
        bandwidth_gb_per_second: Bandwidth of its memory.
        tflops: Rate of matrix products by number type, in 10^12 operations per second: `float32`,
            and `tensorfloat32` and `bfloat16` if the GPU has units for them.
        target: Description for the compiler.
        source: Source of the numbers.
    """

    name: str
    label: NonEmptyText
    memory_gb: PositiveNumber
    bandwidth_gb_per_second: PositiveNumber
    tflops: dict[Annotated[str, accept_only(_PRODUCT_TYPES)], PositiveNumber]
    target: NonEmptyText
    source: NonEmptyText

    @field_validator("tflops")
    @classmethod
    def _check_float32(cls, tflops: dict[str, float]) -> dict[str, float]:
        if "float32" not in tflops:
            raise ValueError("expected a rate for float32")
        return tflops


def names() -> list[str]:
    """Return the names of the described cards."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_card(name: str) -> Card:
    """Load a card by its name, or from a file that describes it.

    Args:
        name: One of `names`, or a path that ends in `.toml`.

    Raises:
        ValueError: If there is no such card, or its description is invalid; the message says why.
    """
    if name not in names() and not (name.endswith(".toml") and Path(name).is_file()):
        raise ValueError(
            f"device={reprlib.repr(name)}, expected one of {', '.join(names())}, or a file "
            "<name>.toml"
        )
    path = FOLDER / f"{name}.toml" if name in names() else Path(name)
    text = read_text(path, "a description of a card")
    try:
        described = tomllib.loads(text)
        if "name" in described:
            raise ValueError("unknown option 'name', the file's name is that of the card")
        return Card(name=path.stem, **described)
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: not a description of a card ({reason})") from None


def product_tflops(card: Card, compute_dtype: str) -> float:
    """Return how fast a card multiplies matrices, in 10^12 operations per second.

    TensorFlow computes `float32` products on TensorFloat-32 units if the card has them, unless
    `tf.config.experimental.enable_tensor_float_32_execution` disables it.

    Args:
        card: The GPU.
        compute_dtype: Number type of the model, as in `ModelConfig`.
    """
    product_type = "tensorfloat32" if compute_dtype == "float32" else compute_dtype
    return card.tflops.get(product_type, card.tflops["float32"])
