"""GPUs by their descriptions: what a compiler must know of them, and what their data sheets say.

A card is a file, `cards/<name>.toml`; a further one is one file more. `target` is XLA's
`GpuTargetConfigProto` as text.
"""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "cards"

LAUNCH_SECONDS = 4e-6
"""What starting a kernel takes of a processor's time: 4 to 6 microseconds where it was measured."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """A GPU.

    Attributes:
        name: What the command line and the tables call it.
        label: What figures call it.
        memory_gb: What a program may take, in 10^9 bytes.
        bandwidth_gb_per_second: Of its memory.
        tflops: Products in 10^12 operations per second, by type: `float32`, and `tensorfloat32` and
            `bfloat16` where it has units for them.
        target: Its description for the compiler.
        source: Where the numbers come from.
    """

    name: str
    label: str
    memory_gb: float
    bandwidth_gb_per_second: float
    tflops: dict[str, float]
    target: str
    source: str


def names() -> list[str]:
    """The cards that are described, by name."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Card:
    """A card by its name, or by a file that describes it.

    Args:
        name: One of `names`, or a path that ends in `.toml`.

    Raises:
        ValueError: If there is no such card, or the file lacks something; the message says what.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise ValueError(
            f"device={name!r}, expected one of {', '.join(names())}, or a file <name>.toml"
        )
    try:
        given = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a description of a card ({error})") from error
    return _checked(path, given)


def product_tflops(card: Card, compute_dtype: str) -> float:
    """How fast a card multiplies what a model computes, in 10^12 operations per second.

    Where it has units for TensorFloat-32, TensorFlow computes products of `float32` on them unless
    it is told otherwise: `tf.config.experimental.enable_tensor_float_32_execution`.

    Args:
        card: The GPU.
        compute_dtype: As of `ModelConfig`.
    """
    by_units = "tensorfloat32" if compute_dtype == "float32" else compute_dtype
    return card.tflops.get(by_units, card.tflops["float32"])


def _checked(path: Path, given: dict[str, Any]) -> Card:
    fields = {field.name: field.type for field in dataclasses.fields(Card)}
    del fields["name"]
    if unknown := sorted(set(given) - set(fields)):
        raise ValueError(f"{path}: unknown {unknown[0]!r}, expected {', '.join(fields)}")
    for name, kind in fields.items():
        if name not in given:
            raise ValueError(f"{path}: no {name!r}, expected {', '.join(fields)}")
        value = given[name]
        is_valid = {
            "str": isinstance(value, str) and value != "",
            "float": isinstance(value, int | float) and value > 0,
            "dict[str, float]": isinstance(value, dict) and "float32" in value,
        }[str(kind)]
        if not is_valid:
            raise ValueError(f"{path}: {name}={value!r}, expected a {kind} that says something")
    return Card(name=path.stem, **given)
