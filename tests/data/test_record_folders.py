import json
import shutil

import pytest
import tensorflow as tf
from small_records import BIN, BINS, damage, write_tables

from senformer.data import datasets, record_folders, records


def refused(data, message, error=ValueError):
    with pytest.raises(error, match=message) as raised:
        record_folders.open_folders(data)
    assert "\n" not in str(raised.value)


def test_no_folder_and_no_organism_are_named(tmp_path):
    refused(tmp_path / "absent", r"absent: no such data folder", FileNotFoundError)
    refused(tmp_path, r"expected one of human/, hg38/, mouse/, mm10/ below it", FileNotFoundError)


def test_two_folders_for_one_organism_are_refused(basenji2):
    shutil.copytree(basenji2 / "human", basenji2 / "hg38")
    refused(basenji2, r"has both human/ and hg38/")


@pytest.mark.parametrize("name", ["targets.txt", "statistics.json", "sequences.bed"])
def test_a_missing_table_is_named(basenji2, name):
    (basenji2 / "human" / name).unlink()
    refused(basenji2, rf"{name}: no such", FileNotFoundError)


def test_missing_records_are_named(basenji2):
    for file in basenji2.glob("human/tfrecords/test-*"):
        file.unlink()
    refused(basenji2, r"tfrecords: no test-\*\.tfr", FileNotFoundError)


def test_a_missing_file_among_others_is_found_by_the_count(basenji2):
    (basenji2 / "human/tfrecords/train-1.tfr").unlink()
    refused(basenji2, r"train-2\.tfr: holds 1 records, expected 4 \(7 in sequences\.bed")


def test_a_table_of_other_tracks_is_refused(basenji2):
    path = basenji2 / "human/targets.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    refused(basenji2, r"targets\.txt: 2 tracks do not match the records, expected 3")


def test_tables_that_agree_with_each_other_but_not_with_the_records_are_refused(basenji2):
    write_tables(
        basenji2 / "human", ["mean"] * 5, seq_length=1536, target_length=BINS, pool_width=BIN
    )
    refused(basenji2, r"train-0\.tfr: a record's target has 48 bytes, expected 80 .* of 5 tracks")


def test_a_record_of_another_length_is_refused(basenji2):
    write_tables(
        basenji2 / "human", ["mean"] * 3, seq_length=2560, target_length=BINS, pool_width=BIN
    )
    bed = basenji2 / "human/sequences.bed"
    rows = [line.split("\t") for line in bed.read_text().splitlines()]
    bed.write_text("".join(f"{c}\t{s}\t{int(s) + 2560}\t{split}\n" for c, s, _, split in rows))
    refused(basenji2, r"sequence has 6144 bytes, expected 2560 .* or 10240")


def test_intervals_of_another_width_are_refused(basenji2):
    path = basenji2 / "human/sequences.bed"
    path.write_text(path.read_text().replace("chr1\t300\t", "chr1\t299\t"))
    refused(basenji2, r"sequences\.bed: intervals of 1536, 1537 bp, expected all of 1536")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("chr1\t-1536\t0\ttrain", "row 0 is -1536 to 0, expected a start of at least 0"),
        ("chr1\t3000000000\t3000001536\ttrain", "row 0 is 3000000000 to .* at most 2147483647"),
        ("chr1\t99999999999999999999\t1\ttrain", "not a BED file of chromosome, start, end, split"),
        ("chr1\t0\t1536\t../train", r"row 0 is of split '\.\./train', expected letters, digits"),
        ("chr 1\t0\t1536\ttrain", "row 0 is on 'chr 1', expected the name of a chromosome"),
        ("\t0\t1536\ttrain", "row 0 is on '', expected the name of a chromosome"),
        ("chr1\t0\t1536\t*", r"row 0 is of split '\*', expected letters, digits"),
    ],
)
def test_a_row_that_is_no_interval_of_a_split_is_refused(basenji2, row, message):
    path = basenji2 / "human/sequences.bed"
    path.write_text("\n".join([row, *path.read_text().splitlines()[1:]]))
    refused(basenji2, rf"sequences\.bed: .*{message}")


def test_an_interval_that_stands_twice_is_refused(basenji2):
    path = basenji2 / "human/sequences.bed"
    rows = path.read_text().splitlines()
    path.write_text("\n".join([*rows[:4], rows[0], *rows[5:]]))
    refused(basenji2, r"sequences\.bed: row 4 is an interval that stands above it")


def test_a_key_that_stands_twice_is_refused(basenji2):
    path = basenji2 / "human/statistics.json"
    path.write_text(path.read_text().replace("{", '{"num_targets": 4, ', 1))
    refused(basenji2, r"statistics\.json: not JSON \(key 'num_targets' stands twice\)")


@pytest.mark.parametrize("name", ["targets.txt", "statistics.json", "sequences.bed"])
def test_a_folder_or_a_text_of_another_code_is_refused(basenji2, name):
    path = basenji2 / "human" / name
    text = path.read_text()
    path.write_text(text, encoding="utf-16")
    refused(basenji2, rf"{name}: not UTF-8 .*expected")
    path.write_text(text, encoding="utf-16-le")
    refused(basenji2, rf"{name}: not text, it holds zero bytes, expected")
    path.unlink()
    path.mkdir()
    refused(basenji2, rf"{name}: is a folder, expected", FileNotFoundError)


def test_a_folder_of_a_records_name_is_refused(basenji2):
    path = basenji2 / "human/tfrecords/train-0.tfr"
    path.unlink()
    path.mkdir()
    refused(basenji2, r"train-0\.tfr: cannot be read \(.*irectory")


def test_a_bed_without_splits_is_refused(basenji2):
    (basenji2 / "human/sequences.bed").write_text("chr1\t0\t1536\nchr1\t1536\t3072\n")
    refused(basenji2, r"sequences\.bed: not a BED file of chromosome, start, end, split")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seq_length", None, "seq_length=None, expected a positive whole number"),
        ("pool_width", 48, "pool_width=48, expected a divisor of 128"),
        ("target_length", 13, "target_length=13 bins of 128 bp, expected the middle"),
        ("target_length", 7, "whole 128-bp bins around it"),
        ("target_length", True, "target_length=True, expected a positive whole number"),
        ("crop_bp", 1, r"crop_bp=1, expected the \d+ that seq_length"),
    ],
)
def test_impossible_statistics_are_refused(basenji2, key, value, message):
    path = basenji2 / "human/statistics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    refused(basenji2, rf"statistics\.json: .*{message}")


def test_a_foreign_json_is_refused(basenji2):
    (basenji2 / "human/statistics.json").write_text("num_targets: 3")
    refused(basenji2, r"statistics\.json: not JSON")


@pytest.mark.parametrize("how", ["truncated", "flipped", "foreign", "uncompressed"])
@pytest.mark.parametrize("name", ["train-0", "train-2", "test-0"])
def test_a_damaged_file_is_named_when_the_folder_is_opened(basenji2, how, name):
    damage(basenji2 / f"human/tfrecords/{name}.tfr", how)
    refused(basenji2, rf"{name}\.tfr: truncated, damaged or not a ZLIB TFRecord file")


def test_a_large_data_set_is_not_read_in_full_when_opened(basenji2, monkeypatch):
    monkeypatch.setattr(record_folders, "_FULL_CHECK_BYTES", 0)
    path = basenji2 / "human/tfrecords/train-1.tfr"
    whole = list(records.read(path))
    records.write(path, whole[:2])
    folder = record_folders.open_folders(basenji2)["human"]
    dataset = datasets.examples(folder, "train", sequence_length_bp=BIN)
    with pytest.raises(ValueError, match=r"train-1\.tfr: holds 2 records, expected 3"):
        list(dataset)


def test_records_of_a_split_that_no_interval_names_are_refused(basenji2):
    path = basenji2 / "human/sequences.bed"
    path.write_text("".join(row for row in path.open() if row.endswith("test\n")))
    refused(basenji2, r"train-0\.tfr: records of split 'train', expected one of test, which seq")


def test_a_record_too_many_is_refused(basenji2):
    path = basenji2 / "human/tfrecords/test-0.tfr"
    whole = list(records.read(path))
    records.write(path, [*whole, whole[0]])
    refused(basenji2, r"test-0\.tfr: holds 4 records, expected 3")


def test_a_tfrecord_of_something_else_is_refused(basenji2):
    path = basenji2 / "human/tfrecords/test-0.tfr"
    records.write(path, [b"\xff\xff\xffnot a protocol buffer"])
    refused(basenji2, r"test-0\.tfr: a record is not a tf\.train\.Example")
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"x"]))
    image = tf.train.Example(features=tf.train.Features(feature={"image": feature}))
    records.write(path, [image.SerializeToString()])
    refused(basenji2, r"test-0\.tfr: a record has no bytes feature 'sequence' \(it has image\)")
