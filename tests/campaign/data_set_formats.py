"""Records and the tables that lie beside them."""

from pathlib import Path
from typing import Any

import damages
import numpy as np
import pandas as pd
import small_records
import tensorflow as tf
from formats import Format
from hypothesis import strategies as st

from senformer.data import datasets, record_folders, records, tracks
from senformer.data.windows import InputWindow


def data_set(folder: Path) -> Path:
    """Ten records of two splits; see `small_records`."""
    return small_records.write_basenji2(folder / "data") / "human"


def read_data_set(human: Path) -> dict[str, Any]:
    folder = record_folders.open_folders(human.parent)["human"]
    found = {"targets": folder.targets, "intervals": folder.intervals}
    for split in folder.splits:
        examples = list(datasets.examples(folder, split, InputWindow(folder.sequence_length_bp)))
        for key in ("sequence", "target", "row"):
            found[f"{split} {key}"] = np.stack([np.asarray(example[key]) for example in examples])
    return found


def _of_records(file: Path) -> st.SearchStrategy[damages.Damage]:
    """Records that are whole and say what no record says, or are not those that are due."""
    good = list(records.read(file))
    layout = records.Layout(
        "basenji2", small_records.TOKENS * small_records.BIN, small_records.BINS, 3
    )
    arrays = [records.decode(records.Record(data, file, 0), layout) for data in good]

    def serialized(bases, values):
        return records.serialize(np.eye(5, dtype=bool)[bases][:, :4], values)

    def written(done, data):
        scratch = file.with_suffix(".scratch")
        records.write(scratch, data)
        return done, scratch.read_bytes()

    def with_value(value, i, place):
        bases, values = arrays[i]
        values = values.copy()
        values.reshape(-1)[place % values.size] = value
        is_count = np.isfinite(value) and value >= 0
        done = f"{'another' if is_count else 'no'} value: {value}"
        return written(done, [*good[:i], serialized(bases, values), *good[i + 1 :]])

    def with_byte(byte, i, place):
        bases, values = arrays[i]
        one_hot = np.eye(5, dtype=np.uint8)[bases][:, :4]
        one_hot.reshape(-1)[place % one_hot.size] = byte
        rows = one_hot[place % one_hot.size // 4]
        done = "another base" if rows.sum() <= 1 else "no base"
        return written(done, [*good[:i], records.serialize(one_hot, values), *good[i + 1 :]])

    def with_features(features):
        feature = {
            name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
            for name, value in features.items()
        }
        example = tf.train.Example(features=tf.train.Features(feature=feature))
        return written(f"features {list(features)}", [example.SerializeToString(), *good[1:]])

    sequence, target = records.parse(good[0], file)
    number, place = st.integers(0, len(good) - 1), st.integers(0, 10**6)
    return st.one_of(
        st.builds(with_value, st.sampled_from([np.nan, np.inf, -1.0, 0.5]), number, place),
        st.builds(with_byte, st.sampled_from([0, 1, 2, 255]), number, place),
        number.map(lambda i: written(f"record {i} removed", good[:i] + good[i + 1 :])),
        number.map(lambda i: written(f"record {i} doubled", good[: i + 1] + good[i:])),
        st.sampled_from(
            [
                written("another order", good[::-1]),
                written("no record", []),
                written("no example", [b"\xff\xff", *good[1:]]),
                written("empty examples", [b"" for _ in good]),
                with_features({"sequence": sequence}),
                with_features({"target": target, "sequence": target}),
                with_features({"target": target[:-2], "sequence": sequence}),
                with_features({"target": target + b"0", "sequence": sequence}),
                with_features({"target": target * 2, "sequence": sequence}),
                with_features({"target": target, "sequence": sequence[:-4]}),
                with_features({"target": sequence, "sequence": target}),
            ]
        ),
    )


def _is_another_record(done: str, damaged: bytes, found: Any) -> bool:
    return done.startswith("another")


def tfrecords(folder: Path) -> Format:
    human = data_set(folder)
    file = human / "tfrecords/train-1.tfr"
    damage = st.one_of(damages.of_bytes(file.read_bytes()), _of_records(file))
    return Format(file, lambda: read_data_set(human), damage, _is_another_record)


def targets(folder: Path) -> Format:
    human = data_set(folder)
    file = human / "targets.txt"
    table = pd.read_csv(file, sep="\t")
    table["strand_pair"] = [1, 0, 2]
    table.to_csv(file, sep="\t", index=False)
    good = file.read_bytes()
    damage = st.one_of(
        damages.of_bytes(good), damages.of_text(good), damages.of_table(good, "\t", 1)
    )

    def read() -> pd.DataFrame:
        return record_folders.open_folders(human.parent)["human"].targets

    return Format(file, read, damage, _is_another_targets_table)


def _is_another_targets_table(done: str, damaged: bytes, found: pd.DataFrame) -> bool:
    """Names and descriptions may be others, and so may positive numbers; each as it is written."""
    head, *rows = [line.split("\t") for line in damaged.decode().split("\n") if line]
    stands = pd.DataFrame(rows, columns=head).set_index(head[0])
    texts = all(
        stands[name].tolist() == found[name].tolist() and all(found[name].map(str.isprintable))
        for name in ("identifier", "file", "sum_stat", "description")
    )
    numbers = all(
        (stands[name].astype(float).to_numpy() == found[name].to_numpy()).all()
        and (found[name] > 0).all()
        for name in ("clip", "scale")
    )
    pairs = "strand_pair" in found and sorted(found["strand_pair"]) == list(found.index)
    is_known = found["sum_stat"].isin(tracks._SUM_STATS).all()
    return texts and numbers and pairs and is_known and list(found.index) == [0, 1, 2]


def statistics(folder: Path) -> Format:
    human = data_set(folder)
    file = human / "statistics.json"
    good = file.read_bytes()
    damage = st.one_of(damages.of_bytes(good), damages.of_text(good), damages.of_json(good))

    def read() -> dict[str, Any]:
        found = record_folders.open_folders(human.parent)["human"]
        return {"layout": found.layout, "pool_width_bp": found.pool_width_bp}

    return Format(file, read, damage)


def intervals(folder: Path) -> Format:
    human = data_set(folder)
    file = human / "sequences.bed"
    good = file.read_bytes()
    damage = st.one_of(
        damages.of_bytes(good), damages.of_text(good), damages.of_table(good, "\t", 0)
    )

    def read() -> list[tuple[Any, ...]]:
        found = record_folders.open_folders(human.parent)["human"].intervals
        return list(found.itertuples(index=False, name=None))

    return Format(file, read, damage, _are_other_intervals)


def _are_other_intervals(done: str, damaged: bytes, found: list[tuple[Any, ...]]) -> bool:
    """Other intervals as wide, each once, or the same in another order: records name no place."""
    rows = [line.split("\t") for line in damaged.decode("utf-8-sig").splitlines() if line]
    stands = [(chrom, int(start), int(end), split) for chrom, start, end, split in rows]
    is_possible = all(
        end - start == small_records.TOKENS * small_records.BIN
        and start >= 0
        and split in ("train", "test")
        and chrom.isascii()
        and chrom.isprintable()
        and " " not in chrom
        for chrom, start, end, split in stands
    )
    splits = sorted(split for *_, split in stands)
    return (
        is_possible
        and found == stands
        and len(set(stands)) == 10
        and splits == ["test"] * 3 + ["train"] * 7
    )
