"""Every format that is read: a good file, its reader, and which other files are legal.

`legal` is strict: what was read is what the damaged file says, told by a few lines of its own here,
and it is a file that could be right. A base may be another, a description too, and records may come
in another order; a digest, a checksum or another file would have to tell.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import damages
from hypothesis import strategies as st

Legal = Callable[[str, bytes, Any], bool]


@dataclass
class Format:
    """A file of a good set of files.

    Attributes:
        file: What is damaged.
        read: The reader of the set.
        damage: Strategy of what was done and the damaged bytes.
        is_legal: Of what was done, the damaged bytes and what was read.
        made: Files beside it that readers write; they are removed before each reading.
        called: What else an error may call it by.
    """

    file: Path
    read: Callable[[], Any]
    damage: st.SearchStrategy[damages.Damage]
    is_legal: Legal = lambda done, damaged, found: False
    made: tuple[Path, ...] = ()
    called: tuple[str, ...] = ()
