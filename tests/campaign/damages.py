"""Damage a good file, by strategies of Hypothesis that give a description and the damaged bytes."""

import copy
import json

from hypothesis import strategies as st

Damage = tuple[str, bytes]

VALUES = (
    *("nan", "-1", "1e999", "text", "", "0", "NA", "1.5", "true", "-inf", "99999999999999999999"),
    *(" ", '"', "é", "\a", "1,5", "0x10", "None", "'", "3 4"),
)
"""Replacements of a table's field."""

JSON_VALUES = (None, True, "text", "", -1, 0, 1.5, 10**30, [], {}, [1], {"a": 1}, float("nan"))
"""Replacements of a value in JSON."""


def of_bytes(good: bytes) -> st.SearchStrategy[Damage]:
    """Flip, cut, double, zero or append bytes, or replace the file by another one."""
    place = st.integers(0, len(good) - 1)
    length = st.integers(1, 40)

    def flip(i, mask):
        return f"byte {i} ^ {mask:#x}", good[:i] + bytes([good[i] ^ mask]) + good[i + 1 :]

    def zero(i, n):
        return f"{i}:{i + n} zeroed", good[:i] + bytes(len(good[i : i + n])) + good[i + n :]

    others = {
        "empty": b"",
        "zeros": bytes(len(good)),
        "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        "a page": b"<!DOCTYPE html>\n<html><body>404</body></html>\n",
        "a pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "twice": good + good,
    }
    return st.one_of(
        st.builds(flip, place, st.integers(1, 255)),
        st.builds(flip, place, st.sampled_from([1 << bit for bit in range(8)])),
        place.map(lambda i: (f"cut off at {i}", good[:i])),
        place.map(lambda i: (f"begun at {i}", good[i:])),
        st.builds(lambda i, n: (f"{i}:{i + n} cut out", good[:i] + good[i + n :]), place, length),
        st.builds(lambda i, n: (f"{i}:{i + n} doubled", good[: i + n] + good[i:]), place, length),
        st.builds(zero, place, length),
        st.binary(min_size=1, max_size=9).map(lambda more: (f"{more!r} appended", good + more)),
        st.sampled_from(list(others.items())),
    )


def of_text(good: bytes) -> st.SearchStrategy[Damage]:
    """Change the encoding, the line ends or the bytes of a text."""
    text = good.decode()
    others = {
        "a byte-order mark": b"\xef\xbb\xbf" + good,
        "UTF-16": text.encode("utf-16"),
        "UTF-16 without a mark": text.encode("utf-16-le"),
        "UTF-32": text.encode("utf-32"),
        "Latin-1": text.replace("a", "é").encode("latin-1"),
        "line ends of Windows": text.replace("\n", "\r\n").encode(),
        "no last line end": text.rstrip("\n").encode(),
        "blank lines": text.replace("\n", "\n\n").encode(),
    }
    return st.one_of(of_bytes(good), st.sampled_from(list(others.items())))


def of_table(good: bytes, separator: str, first_row: int) -> st.SearchStrategy[Damage]:
    """Remove, double, swap or reverse rows and columns, replace fields, or damage the text.

    Args:
        good: The table.
        separator: Separator of fields.
        first_row: Number of lines before the first row.
    """
    lines = good.decode().splitlines()
    head, rows = lines[:first_row], lines[first_row:]
    fields = [row.split(separator) for row in rows]
    row = st.integers(0, len(rows) - 1)
    column = st.integers(0, min(map(len, fields)) - 1)

    def write(done, new_rows, new_head=head):
        return done, ("\n".join([*new_head, *new_rows]) + "\n").encode()

    def edit(done, change):
        changed = copy.deepcopy(fields)
        change(changed)
        return write(done, [separator.join(row) for row in changed])

    def replace(i, j, value):
        return edit(
            f"row {i}, column {j} = {value!r}", lambda table: table[i].__setitem__(j, value)
        )

    def swap_columns(j, k):
        def change(table):
            for of_row in table:
                of_row[j], of_row[k] = of_row[k], of_row[j]

        return edit(f"columns {j} and {k} swapped", change)

    def swap_rows(i, k):
        def change(table):
            table[i], table[k] = table[k], table[i]

        return edit(f"rows {i} and {k} swapped", change)

    def widen(i, j):
        return edit(f"row {i}, column {j} doubled", lambda table: table[i].insert(j, table[i][j]))

    def narrow(i, j):
        return edit(f"row {i} without column {j}", lambda table: table[i].pop(j))

    return st.one_of(
        of_text(good),
        st.builds(replace, row, column, st.sampled_from(VALUES)),
        st.builds(swap_columns, column, column),
        st.builds(swap_rows, row, row),
        st.builds(widen, row, column),
        st.builds(narrow, row, column),
        row.map(lambda i: write(f"row {i} removed", rows[:i] + rows[i + 1 :])),
        row.map(lambda i: write(f"row {i} doubled", rows[: i + 1] + rows[i:])),
        row.map(lambda i: write(f"row {i} at the end", rows[:i] + rows[i + 1 :] + [rows[i]])),
        st.just(write("reversed", rows[::-1])),
        st.just(write("without its head", rows, [])),
        st.just(write("no rows", [])),
        st.just(write("commas", [row.replace(separator, ", ") for row in rows])),
    )


def of_json(good: bytes) -> st.SearchStrategy[Damage]:
    """Replace values, remove, add or double keys, wrap the object, or damage the text."""
    values = json.loads(good)
    key = st.sampled_from(sorted(values))
    other = st.sampled_from(JSON_VALUES)

    def write(done, changed):
        return done, json.dumps(changed).encode()

    def double(name, value):
        text = json.dumps({name: value})[:-1] + ", " + json.dumps(values)[1:]
        return f"{name} doubled", text.encode()

    return st.one_of(
        of_text(good),
        st.builds(lambda k, v: write(f"{k} = {v!r}", {**values, k: v}), key, other),
        key.map(lambda k: write(f"{k} = its text", {**values, k: str(values[k])})),
        key.map(lambda k: write(f"{k} removed", {n: v for n, v in values.items() if n != k})),
        key.map(lambda k: write(f"{k} misspelt", {**values, k[::-1]: values[k]} | {k: None})),
        st.builds(double, key, other),
        st.sampled_from(
            [
                write("wrapped", [values]),
                write("null", None),
                ("nested", b"[" * 100_000),
                ("a number of many digits", b'{"a": ' + b"1" * 10_000 + b"}"),
                ("an open end", good.rstrip()[:-1]),
            ]
        ),
    )
