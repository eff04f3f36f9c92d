"""Write a small data set whose values name the record and the bin."""

import json

import numpy as np
import pandas as pd
import tensorflow as tf

from senformer.data import genome, records

BIN = 128
TOKENS = 12  # per stored sequence
BINS = 8  # per record
TRACKS = 3


def write_basenji2(data, *, num_train=7, num_test=3, records_per_file=3):
    folder = data / "human"
    (folder / "tfrecords").mkdir(parents=True)
    rng = np.random.default_rng(0)
    stored = TOKENS * BIN
    chromosome = "".join(rng.choice(list("ACGTN"), size=(num_train + num_test + 1) * stored))
    (folder / "genome.fa").write_text(f">chr1\n{chromosome}\n")
    starts = rng.permutation(num_train + num_test) * stored + 300
    bed, serialized = [], {"train": [], "test": []}
    for number, start in enumerate(starts):
        split = "train" if number < num_train else "test"
        bed.append(f"chr1\t{start}\t{start + stored}\t{split}\n")
        sequence = genome.one_hot(chromosome[start : start + stored]).astype(bool)
        serialized[split].append(records.serialize(sequence, values_of(number)))
    for split, split_records in serialized.items():
        for file, first in enumerate(range(0, len(split_records), records_per_file)):
            path = folder / f"tfrecords/{split}-{file}.tfr"
            records.write(path, split_records[first : first + records_per_file])
    (folder / "sequences.bed").write_text("".join(bed))
    write_tables(folder, ["mean"] * TRACKS, seq_length=stored, target_length=BINS, pool_width=BIN)
    return data


def values_of(record: int) -> np.ndarray:
    """Return a record's values: track 0 is the record, track 1 the bin, track 2 is constant."""
    bins = np.arange(BINS)
    return np.stack([np.full(BINS, record), bins, np.ones(BINS)], axis=1).astype(np.float16)


def write_tables(folder, sum_stats, **statistics):
    rows = [
        {"identifier": f"t{i}", "file": "f", "clip": 32, "scale": 1, "sum_stat": s}
        for i, s in enumerate(sum_stats)
    ]
    targets = pd.DataFrame(rows).assign(description="DNASE:x")
    targets.to_csv(folder / "targets.txt", sep="\t", index_label="index")
    (folder / "statistics.json").write_text(
        json.dumps({"num_targets": len(sum_stats), **statistics})
    )


def damage(path, how):
    """Damage a file of records."""
    data = path.read_bytes()
    if how == "truncated":
        path.write_bytes(data[: len(data) * 2 // 3])
    elif how == "flipped":
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :])
    elif how == "foreign":
        path.write_bytes(b"chr1\t0\t10\n" * 100)
    elif how == "uncompressed":
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(b"x" * 100)
