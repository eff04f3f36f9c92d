"""Keep the state of a prediction on disk, so that the same call can resume it.

The folder `<out>.parts` holds the run's identity and a file of values that grows by one window at a
time. The values of a window are stored track by track, followed by a checksum. So one track is read
without the others, an incomplete window is recognised, and memory holds one window.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from senformer.prediction.coverage_files import METADATA_KEY, PLACE_COLUMNS, Segment
from senformer.prediction.regions import Window, WindowLayout
from senformer.storage import atomic_files
from senformer.storage.text_files import parse_json_object, read_json_object, read_text
from senformer.training.identity import digest_values

DESCRIPTION_FILE = "predictions.json"
"""The description next to the bigWigs. It is written last."""

_IDENTITY_FILE = "run.json"
_BYTES_OF_VALUE = 4
_BYTES_OF_CHECKSUM = 4


def describe(values: Mapping[str, Any]) -> str:
    """Return the description of a complete result as JSON, with a digest of its other values.

    Args:
        values: Among others `run`, the identity; `files`, the size of each file in bytes; `tracks`
            by their names.
    """
    return json.dumps({**values, "digest": digest_values(values)}, indent=1) + "\n"


def is_done(out: Path, identity: Mapping[str, Any]) -> bool:
    """Tell whether `out` holds the complete result of a run.

    Args:
        out: A folder of bigWigs or a Parquet file; need not exist.
        identity: All values that determine the predictions, by name.

    Raises:
        FileExistsError: If `out` holds another prediction, or is a file of another kind.
        ValueError: If the description in `out` is damaged, or a file is missing or truncated.
    """
    if not out.exists() or (out.is_dir() and not (out / DESCRIPTION_FILE).exists()):
        return False
    found = _read_description(out)
    _check_identity(out, found["run"], identity)
    for name, num_bytes in found["files"].items():
        file = out / name
        size = f"{file.stat().st_size} bytes" if file.is_file() else "missing"
        if size != f"{num_bytes} bytes":
            raise ValueError(
                f"{file}: {size}, expected {num_bytes} bytes as written; delete {out} to predict "
                "again"
            )
    return True


def _read_description(out: Path) -> dict[str, Any]:
    """Read the description of a result, with the mappings `run` and `files`."""
    expected = "the description of predictions"
    path = out / DESCRIPTION_FILE if out.is_dir() else out
    if out.is_dir():
        text = read_text(path, expected)
    else:
        try:
            schema = pq.read_schema(out)
            text = schema.metadata[METADATA_KEY].decode(errors="replace")
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError):
            raise FileExistsError(
                f"{out}: exists and is no earlier prediction, expected a new file"
            ) from None
    found = parse_json_object(text, path, expected)
    digest = found.pop("digest", None)
    is_whole = digest == digest_values(found)
    is_whole &= all(isinstance(found.get(name), dict) for name in ("run", "files", "tracks"))
    if is_whole and not out.is_dir():
        is_whole = schema.names == [*PLACE_COLUMNS, *found["tracks"]]
    if not is_whole:
        raise ValueError(
            f"{path}: damaged or of an earlier version, expected {expected} as written; delete "
            f"{out} to predict again"
        )
    return found


def start_or_resume(folder: Path, out: Path, identity: Mapping[str, Any]) -> None:
    """Create the folder of a run's state, or check that it belongs to this run.

    Args:
        folder: The folder of the state.
        out: The folder or file of the result.
        identity: All values that determine the predictions, by name.

    Raises:
        FileExistsError: If the folder belongs to another run, or `out` holds anything else.
        ValueError: If the identity in the folder is damaged.
    """
    path = folder / _IDENTITY_FILE
    if path.is_file():
        _check_identity(folder, read_json_object(path, "the identity of a run"), identity)
        return
    if out.is_dir() and any(out.iterdir()):
        raise FileExistsError(
            f"{out}: exists and is no earlier prediction, expected a new or empty folder"
        )
    with atomic_files.replace_file(path) as unfinished:
        unfinished.write_text(json.dumps(identity, indent=1) + "\n")


def _check_identity(path: Path, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    differing = [name for name in expected if found.get(name) != expected[name]]
    if differing:
        raise FileExistsError(
            f"{path}: another prediction, which differs in {', '.join(differing)}; expected a new "
            "name, or that you delete it"
        )


@dataclass(frozen=True)
class WindowFile:
    """A file of predicted values that grows by one window at a time.

    Attributes:
        path: The file, which need not exist.
        windows: All windows, in the order in which they are appended.
        num_tracks: Number of tracks of each window.
    """

    path: Path
    windows: WindowLayout
    num_tracks: int

    def count_bytes(self, num_windows: int | None = None) -> int:
        """Return the size of the file with the first windows, by default with all."""
        return sum(map(self._bytes_of_window, islice(self.windows, num_windows)))

    def append(self, file: BinaryIO, values: NDArray[np.float32]) -> None:
        """Append a window's values `[tracks, kept bins]` and flush them to the disk."""
        payload = np.ascontiguousarray(values, "<f4").tobytes()
        file.write(payload + zlib.crc32(payload).to_bytes(_BYTES_OF_CHECKSUM, "little"))
        file.flush()
        os.fsync(file.fileno())

    def count_complete(self) -> int:
        """Count the windows that the file holds complete, from the first one on."""
        count = 0
        if self.path.exists():
            with self.path.open("rb") as file:
                for window in self.windows:
                    block = file.read(self._bytes_of_window(window))
                    payload, checksum = block[:-_BYTES_OF_CHECKSUM], block[-_BYTES_OF_CHECKSUM:]
                    is_complete = len(block) == self._bytes_of_window(window)
                    if not is_complete or zlib.crc32(payload) != int.from_bytes(checksum, "little"):
                        break
                    count += 1
        return count

    def read_segments(self, track: int | None = None) -> Iterator[Segment]:
        """Yield each bin once, in order; a bin of several windows gets the mean.

        Args:
            track: The track to read; by default all tracks.
        """
        num_rows = self.num_tracks if track is None else 1
        chromosome, first_bin = "", 0
        sums, counts = np.zeros([num_rows, 0], np.float32), np.zeros(0, np.float32)
        for window, values in self._read_windows(track):
            has_gap = window.chromosome != chromosome or window.first_kept_bin > first_bin + len(
                counts
            )
            num_final = len(counts) if has_gap else window.first_kept_bin - first_bin
            if num_final:
                yield Segment(chromosome, first_bin, sums[:, :num_final] / counts[:num_final])
            chromosome, first_bin = window.chromosome, window.first_kept_bin
            num_new = window.num_kept_bins - (len(counts) - num_final)
            sums = np.pad(sums[:, num_final:], [(0, 0), (0, num_new)]) + values
            counts = np.pad(counts[num_final:], [(0, num_new)]) + np.float32(1)
        if len(counts):
            yield Segment(chromosome, first_bin, sums / counts)

    def _read_windows(self, track: int | None) -> Iterable[tuple[Window, NDArray[np.float32]]]:
        first_row, num_rows = (0, self.num_tracks) if track is None else (track, 1)
        start = 0
        with self.path.open("rb") as file:
            for window in self.windows:
                bytes_of_row = window.num_kept_bins * _BYTES_OF_VALUE
                file.seek(start + first_row * bytes_of_row)
                values = np.frombuffer(file.read(num_rows * bytes_of_row), "<f4")
                start += self._bytes_of_window(window)
                yield window, values.reshape(num_rows, window.num_kept_bins)

    def _bytes_of_window(self, window: Window) -> int:
        return self.num_tracks * window.num_kept_bins * _BYTES_OF_VALUE + _BYTES_OF_CHECKSUM
