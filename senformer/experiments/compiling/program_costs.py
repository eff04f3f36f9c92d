"""Count the kernels, operations and bytes of a compiled program from its text.

The text is XLA's program after all optimisations, in the order of its execution: every line of
the entry computation starts a kernel, except for bookkeeping.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping

_BYTES = {"pred": 1, "bf16": 2, "f16": 2, "f64": 8, "c64": 8, "c128": 16, "token": 0}

_BOOKKEEPING = {
    *("parameter", "constant", "get-tuple-element", "tuple", "bitcast", "opt-barrier"),
    *("after-all", "partition-id", "replica-id", "call", "while", "conditional"),
    *("copy-done", "async-done", "async-update"),
}
_READS_A_PART = {"slice", "dynamic-slice", "gather"}


@dataclasses.dataclass
class Costs:
    """Costs of a program or of a part of it.

    Attributes:
        kernels: Kernels that the program starts, with repetitions.
        loop_turns: Turns of all loops, including nested ones.
        operations: Multiplications and additions of matrix products and convolutions.
        bytes_moved: Bytes that kernels read and write, each array once per kernel.
    """

    kernels: int = 0
    loop_turns: int = 0
    operations: int = 0
    bytes_moved: int = 0

    def add(self, other: Costs, times: int = 1) -> None:
        """Add the costs of a part that runs `times` times."""
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

    def find(self, pattern: str) -> str:
        """Return the first group of a pattern in the line, or an empty string."""
        match = re.search(pattern, self.line)
        return match[1] if match else ""

    def called(self, attribute: str) -> str:
        """Return the name of the computation that an attribute refers to."""
        return self.find(rf"(?:{attribute})=%?([\w.\-]+)")


_Computations = Mapping[str, list[_Instruction]]


def count_costs(text: str) -> Costs:
    """Count the costs of a program.

    Args:
        text: An optimised `HloModule`, from `gpu_compiler`.

    Raises:
        ValueError: If the text has no entry computation.
    """
    computations, entry = _parse(text)
    return _count_computation(entry, computations, {})


def constant_bytes(text: str) -> int:
    """Return the size of a program's constants, which are on the device too."""
    shapes = re.findall(r" = (\w+\[[\d,]*\])\S* constant\(", text)
    return sum(_num_bytes(shape) for shape in shapes)


def _parse(text: str) -> tuple[dict[str, list[_Instruction]], str]:
    """Return the computations of a program by name, and the name of its entry."""
    computations: dict[str, list[_Instruction]] = {}
    entry, current = None, None
    for line in text.splitlines():
        plain = re.sub(r"/\*.*?\*/", "", line)
        if head := re.match(r"^(ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{$", line):
            current = computations.setdefault(head[2], [])
            entry = head[2] if head[1] else entry
        elif line.startswith("}"):
            current = None
        elif current is not None and (
            parts := re.match(r"^\s*(?:ROOT )?%?([\w.\-]+) = (.*?)\s([a-z][\w\-]*)\((.*)$", plain)
        ):
            name, shape, operation, rest = parts.groups()
            operands = tuple(re.findall(r"%([\w.\-]+)", rest.split(")", 1)[0]))
            current.append(_Instruction(name, shape, operation, operands, plain))
    if entry is None:
        raise ValueError("the compiled program has no entry computation")
    return computations, entry


def _count_computation(name: str, computations: _Computations, done: dict[str, Costs]) -> Costs:
    """Count the costs of a computation; `done` has those that were counted before."""
    if name in done:
        return done[name]
    costs = done[name] = Costs()
    shapes = {x.name: x.shape for x in computations[name]}
    for x in computations[name]:
        if x.operation == "while":
            turns = int(x.find(r'known_trip_count":\{"n":"(\d+)"') or 1)
            costs.add(Costs(loop_turns=turns))
            costs.add(_count_computation(x.called("body"), computations, done), turns)
        elif x.operation in ("call", "async-start"):
            costs.add(_count_computation(x.called("to_apply|calls"), computations, done))
        elif x.operation == "conditional":
            names = re.findall(r"%([\w.\-]+)", x.line.split("computations={", 1)[-1])
            branches = [
                _count_computation(b, computations, done) for b in names if b in computations
            ]
            costs.add(max(branches, key=lambda branch: branch.kernels))
        elif x.operation not in _BOOKKEEPING:
            body = computations.get(x.called("calls"), []) if x.operation == "fusion" else []
            costs.add(_count_kernel(x, shapes, body))
    return costs


def _count_kernel(x: _Instruction, shapes: Mapping[str, str], body: list[_Instruction]) -> Costs:
    """Count one kernel.

    Args:
        x: The instruction that starts it.
        shapes: Shapes of the operands by name.
        body: Instructions of a fusion; empty for other kernels.
    """
    inner_shapes = {y.name: y.shape for y in body}
    operations = _count_operations(x, shapes)
    operations += sum(_count_operations(y, inner_shapes) for y in body)
    read = sum(
        _count_bytes_read(_num_bytes(shapes.get(operand, "")), index, body)
        for index, operand in enumerate(x.operands)
    )
    root = next((y for y in body if y.line.lstrip().startswith("ROOT ")), None)
    if root is not None and root.operation == "dynamic-update-slice":
        written = _num_bytes(inner_shapes.get(root.operands[1], ""))  # the update, made in place
    else:
        written = _num_bytes((root or x).shape)
    return Costs(kernels=1, operations=operations, bytes_moved=read + written)


def _count_bytes_read(num_bytes: int, index: int, body: list[_Instruction]) -> int:
    """Return how much a kernel reads of an operand: less than its size if it only takes slices."""
    parameter = next(
        (y.name for y in body if y.operation == "parameter" and f"parameter({index})" in y.line),
        None,
    )
    readers = [y for y in body if parameter in y.operands]
    reads_slices = all(y.operation in _READS_A_PART and y.operands[0] == parameter for y in readers)
    if not readers or not reads_slices:
        return num_bytes
    return min(num_bytes, sum(_num_bytes(y.shape) for y in readers))


def _count_operations(x: _Instruction, shapes: Mapping[str, str]) -> int:
    """Count the operations of a matrix product or a convolution; other instructions have 0."""
    if len(x.operands) < 2:
        return 0
    first, second = (_dimensions(shapes.get(operand, "")) for operand in x.operands[:2])
    result = _dimensions(x.shape)
    if "dot_dimension_numbers" in x.line or x.operation == "dot":
        contracted = x.find(r'"lhs_contracting_dimensions":\[([^\]]*)\]')
        contracted = contracted or x.find(r"lhs_contracting_dims=\{([\d,]*)\}")
        summed = [first[int(i)] for i in re.findall(r"\d+", contracted)]
        return 2 * math.prod(result) * math.prod(summed)
    if labels := x.find(r"dim_labels=\w+_(\w+)->\w+"):
        # cuDNN's gradients take or return the output and the filter of the convolution.
        output, filter_sizes = {
            "convBackwardInput": (first, second),
            "convBackwardFilter": (second, result),
        }.get(x.find(r'"__cudnn\$(\w+)"'), (result, second))
        # Each output sums over all dimensions of the filter except its output channels.
        summed = [n for n, label in zip(filter_sizes, labels, strict=True) if label != "o"]
        return 2 * math.prod(output) * math.prod(summed)
    return 0


def _dimensions(shape: str) -> list[int]:
    """Return the sizes of the first array of a shape; a product's second array is its workspace."""
    match = re.search(r"\w+\[([\d,]*)\]", shape)
    return [int(n) for n in match[1].split(",") if n] if match else []


def _num_bytes(shape: str) -> int:
    """Return the size of all arrays of a shape, without workspaces of libraries (`s8`, `u8`)."""
    total = 0
    for kind, dimensions in re.findall(r"(\w+)\[([\d,]*)\]", shape):
        if kind in ("s8", "u8"):
            continue
        size = _BYTES[kind] if kind in _BYTES else int(re.sub(r"\D", "", kind) or 32) // 8
        total += math.prod(int(n) for n in dimensions.split(",") if n) * size
    return total
