"""Show text of users, such as names of devices and folders, in Markdown."""

from __future__ import annotations

import re

# Punctuation that means nothing within a line stays, so that the Markdown is readable.
_MARKUP = re.compile(r"[^\w ,'(%./)-]|_|^\W|^\d+[.)]")


def escape(text: object) -> str:
    """Escape a text so that Markdown, and MyST with its extensions, shows it verbatim in one line.

    Characters with a meaning become numeric references, which CommonMark never reads as syntax.

    Source: CommonMark 0.31.2, "Entity and numeric character references"
    """
    line = " ".join(str(text).split())
    return _MARKUP.sub(lambda found: "".join(f"&#{ord(c)};" for c in found[0]), line)


def fence(text: str) -> str:
    """Write a text as a block of code that it cannot end."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}\n{text}\n{marks}"
