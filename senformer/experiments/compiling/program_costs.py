"""What a compiled program starts, computes and moves, counted in its text.

The text is XLA's, after all optimisation and in the order in which it would run: every line of the
entry computation that is not bookkeeping starts a kernel.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping

_BYTES = {"pred": 1, "bf16": 2, "f16": 2, "f64": 8, "c64": 8, "c128": 16, "token": 0}

_STARTS_NOTHING = {
    *("parameter", "constant", "get-tuple-element", "tuple", "bitcast", "opt-barrier"),
    *("after-all", "partition-id", "replica-id", "call", "while", "conditional"),
    *("copy-done", "async-done", "async-update"),
}
_READS_A_PART = {"slice", "dynamic-slice", "gather"}


@dataclasses.dataclass
class Costs:
    """Of a program, or of a part of it.

    Attributes:
        kernels: What is started on the device, as often as it is.
        loop_turns: Turns of loops; in loops within loops, of both.
        operations: Multiplications and additions of products and convolutions.
        bytes_moved: What kernels read and write, each array once for each kernel.
    """

    kernels: int = 0
    loop_turns: int = 0
    operations: float = 0.0
    bytes_moved: float = 0.0

    def add(self, other: Costs, times: int = 1) -> None:
        """Take in a part that runs so many times."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name) + times * getattr(other, field.name)
            setattr(self, field.name, value)


@dataclasses.dataclass(frozen=True)
class _Instruction:
    name: str
    shape: str
    operation: str
    operands: tuple[str, ...]
    line: str


_Computations = Mapping[str, list[_Instruction]]


def count_costs(text: str) -> Costs:
    """Count a program's costs.

    Args:
        text: An optimised `HloModule`, from `gpu_compiler`.

    Raises:
        ValueError: If the text has no entry computation.
    """
    computations, entry = _parse(text)
    return _costs_of(entry, computations, {})


def constant_bytes(text: str) -> int:
    """Arrays that the program brings along: on the device beside its arguments and temporaries."""
    shapes = re.findall(r" = (\w+\[[\d,]*\])\S* constant\(", text)
    return sum(_num_bytes(shape) for shape in shapes)


def _parse(text: str) -> tuple[dict[str, list[_Instruction]], str]:
    computations: dict[str, list[_Instruction]] = {}
    entry, current = None, None
    for line in text.splitlines():
        if head := re.match(r"^(ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{$", line):
            current = computations.setdefault(head[2], [])
            entry = head[2] if head[1] else entry
        elif line.startswith("}"):
            current = None
        elif current is not None and (instruction := _instruction(line)):
            current.append(instruction)
    if entry is None:
        raise ValueError("the compiled program has no entry computation")
    return computations, entry


def _instruction(line: str) -> _Instruction | None:
    plain = re.sub(r"/\*.*?\*/", "", line)
    found = re.match(r"^\s*(?:ROOT )?%?([\w.\-]+) = (.*?)\s([a-z][\w\-]*)\((.*)$", plain)
    if not found:
        return None
    name, shape, operation, rest = found.groups()
    operands = tuple(re.findall(r"%([\w.\-]+)", rest.split(")", 1)[0]))
    return _Instruction(name, shape, operation, operands, plain)


def _costs_of(name: str, computations: _Computations, done: dict[str, Costs]) -> Costs:
    if name in done:
        return done[name]
    costs = done[name] = Costs()
    shapes = {x.name: x.shape for x in computations[name]}
    for x in computations[name]:
        if x.operation == "while":
            turns = int(_attribute(x.line, r'known_trip_count":\{"n":"(\d+)"') or 1)
            costs.add(Costs(loop_turns=turns))
            costs.add(_costs_of(_called(x, "body"), computations, done), turns)
        elif x.operation in ("call", "async-start"):
            costs.add(_costs_of(_called(x, "to_apply|calls"), computations, done))
        elif x.operation == "conditional":
            branches = re.findall(r"%([\w.\-]+)", x.line.split("computations={", 1)[-1])
            costs.add(
                max(
                    (_costs_of(b, computations, done) for b in branches if b in computations),
                    key=lambda branch: branch.kernels,
                )
            )
        elif x.operation not in _STARTS_NOTHING:
            costs.add(_kernel(x, shapes, computations))
    return costs


def _kernel(x: _Instruction, shapes: Mapping[str, str], computations: _Computations) -> Costs:
    body = computations.get(_called(x, "calls"), []) if x.operation == "fusion" else []
    operations = _operations(x, shapes)
    inner = {y.name: y.shape for y in body}
    operations += sum(_operations(y, inner) for y in body)
    read = sum(
        min(_num_bytes(shapes.get(operand, "")), _read_bytes(place, body))
        for place, operand in enumerate(x.operands)
    )
    return Costs(kernels=1, operations=operations, bytes_moved=read + _written_bytes(x, body))


def _operations(x: _Instruction, shapes: Mapping[str, str]) -> float:
    """Of a product or a convolution; 0 of anything else."""
    if len(x.operands) < 2:
        return 0.0
    first, second = (_dimensions(shapes.get(operand, "")) for operand in x.operands[:2])
    outputs = math.prod(_dimensions(x.shape))
    if "dot_dimension_numbers" in x.line:
        places = _attribute(x.line, r'"lhs_contracting_dimensions":\[([^\]]*)\]') or ""
        return 2.0 * outputs * math.prod(first[int(i)] for i in re.findall(r"\d+", places))
    if x.operation == "dot":
        places = _attribute(x.line, r"lhs_contracting_dims=\{([\d,]*)\}") or ""
        return 2.0 * outputs * math.prod(first[int(i)] for i in re.findall(r"\d+", places))
    if filters := _attribute(x.line, r"dim_labels=\w+_(\w+)->\w+"):
        output, kernel = _convolution(x, first, second)
        # Each output sums over all of a filter but its output channels; so do its gradients.
        summed = [n for n, label in zip(kernel, filters, strict=True) if label != "o"]
        return 2.0 * math.prod(output) * math.prod(summed)
    return 0.0


def _convolution(
    x: _Instruction, first: list[int], second: list[int]
) -> tuple[list[int], list[int]]:
    """Shapes of a convolution's output and filter, which cuDNN's gradients take or give."""
    result = _dimensions(x.shape)
    return {
        "convBackwardInput": (first, second),
        "convBackwardFilter": (second, result),
    }.get(_attribute(x.line, r'"__cudnn\$(\w+)"') or "", (result, second))


def _read_bytes(place: int, body: Iterable[_Instruction]) -> float:
    """What a fusion reads of an operand: less than all where it takes slices of it alone."""
    body = list(body)
    parameter = next(
        (y.name for y in body if y.operation == "parameter" and f"parameter({place})" in y.line),
        None,
    )
    readers = [y for y in body if parameter in y.operands]
    if not readers or any(
        y.operation not in _READS_A_PART or y.operands[0] != parameter for y in readers
    ):
        return math.inf
    return sum(_num_bytes(y.shape) for y in readers)


def _written_bytes(x: _Instruction, body: list[_Instruction]) -> float:
    """The result; of an array that is updated in place, the update."""
    root = next((y for y in body if y.line.lstrip().startswith("ROOT ")), x)
    if root.operation == "dynamic-update-slice":
        shapes = {y.name: y.shape for y in body}
        return _num_bytes(shapes.get(root.operands[1], "")) if body else _num_bytes(x.shape)
    return _num_bytes(x.shape)


def _called(x: _Instruction, attribute: str) -> str:
    return _attribute(x.line, rf"(?:{attribute})=%?([\w.\-]+)") or ""


def _attribute(line: str, pattern: str) -> str | None:
    found = re.search(pattern, line)
    return found[1] if found else None


def _dimensions(shape: str) -> list[int]:
    """Of the first array of a shape: a product's second result is its workspace."""
    found = re.search(r"\w+\[([\d,]*)\]", shape)
    return [int(n) for n in found[1].split(",") if n] if found else []


def _num_bytes(shape: str) -> int:
    """Of all arrays of a shape; a workspace of a library, `s8` or `u8` and flat, is none."""
    total = 0
    for kind, dimensions in re.findall(r"(\w+)\[([\d,]*)\]", shape):
        if kind in ("s8", "u8"):
            continue
        size = _BYTES.get(kind) if kind in _BYTES else int(re.sub(r"\D", "", kind) or 32) // 8
        total += math.prod(int(n) for n in dimensions.split(",") if n) * (size or 0)
    return total
