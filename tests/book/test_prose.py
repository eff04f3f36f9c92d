"""Prose contains no measurements; numbers of results come from files."""

import re

import pytest

from senformer.workflow import notebooks, site

CONSTANTS_OF_THE_MODELS = {
    *("196,608 bp", "131,072 bp", "114,688 bp", "524,288 bp", "128 bp", "32 bp"),  # inputs, bins
    *("1,536 tokens", "1,024 tokens", "4,096 tokens", "64 tokens"),
    *("100,000 bp", "8,192 bp"),  # how far regulating elements lie; a block of tokens
    *("0.05", "0.01", "0.0001"),  # dropout and learning rate
    *("95 %", "1,000 times"),  # the interval of a bootstrap, and its draws
}
"""Sizes of models and data, which no run can change, so prose may state them."""

MEASUREMENT = re.compile(
    r"(?<![\w.,])\d[\d.,]*\s*"
    r"(?:[kMGT]i?B|ms|min|seconds?|minutes?|hours?|days?|s|h|%|percent|×|x|times|fold|bp|tokens)\b"
    r"|(?<![\w.,])\d[\d.,]*\s*[%×](?!\w)"
    r"|\b[rR]\s*(?:=|of)\s*[-−]?\d[\d.]*"
    r"|(?<![\w.,])[-−]?0\.\d{2,}",
)


def prose():
    """Yield file, number and text of every line of prose in the book and the notebooks."""
    for path in sorted(site.BOOK.glob("*.md")):
        lines = without_code(path.read_text()).splitlines()
        yield from ((path.name, number, line) for number, line in enumerate(lines, start=1))
    for path in sorted(notebooks.NOTEBOOKS.glob("*.py")):
        is_prose = False
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if line.startswith("# %%"):
                is_prose = "[markdown]" in line
            elif is_prose:
                yield path.name, number, without_code(line)


def without_code(text):
    """Remove formulas, code and roles, and keep the number of lines."""
    text = re.sub(
        r"^(`{3,}|\$\$).*?^\1", lambda m: "\n" * m[0].count("\n"), text, flags=re.M | re.S
    )
    return re.sub(r"`[^`\n]*`|\$[^$\n]*\$", "", text)


def typed_measurements(line):
    found = (match[0].strip() for match in MEASUREMENT.finditer(line))
    return [number for number in found if number not in CONSTANTS_OF_THE_MODELS]


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ("It needs 8.73 GB at 131,072 bp.", ["8.73 GB"]),
        ("Both reach r = 0.43 and 12 % more, 3x as fast.", ["r = 0.43", "12 %", "3x"]),
        ("The two meet at 300,000 bp after 2.5 s.", ["300,000 bp", "2.5 s"]),
        ("an accuracy of 0.625, 4 times as long", ["0.625", "4 times"]),
        ("196,608 bp are 1,536 tokens of 128 bp, in 11 layers, in 2021.", []),
    ],
)
def test_typed_measurements_finds_numbers_with_units(line, typed):
    assert typed_measurements(line) == typed


def test_prose_has_no_typed_measurements():
    found = [
        f"{name}:{number} states {typed[0]!r}"
        for name, number, line in prose()
        if (typed := typed_measurements(line))
    ]
    assert found == []
