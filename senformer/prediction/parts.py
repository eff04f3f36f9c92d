"""What has been predicted so far: a file that grows by one window at a time and can be taken up.

A window's values lie together, track by track, with a checksum behind them. So a track is read
without the others, what a killed process left unfinished is seen, and memory holds one window.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from senformer.prediction.regions import Window

_BYTES_OF_VALUE = 4
_BYTES_OF_CHECKSUM = 4

Values = NDArray[np.float32]


class Segment(NamedTuple):
    """Adjacent bins with their final values.

    Attributes:
        chromosome: Its name.
        first_bin: The first one.
        values: `[tracks, bins]`.
    """

    chromosome: str
    first_bin: int
    values: Values


def num_bytes(windows: Iterable[Window], num_tracks: int) -> int:
    """How large the file becomes."""
    return sum(_bytes_of(window, num_tracks) for window in windows)


def append(file: BinaryIO, values: Values) -> None:
    """Add a window's values `[tracks, kept bins]`, and have them on the disk."""
    payload = np.ascontiguousarray(values, "<f4").tobytes()
    file.write(payload + zlib.crc32(payload).to_bytes(_BYTES_OF_CHECKSUM, "little"))
    file.flush()
    os.fsync(file.fileno())


def num_whole(path: Path, windows: Iterable[Window], num_tracks: int) -> int:
    """How many windows a file holds whole, from the first one on.

    Args:
        path: The file, which need not exist.
        windows: All of them.
        num_tracks: Rows of each.
    """
    count = 0
    if path.exists():
        with path.open("rb") as file:
            for window in windows:
                block = file.read(_bytes_of(window, num_tracks))
                payload, checksum = block[:-_BYTES_OF_CHECKSUM], block[-_BYTES_OF_CHECKSUM:]
                is_whole = len(block) == _bytes_of(window, num_tracks)
                if not is_whole or zlib.crc32(payload) != int.from_bytes(checksum, "little"):
                    break
                count += 1
    return count


def read(
    path: Path, windows: Iterable[Window], num_tracks: int, *, track: int | None = None
) -> Iterator[Segment]:
    """All bins in order, each once; what several windows kept of a bin is averaged.

    Args:
        path: The file, whole.
        windows: All of them, in the order in which they were appended.
        num_tracks: Rows of each.
        track: One of them alone; by default all.
    """
    rows = range(num_tracks) if track is None else range(track, track + 1)
    chromosome, first_bin = "", 0
    sums, counts = np.zeros([len(rows), 0], np.float32), np.zeros(0, np.float32)
    with path.open("rb") as file:
        start = 0
        for window in windows:
            file.seek(start + rows[0] * window.num_kept_bins * _BYTES_OF_VALUE)
            payload = file.read(len(rows) * window.num_kept_bins * _BYTES_OF_VALUE)
            values = np.frombuffer(payload, "<f4").reshape(len(rows), window.num_kept_bins)
            start += _bytes_of(window, num_tracks)
            is_apart = window.chromosome != chromosome or window.first_kept_bin > first_bin + len(
                counts
            )
            num_final = len(counts) if is_apart else window.first_kept_bin - first_bin
            if num_final:
                yield Segment(chromosome, first_bin, sums[:, :num_final] / counts[:num_final])
            chromosome, first_bin = window.chromosome, window.first_kept_bin
            num_further = window.num_kept_bins - (len(counts) - num_final)
            sums = np.pad(sums[:, num_final:], [(0, 0), (0, num_further)])
            counts = np.pad(counts[num_final:], [(0, num_further)])
            sums += values
            counts += 1
    if len(counts):
        yield Segment(chromosome, first_bin, sums / counts)


def _bytes_of(window: Window, num_tracks: int) -> int:
    return num_tracks * window.num_kept_bins * _BYTES_OF_VALUE + _BYTES_OF_CHECKSUM
