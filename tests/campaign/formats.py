"""Describe each file format: a good file, its reader, and the legal changes.

A change is legal if the reader returns what the damaged file contains, and the content could be
right: another base, another description, or another order of records. Only a digest or another file
could reveal such a change. A few independent lines per format decide it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import damages
from hypothesis import strategies as st

IsLegal = Callable[[str, bytes, Any], bool]


@dataclass
class Format:
    """A file in a good set of files.

    Attributes:
        file: The file that is damaged.
        read: The reader of the set.
        damage: Strategy of descriptions and damaged bytes.
        is_legal: Function of the description, the damaged bytes and the reader's result.
        made: Files that readers write; they are removed before each reading.
        called: Further names of the file in error messages.
    """

    file: Path
    read: Callable[[], Any]
    damage: st.SearchStrategy[damages.Damage]
    is_legal: IsLegal = lambda done, damaged, found: False
    made: tuple[Path, ...] = ()
    called: tuple[str, ...] = ()
