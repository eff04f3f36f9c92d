"""Damage records and their tables."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import damages
import numpy as np
import pandas as pd
import small_records
import tensorflow as tf
from formats import Format, IsLegal
from hypothesis import strategies as st

from senformer.data import datasets, record_folders, records, tracks
from senformer.data.record_folders import RecordFolder
from senformer.data.windows import InputWindow


def tfrecords(folder: Path) -> Format:
    human = _write_data_set(folder)
    file = human / "tfrecords/train-1.tfr"
    damage = st.one_of(damages.of_bytes(file.read_bytes()), _damage_records(file))
    return _describe(file, _read_all, damage, lambda done, *_: done.startswith("another"))


def targets(folder: Path) -> Format:
    file = _write_data_set(folder) / "targets.txt"
    table = pd.read_csv(file, sep="\t")
    table["strand_pair"] = [1, 0, 2]
    table.to_csv(file, sep="\t", index=False)
    damage = damages.of_table(file.read_bytes(), "\t", 1)
    return _describe(file, lambda found: found.targets, damage, _is_another_targets_table)


def statistics(folder: Path) -> Format:
    file = _write_data_set(folder) / "statistics.json"
    damage = damages.of_json(file.read_bytes())
    return _describe(file, lambda found: [found.layout, found.pool_width_bp], damage)


def intervals(folder: Path) -> Format:
    file = _write_data_set(folder) / "sequences.bed"

    def select(found: RecordFolder) -> list[tuple[Any, ...]]:
        return list(found.intervals.itertuples(index=False, name=None))

    damage = damages.of_table(file.read_bytes(), "\t", 0)
    return _describe(file, select, damage, _are_other_intervals)


def _write_data_set(folder: Path) -> Path:
    """Write ten records of two splits, and return the organism's folder."""
    return small_records.write_basenji2(folder / "data") / "human"


def _describe(
    file: Path,
    select: Callable[[RecordFolder], Any],
    damage: st.SearchStrategy[damages.Damage],
    is_legal: IsLegal = lambda *_: False,
) -> Format:
    """Describe a file whose reader opens the data set and selects a part."""
    data = next(parent for parent in file.parents if parent.name == "data")
    return Format(
        file, lambda: select(record_folders.open_folders(data)["human"]), damage, is_legal
    )


def _read_all(folder: RecordFolder) -> dict[str, Any]:
    found: dict[str, Any] = {"targets": folder.targets, "intervals": folder.intervals}
    window = InputWindow(folder.sequence_length_bp)
    for split in folder.splits:
        examples = list(datasets.examples(folder, split, window))
        for key in ("sequence", "target", "row"):
            found[f"{split} {key}"] = np.stack([np.asarray(example[key]) for example in examples])
    return found


def _damage_records(file: Path) -> st.SearchStrategy[damages.Damage]:
    """Write impossible values into intact records, or other records."""
    good = list(records.read(file))
    length_bp = small_records.TOKENS * small_records.BIN
    layout = records.Layout("basenji2", length_bp, small_records.BINS, 3)

    def write(done, data):
        scratch = file.with_suffix(".scratch")
        records.write(scratch, data)
        return done, scratch.read_bytes()

    def replace(i, done, one_hot, values):
        return write(done, [*good[:i], records.serialize(one_hot, values), *good[i + 1 :]])

    def decode(i):
        bases, values = records.decode(records.Record(good[i], file, 0), layout)
        return np.eye(5, dtype=np.uint8)[bases][:, :4], values.copy()

    def set_value(value, i, place):
        one_hot, values = decode(i)
        values.reshape(-1)[place % values.size] = value
        is_possible = np.isfinite(value) and value >= 0
        return replace(i, f"{'another' if is_possible else 'no'} value: {value}", one_hot, values)

    def set_byte(byte, i, place):
        one_hot, values = decode(i)
        one_hot.reshape(-1)[place % one_hot.size] = byte
        is_possible = one_hot[place % one_hot.size // 4].sum() <= 1
        return replace(i, "another base" if is_possible else "no base", one_hot, values)

    def with_features(**features):
        feature = {
            name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
            for name, value in features.items()
        }
        example = tf.train.Example(features=tf.train.Features(feature=feature))
        return write(f"features {list(features)}", [example.SerializeToString(), *good[1:]])

    sequence, target = records.parse(good[0], file)
    number, place = st.integers(0, len(good) - 1), st.integers(0, 10**6)
    return st.one_of(
        st.builds(set_value, st.sampled_from([np.nan, np.inf, -1.0, 0.5]), number, place),
        st.builds(set_byte, st.sampled_from([0, 1, 2, 255]), number, place),
        number.map(lambda i: write(f"record {i} removed", good[:i] + good[i + 1 :])),
        number.map(lambda i: write(f"record {i} doubled", good[: i + 1] + good[i:])),
        st.sampled_from(
            [
                write("another order", good[::-1]),
                write("no record", []),
                write("no example", [b"\xff\xff", *good[1:]]),
                write("empty examples", [b"" for _ in good]),
                with_features(sequence=sequence),
                with_features(target=target, sequence=target),
                with_features(target=target[:-2], sequence=sequence),
                with_features(target=target + b"0", sequence=sequence),
                with_features(target=target * 2, sequence=sequence),
                with_features(target=target, sequence=sequence[:-4]),
                with_features(target=sequence, sequence=target),
            ]
        ),
    )


def _is_another_targets_table(done: str, damaged: bytes, found: pd.DataFrame) -> bool:
    """Accept other names and descriptions, and other positive numbers, if they are as written."""
    head, *rows = [line.split("\t") for line in damaged.decode().split("\n") if line]
    written = pd.DataFrame(rows, columns=head).set_index(head[0])
    texts = all(
        written[name].tolist() == found[name].tolist() and all(found[name].map(str.isprintable))
        for name in ("identifier", "file", "sum_stat", "description")
        if name in written
    )
    numbers = all(
        (written[name].astype(float).to_numpy() == found[name].to_numpy()).all()
        and (found[name] > 0).all()
        for name in ("clip", "scale")
        if name in written
    )
    pairs = "strand_pair" in found and sorted(found["strand_pair"]) == list(found.index)
    is_known = found["sum_stat"].isin(tracks._SUM_STATS).all()
    return texts and numbers and pairs and is_known and list(found.index) == [0, 1, 2]


def _are_other_intervals(done: str, damaged: bytes, found: list[tuple[Any, ...]]) -> bool:
    """Accept other intervals of the same width, and another order: records contain no place."""
    rows = [line.split("\t") for line in damaged.decode("utf-8-sig").splitlines() if line]
    written = [(chrom, int(start), int(end), split) for chrom, start, end, split in rows]
    is_possible = all(
        end - start == small_records.TOKENS * small_records.BIN
        and start >= 0
        and split in ("train", "test")
        and chrom.isascii()
        and chrom.isprintable()
        and " " not in chrom
        for chrom, start, end, split in written
    )
    splits = sorted(split for *_, split in written)
    return (
        is_possible
        and found == written
        and len(set(written)) == 10
        and splits == ["test"] * 3 + ["train"] * 7
    )
