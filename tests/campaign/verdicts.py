"""Judge the reading of a damaged file: was the damage reported, in a helpful way?"""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from formats import Format

VERDICTS = ("refused", "harmless", "legal", "silent", "traceback")
"""`refused`: a line names a file. `harmless`: the values are unchanged. `legal`: the values are
those of another good file, see `formats`. `silent`: the damage was not noticed. `traceback`:
another error, or a line without a name."""

WRONG = ("silent", "traceback")


def judge(damaged_format: Format, good: Any, names: list[str], done: str) -> tuple[str, str]:
    """Read a damaged file.

    Args:
        damaged_format: The format; its file is damaged.
        good: The reader's result for the good file.
        names: Names of which an error must contain one.
        done: Description of the damage.

    Returns:
        One of `VERDICTS`, and the error.
    """
    try:
        found = damaged_format.read()
    except (ValueError, OSError) as error:
        text = str(error)
        is_line = any(name in text for name in names) and "\n" not in text
        return ("refused" if is_line else "traceback"), f"{type(error).__name__}: {text}"
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {error}"
    if are_equal(found, good):
        return "harmless", ""
    is_legal = damaged_format.is_legal(done, damaged_format.file.read_bytes(), found)
    return ("legal" if is_legal else "silent"), "read as something else"


def are_equal(a: Any, b: Any) -> bool:
    """Tell whether two results are equal, to the bit and the type."""
    if type(a) is not type(b):
        return False
    if isinstance(a, pd.DataFrame):
        return a.attrs == b.attrs and a.equals(b) and list(a) == list(b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return list(a) == list(b) and all(are_equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(are_equal(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def format_table(counts: dict[str, Counter[str]]) -> str:
    """Format the verdicts by format, for the end of a test run."""
    lines = [f"{'damaged':22}{'tried':>8}" + "".join(f"{name:>11}" for name in VERDICTS)]
    for name, of_format in [*counts.items(), ("together", sum(counts.values(), Counter()))]:
        numbers = "".join(f"{of_format[verdict]:>11,}" for verdict in VERDICTS)
        lines.append(f"{name:22}{sum(of_format.values()):>8,}{numbers}")
    return "\n".join(lines)
