"""What became of a damaged file: whether its reader said so, and in a way that helps its user."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

VERDICTS = ("refused", "harmless", "legal", "silent", "traceback")
"""`refused`: by a line that names a file. `harmless`: read to exactly the same values. `legal`:
read as another good file, which no reader could tell from the right one; each format says which
those are. `silent`: taken without a word. `traceback`: another error, or a line without a name."""

WRONG = ("silent", "traceback")


def verdict(
    read: Callable[[], Any], good: Any, names: list[str], is_legal: Callable[[Any], bool]
) -> tuple[str, str]:
    """Read what was damaged.

    Args:
        read: The reader.
        good: What it gave of the good file.
        names: Of which an error has to name one.
        is_legal: Whether what was read is what the damaged file says, and that could be right.

    Returns:
        One of `VERDICTS`, and what was said.
    """
    try:
        found = read()
    except (ValueError, OSError) as error:
        text = str(error)
        is_line = any(name in text for name in names) and "\n" not in text
        return ("refused" if is_line else "traceback"), f"{type(error).__name__}: {text}"
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {error}"
    if same(found, good):
        return "harmless", ""
    return ("legal" if is_legal(found) else "silent"), "read as something else"


def same(a: Any, b: Any) -> bool:
    """Whether two readings are the same to the bit and the type."""
    if type(a) is not type(b):
        return False
    if isinstance(a, pd.DataFrame):
        return a.attrs == b.attrs and a.equals(b) and list(a) == list(b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def table(counts: dict[str, Counter[str]]) -> str:
    """Verdicts by format, for the end of a run of tests."""
    head = f"{'damaged':22}{'tried':>8}" + "".join(f"{name:>11}" for name in VERDICTS)
    lines = [head]
    for name, of_format in [*counts.items(), ("together", sum(counts.values(), Counter()))]:
        numbers = "".join(f"{of_format[verdict]:>11,}" for verdict in VERDICTS)
        lines.append(f"{name:22}{sum(of_format.values()):>8,}{numbers}")
    return "\n".join(lines)
