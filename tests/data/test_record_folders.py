import gzip
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from small_records import BIN, BINS, damage, write_tables

from senformer.data import datasets, record_folders, records
from senformer.data.windows import InputWindow


def refuse(data, message, error=ValueError):
    with pytest.raises(error, match=message) as raised:
        record_folders.open_folders(data)
    assert "\n" not in str(raised.value)


# ------------------------------------------------------------------------------------ the folders


def test_missing_folders_are_named(tmp_path):
    refuse(tmp_path / "absent", r"absent: no such data folder", FileNotFoundError)
    refuse(tmp_path, r"expected one of human/, hg38/, mouse/, mm10/ below it", FileNotFoundError)


def test_two_folders_of_an_organism_are_refused(basenji2):
    shutil.copytree(basenji2 / "human", basenji2 / "hg38")
    refuse(basenji2, r"has both human/ and hg38/")


@pytest.mark.parametrize("name", ["targets.txt", "statistics.json", "sequences.bed"])
def test_tables_must_be_text_files(basenji2, name):
    path = basenji2 / "human" / name
    text = path.read_text()
    path.write_text(text, encoding="utf-16")
    refuse(basenji2, rf"{name}: not UTF-8 .*expected")
    path.write_text(text, encoding="utf-16-le")
    refuse(basenji2, rf"{name}: not text.*expected")
    path.unlink()
    refuse(basenji2, rf"{name}: no such", FileNotFoundError)
    path.mkdir()
    refuse(basenji2, rf"{name}: is a folder, expected", FileNotFoundError)


# ------------------------------------------------------------------------------------- the tables


def test_targets_must_match_the_statistics(basenji2):
    path = basenji2 / "human/targets.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    refuse(basenji2, r"targets\.txt: 2 tracks do not match the records, expected 3")


def test_tables_must_match_the_records(basenji2):
    lengths = {"seq_length": 1536, "target_length": BINS, "pool_width": BIN}
    write_tables(basenji2 / "human", ["mean"] * 5, **lengths)
    refuse(basenji2, r"train-0\.tfr: a record's target has 48 bytes, expected 80 .* of 5 tracks")
    write_tables(basenji2 / "human", ["mean"] * 3, **lengths | {"seq_length": 2560})
    bed = basenji2 / "human/sequences.bed"
    rows = [line.split("\t") for line in bed.read_text().splitlines()]
    bed.write_text("".join(f"{c}\t{s}\t{int(s) + 2560}\t{split}\n" for c, s, _, split in rows))
    refuse(basenji2, r"sequence has 6144 bytes, expected 2560 .* or 10240")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("chr1\t-1536\t0\ttrain", "line 1 has '-1536', expected start and end as integers of at"),
        ("chr1\t5e+04\t51536\ttrain", r"line 1 has '5e\+04', expected start and end as integers"),
        ("chr1\t100.0\t1636\ttrain", r"line 1 has '100\.0', expected start and end as integers"),
        ("chr1\t1,000\t2536\ttrain", "line 1 has '1,000', expected start and end as integers"),
        ("chr1\t99999999999999999999\t1\ttrain", "line 1 has '9999.*at most 2147483647"),
        ("chr1\t3000000000\t3000001536\ttrain", "line 1 is 3000000000 to .* at most 2147483647"),
        ("chr1\t1536\t0\ttrain", "line 1 is 1536 to 0, expected a start before an end"),
        ("chr1\t0\t1536\t../train", r"line 1 is in split '\.\./train', expected letters, digits"),
        ("chr 1\t0\t1536\ttrain", "line 1 is on 'chr 1', expected the name of a chromosome"),
        ("\t0\t1536\ttrain", "line 1 is on '', expected the name of a chromosome"),
        ("chr1\t0\t1536\t*", r"line 1 is in split '\*', expected letters, digits"),
        ("chr1\t0\t1536", "line 1 is in split '', expected letters, digits"),
        ("chr1 0 1536 train", "line 1 is 'chr1 0 1536 train', expected chromosome, start and end"),
        ("chr1\t299\t1836\ttrain", "intervals of 1536, 1537 bp, expected all of 1536"),
    ],
)
def test_intervals_are_checked(basenji2, row, message):
    path = basenji2 / "human/sequences.bed"
    path.write_text("\n".join([row, *path.read_text().splitlines()[1:]]))
    refuse(basenji2, rf"sequences\.bed: .*({message})")


def test_repeated_intervals_are_refused(basenji2):
    path = basenji2 / "human/sequences.bed"
    rows = path.read_text().splitlines()
    path.write_text("\n".join([*rows[:4], rows[0], *rows[5:]]))
    refuse(basenji2, r"sequences\.bed: chr1:\d+-\d+ \(train\) is repeated")


@pytest.mark.parametrize("distance_bp", [1, 1023, 1024])
def test_splits_must_not_overlap(basenji2, distance_bp):
    """Move a test record next to a training record; both predict 1,024 bp."""
    (basenji2 / "human/genome.fa").unlink()
    path = basenji2 / "human/sequences.bed"
    rows = path.read_text().splitlines()
    start = int(rows[0].split("\t")[1]) + distance_bp
    path.write_text("\n".join([*rows[:-1], f"chr1\t{start}\t{start + 1536}\ttest"]))
    if distance_bp == 1024:
        assert len(record_folders.open_folders(basenji2)["human"].intervals_of("test")) == 3
    else:
        refuse(basenji2, rf"\(train\) and .* \(test\) predict {1024 - distance_bp} bp in common")


def test_intervals_may_be_compressed(basenji2):
    path = basenji2 / "human/sequences.bed"
    expected = record_folders.open_folders(basenji2)["human"].intervals
    compressed = path.with_name("sequences.bed.gz")
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    pd.testing.assert_frame_equal(
        record_folders.open_folders(basenji2)["human"].intervals, expected
    )
    compressed.write_bytes(compressed.read_bytes()[:-9])
    refuse(basenji2, r"sequences\.bed\.gz: a damaged gzip file")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seq_length", None, "seq_length=None, expected .*integer"),
        ("pool_width", 48, "pool_width=48, expected a divisor of 128"),
        ("target_length", 13, "target_length=13 bins of 128 bp, expected the middle"),
        ("target_length", 7, "whole 128-bp bins on both sides"),
        ("target_length", True, "target_length=True, expected .*integer"),
        ("crop_bp", 1, r"crop_bp=1, expected \d+, which seq_length"),
    ],
)
def test_statistics_are_checked(basenji2, key, value, message):
    path = basenji2 / "human/statistics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    refuse(basenji2, rf"statistics\.json: .*{message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("num_targets: 3", "not JSON"),
        ('{"num_targets": 4, "num_targets": 4}', "not JSON .*key 'nu"),
    ],
)
def test_statistics_must_be_json(basenji2, text, message):
    (basenji2 / "human/statistics.json").write_text(text)
    refuse(basenji2, rf"statistics\.json: {message}")


# ------------------------------------------------------------------------------------- the records


@pytest.mark.parametrize("how", ["truncated", "flipped", "foreign", "uncompressed"])
@pytest.mark.parametrize("name", ["train-0", "train-2", "test-0"])
def test_damaged_files_are_named(basenji2, how, name):
    damage(basenji2 / f"human/tfrecords/{name}.tfr", how)
    refuse(basenji2, rf"{name}\.tfr: truncated, damaged or not a ZLIB TFRecord file")


def test_missing_files_are_named(basenji2):
    folder = basenji2 / "human/tfrecords"
    last = (folder / "train-2.tfr").rename(folder / "left-out")
    refuse(basenji2, r"train-0\.tfr: 3 records, expected 3 files train-\*\.tfr .*, found 2")
    last.rename(folder / "train-2.tfr")
    (folder / "train-1.tfr").unlink()
    refuse(basenji2, r"no train-1\.tfr, expected it before train-2\.tfr", FileNotFoundError)
    for file in folder.glob("test-*"):
        file.unlink()
    (folder / "train-2.tfr").rename(folder / "train-1.tfr")
    refuse(basenji2, r"tfrecords: no test-\*\.tfr|found 2", (FileNotFoundError, ValueError))
    (folder / "train-0.tfr").unlink()
    (folder / "train-0.tfr").mkdir()
    refuse(basenji2, r"train-0\.tfr: cannot be read \(.*irectory")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("train--1", r"train--1\.tfr: expected a name such as train-0\.tfr"),
        ("train-1 (copy)", r"expected a name such as train-0\.tfr"),
        ("train-01", r"(train-1|train-01)\.tfr: has the number of"),
        ("train-3", r"train-3\.tfr: 3 records, expected 0"),
        ("train-1-0", r"differs in \d+ bases from .*train-1-0\.tfr: row 6 of its split"),
        ("train", r"train\.tfr: expected <split>-<number>\.tfr with one of .*: train, test"),
        ("dev-0", r"dev-0\.tfr: expected <split>-<number>\.tfr with one of .*: train, test"),
    ],
)
def test_unexpected_files_are_refused(basenji2, name, message):
    folder = basenji2 / "human/tfrecords"
    shutil.copy(folder / "train-1.tfr", folder / f"{name}.tfr")
    refuse(basenji2, message)


def test_large_data_sets_are_checked_while_reading(basenji2, monkeypatch):
    monkeypatch.setattr(record_folders, "_FULL_CHECK_BYTES", 0)
    path = basenji2 / "human/tfrecords/train-1.tfr"
    records.write(path, list(records.read(path))[:2])
    folder = record_folders.open_folders(basenji2)["human"]
    with pytest.raises(ValueError, match=r"train-1\.tfr: 2 records, expected 3"):
        list(datasets.examples(folder, "train", InputWindow(BIN)))


def copy_file(folder):
    shutil.copy(folder / "train-0.tfr", folder / "test-0.tfr")


def copy_record(folder, source="train-0.tfr", change=lambda record: record):
    own, other = list(records.read(folder / "test-0.tfr")), records.read(folder / source)
    records.write(folder / "test-0.tfr", [own[0], own[1], change(next(other))])


def with_other_values(serialized):
    sequence, target = records.parse(serialized, "")
    values = np.frombuffer(target, np.float16) + np.float16(1)
    return records.serialize(np.frombuffer(sequence, np.uint8), values)


@pytest.mark.parametrize(
    ("copy", "message"),
    [
        (copy_file, r"test-0\.tfr: row 0 .* the same sequence as .*train-0\.tfr: row 0"),
        (copy_record, r"test-0\.tfr: row 2 .* the same sequence as .*train-0\.tfr: row 0"),
        (
            lambda folder: copy_record(folder, change=with_other_values),
            r"test-0\.tfr: row 2 .* the same sequence as .*train-0\.tfr: row 0",
        ),
        (
            lambda folder: copy_record(folder, "test-0.tfr"),
            r"test-0\.tfr: row 2 .* a copy of .*test-0\.tfr: row 0",
        ),
        (
            lambda folder: shutil.copy(folder / "train-0.tfr", folder / "train-1.tfr"),
            r"train-1\.tfr: row 3 .* a copy of .*train-0\.tfr: row 0",
        ),
    ],
)
def test_copied_records_are_refused(basenji2, copy, message):
    (basenji2 / "human/genome.fa").unlink()
    record_folders.open_folders(basenji2)
    copy(basenji2 / "human/tfrecords")
    refuse(basenji2, message)


@pytest.mark.parametrize("other", ["train-1", "test-0"])
@pytest.mark.parametrize("largest_bytes", [0, 2**20])
def test_swapped_files_differ_from_the_genome(basenji2, monkeypatch, other, largest_bytes):
    monkeypatch.setattr(record_folders, "_FULL_CHECK_BYTES", largest_bytes)
    folder = basenji2 / "human/tfrecords"
    (folder / "train-0.tfr").rename(folder / "kept")
    (folder / f"{other}.tfr").rename(folder / "train-0.tfr")
    (folder / "kept").rename(folder / f"{other}.tfr")
    refuse(basenji2, r"genome\.fa: differs in \d+ bases from .*train-0\.tfr: row 0 of its split")


def test_other_records_are_refused(basenji2):
    path = basenji2 / "human/tfrecords/test-0.tfr"
    whole = list(records.read(path))
    records.write(path, [*whole, whole[0]])
    refuse(basenji2, r"test-0\.tfr: 4 records, expected 3")
    records.write(path, [b"\xff\xff\xffnot a protocol buffer", *whole[1:]])
    refuse(basenji2, r"test-0\.tfr: a record is not a tf\.train\.Example")
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"x"]))
    image = tf.train.Example(features=tf.train.Features(feature={"image": feature}))
    records.write(path, [image.SerializeToString(), *whole[1:]])
    refuse(basenji2, r"test-0\.tfr: a record has no bytes feature 'sequence' \(it has image\)")
