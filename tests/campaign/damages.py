"""Ways to damage a good file, as strategies of Hypothesis: each gives what was done, and bytes."""

import copy
import json

from hypothesis import strategies as st

Damage = tuple[str, bytes]

VALUES = (
    *("nan", "-1", "1e999", "text", "", "0", "NA", "1.5", "true", "-inf", "99999999999999999999"),
    *(" ", '"', "é", "\a", "1,5", "0x10", "None", "'", "3 4"),
)
"""What a field of a table is replaced by."""

JSON_VALUES = (None, True, "text", "", -1, 0, 1.5, 10**30, [], {}, [1], {"a": 1}, float("nan"))
"""What a value in JSON is replaced by."""


def of_bytes(good: bytes) -> st.SearchStrategy[Damage]:
    """Bytes flipped, cut off, cut out, doubled, zeroed, appended; another file in its place."""
    place = st.integers(0, len(good) - 1)
    length = st.integers(1, 40)

    def flip(i, mask):
        return f"byte {i} ^ {mask:#x}", good[:i] + bytes([good[i] ^ mask]) + good[i + 1 :]

    return st.one_of(
        st.builds(flip, place, st.integers(1, 255)),
        st.builds(flip, place, st.sampled_from([1 << bit for bit in range(8)])),
        place.map(lambda i: (f"cut off at {i}", good[:i])),
        place.map(lambda i: (f"begun at {i}", good[i:])),
        st.builds(lambda i, n: (f"{i}:{i + n} cut out", good[:i] + good[i + n :]), place, length),
        st.builds(lambda i, n: (f"{i}:{i + n} doubled", good[: i + n] + good[i:]), place, length),
        st.builds(
            lambda i, n: (
                f"{i}:{i + n} zeroed",
                good[:i] + bytes(len(good[i : i + n])) + good[i + n :],
            ),
            place,
            length,
        ),
        st.binary(min_size=1, max_size=9).map(lambda more: (f"{more!r} appended", good + more)),
        st.sampled_from(
            [
                ("empty", b""),
                ("zeros", bytes(len(good))),
                ("a picture", b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
                ("a page", b"<!DOCTYPE html>\n<html><body>404</body></html>\n"),
                (
                    "a pointer",
                    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
                ),
                ("twice", good + good),
            ]
        ),
    )


def of_text(good: bytes) -> st.SearchStrategy[Damage]:
    """A text in another code, with a mark before it, or with other ends of lines."""
    text = good.decode()
    return st.sampled_from(
        [
            ("a mark before it", b"\xef\xbb\xbf" + good),
            ("UTF-16", text.encode("utf-16")),
            ("UTF-16 without a mark", text.encode("utf-16-le")),
            ("UTF-32", text.encode("utf-32")),
            ("Latin-1", text.replace("a", "é").encode("latin-1")),
            ("ends of lines of Windows", text.replace("\n", "\r\n").encode()),
            ("no last end of line", text.rstrip("\n").encode()),
            ("blank lines", text.replace("\n", "\n\n").encode()),
        ]
    )


def of_table(good: bytes, separator: str, first_row: int) -> st.SearchStrategy[Damage]:
    """Rows and columns removed, doubled, swapped, reversed; fields replaced.

    Args:
        good: The table.
        separator: Between fields.
        first_row: Lines before the first row.
    """
    lines = good.decode().splitlines()
    head, rows = lines[:first_row], lines[first_row:]
    fields = [row.split(separator) for row in rows]
    row = st.integers(0, len(rows) - 1)
    column = st.integers(0, min(map(len, fields)) - 1)

    def written(done, new_rows, new_head=head):
        return done, ("\n".join([*new_head, *new_rows]) + "\n").encode()

    def with_fields(done, changed):
        return written(done, [separator.join(row) for row in changed])

    def replace(i, j, value):
        changed = copy.deepcopy(fields)
        changed[i][j] = value
        return with_fields(f"row {i}, column {j} = {value!r}", changed)

    def swap_columns(j, k):
        changed = copy.deepcopy(fields)
        for of_row in changed:
            of_row[j], of_row[k] = of_row[k], of_row[j]
        return with_fields(f"columns {j} and {k} swapped", changed)

    def swap_rows(i, k):
        changed = list(rows)
        changed[i], changed[k] = changed[k], changed[i]
        return written(f"rows {i} and {k} swapped", changed)

    def widen(i, j):
        changed = copy.deepcopy(fields)
        changed[i].insert(j, changed[i][j])
        return with_fields(f"row {i}, column {j} doubled", changed)

    def narrow(i, j):
        changed = copy.deepcopy(fields)
        del changed[i][j]
        return with_fields(f"row {i} without column {j}", changed)

    return st.one_of(
        st.builds(replace, row, column, st.sampled_from(VALUES)),
        st.builds(swap_columns, column, column),
        st.builds(swap_rows, row, row),
        st.builds(widen, row, column),
        st.builds(narrow, row, column),
        row.map(lambda i: written(f"row {i} removed", rows[:i] + rows[i + 1 :])),
        row.map(lambda i: written(f"row {i} doubled", rows[: i + 1] + rows[i:])),
        row.map(lambda i: written(f"row {i} at the end", rows[:i] + rows[i + 1 :] + [rows[i]])),
        st.just(written("reversed", rows[::-1])),
        st.just(written("without its head", rows, [])),
        st.just(written("no rows", [])),
        st.just(written("commas", [row.replace(separator, ", ") for row in rows])),
    )


def of_json(good: bytes) -> st.SearchStrategy[Damage]:
    """Values of other types, keys removed, added or doubled, the object wrapped."""
    values = json.loads(good)
    key = st.sampled_from(sorted(values))

    def written(done, changed):
        return done, json.dumps(changed).encode()

    def doubled(name, value):
        text = json.dumps({name: value})[:-1] + ", " + json.dumps(values)[1:]
        return f"{name} doubled", text.encode()

    other = st.sampled_from(JSON_VALUES)
    return st.one_of(
        st.builds(lambda k, v: written(f"{k} = {v!r}", {**values, k: v}), key, other),
        key.map(lambda k: written(f"{k} = its text", {**values, k: str(values[k])})),
        key.map(lambda k: written(f"{k} removed", {n: v for n, v in values.items() if n != k})),
        key.map(lambda k: written(f"{k} misspelt", {**values, k[::-1]: values[k]} | {k: None})),
        st.builds(doubled, key, other),
        st.sampled_from(
            [
                written("wrapped", [values]),
                written("null", None),
                ("nested", b"[" * 100_000),
                ("a number of many digits", b'{"a": ' + b"1" * 10_000 + b"}"),
                ("an open end", good.rstrip()[:-1]),
            ]
        ),
    )
