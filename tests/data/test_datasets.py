import itertools
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from senformer.data import datasets, genome, records

BIN = 128
TOKENS = 12  # of a stored sequence
BINS = 8  # with values
TRACKS = 3


@pytest.fixture
def basenji2(tmp_path):
    """Ten records of two splits, cut from a genome; bin and record can be told from the values."""
    return write_basenji2(tmp_path / "data")


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
    for split, of_split in serialized.items():
        for file, first in enumerate(range(0, len(of_split), records_per_file)):
            path = folder / f"tfrecords/{split}-{file}.tfr"
            records.write(path, of_split[first : first + records_per_file])
    (folder / "sequences.bed").write_text("".join(bed))
    write_tables(folder, ["mean"] * TRACKS, seq_length=stored, target_length=BINS, pool_width=BIN)
    return data


def values_of(record: int) -> np.ndarray:
    """Track 0 is the record, track 1 the bin, track 2 is constant."""
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


def arrays(dataset):
    elements = [{k: v.numpy() for k, v in element.items()} for element in dataset]
    return {key: np.stack([element[key] for element in elements]) for key in elements[0]}


def order(dataset, num_batches=None):
    """Which records came, in turn."""
    taken = itertools.islice(dataset, num_batches)
    return [batch["target"].numpy()[:, 0, 0].astype(int).tolist() for batch in taken]


# ------------------------------------------------------------------------------- what is given


def test_a_basenji2_record_comes_back_as_it_was_written(basenji2):
    folder = datasets.open_folders(basenji2)["human"]
    assert folder.record_format == "basenji2"
    assert (folder.sequence_length_bp, folder.target_length) == (TOKENS * BIN, BINS)
    found = arrays(datasets.examples(folder, "train", sequence_length_bp=TOKENS * BIN))
    for number, interval in enumerate(folder.intervals_of("train").itertuples()):
        expected = genome.fetch_one_hot(folder.path / "genome.fa", *interval[1:4])
        np.testing.assert_array_equal(found["sequence"][number], expected)
        np.testing.assert_array_equal(found["target"][number], values_of(number))
    assert len(found["target"]) == 7


@pytest.mark.parametrize(
    ("sequence_tokens", "target_length"),
    [(1, 1), (3, 2), (4, 1), (4, 2), (8, 8), (9, 8), (12, 8), (12, 3), (13, 8), (20, 3), (31, 8)],
)
def test_bin_and_token_keep_their_places(basenji2, sequence_tokens, target_length):
    folder = datasets.open_folders(basenji2)["human"]
    found = arrays(
        datasets.examples(
            folder,
            "test",
            sequence_length_bp=sequence_tokens * BIN,
            target_length=target_length,
            flanks="genome",
        )
    )
    bins = found["target"][0, :, 1].astype(int)
    assert bins.tolist() == list(range((BINS - target_length) // 2, (BINS + target_length) // 2))
    for row, interval in enumerate(folder.intervals_of("test").itertuples()):
        for j, stored_bin in enumerate(bins):
            token = (sequence_tokens - target_length) // 2 + j
            start = interval.start + ((TOKENS - BINS) // 2 + stored_bin) * BIN
            np.testing.assert_array_equal(
                found["sequence"][row, token * BIN : (token + 1) * BIN],
                genome.fetch_one_hot(folder.path / "genome.fa", "chr1", start, start + BIN),
            )


def test_a_longer_sequence_is_padded_with_zeros_or_with_the_genome(basenji2):
    folder = datasets.open_folders(basenji2)["human"]
    length, margin = (TOKENS + 20) * BIN, 10 * BIN
    stored = arrays(datasets.examples(folder, "test", sequence_length_bp=TOKENS * BIN))
    zeros = arrays(datasets.examples(folder, "test", sequence_length_bp=length))
    real = arrays(datasets.examples(folder, "test", sequence_length_bp=length, flanks="genome"))
    for padded in (zeros, real):
        np.testing.assert_array_equal(padded["sequence"][:, margin:-margin], stored["sequence"])
        np.testing.assert_array_equal(padded["target"], stored["target"])
    assert not zeros["sequence"][:, :margin].any()
    assert not zeros["sequence"][:, -margin:].any()
    for row, interval in enumerate(folder.intervals_of("test").itertuples()):
        expected = genome.fetch_one_hot(
            folder.path / "genome.fa", "chr1", interval.start - margin, interval.end + margin
        )
        np.testing.assert_array_equal(real["sequence"][row], expected)


def test_flanks_beyond_a_chromosome_are_zeros(basenji2):
    folder = datasets.open_folders(basenji2)["human"]
    length = (TOKENS + 400) * BIN  # longer than the chromosome
    real = arrays(datasets.examples(folder, "test", sequence_length_bp=length, flanks="genome"))
    assert not real["sequence"][:, 0].any()
    assert not real["sequence"][:, -1].any()


def test_the_genome_may_lie_elsewhere(basenji2, tmp_path):
    folder = datasets.open_folders(basenji2)["human"]
    beside = arrays(datasets.examples(folder, "test", sequence_length_bp=2560, flanks="genome"))
    moved = (basenji2 / "human/genome.fa").rename(tmp_path / "hg.fa")
    named = arrays(
        datasets.examples(folder, "test", sequence_length_bp=2560, flanks="genome", fasta=moved)
    )
    np.testing.assert_array_equal(named["sequence"], beside["sequence"])


def test_bins_default_to_all_that_the_sequence_covers(basenji2):
    folder = datasets.open_folders(basenji2)["human"]
    for tokens, expected in ((TOKENS, BINS), (40, BINS), (5, 5)):
        dataset = datasets.examples(folder, "test", sequence_length_bp=tokens * BIN)
        assert dataset.element_spec["target"].shape == (expected, TRACKS)


# ------------------------------------------------------------------------------------ real records


@pytest.fixture(scope="session")
def borzoi(shared):
    return datasets.open_folders(shared / "data/borzoi_tiny")


def test_borzois_records_are_told_from_basenji2s(borzoi):
    human, mouse = borzoi["human"], borzoi["mouse"]
    for folder in (human, mouse):
        assert folder.record_format == "borzoi"
        assert (folder.sequence_length_bp, folder.target_length) == (131_072, 512)
    assert (human.num_tracks, mouse.num_tracks) == (74, 32)
    assert [len(human.intervals_of(split)) for split in human.splits] == [45, 10, 10]
    assert [len(mouse.intervals_of(split)) for split in mouse.splits] == [28, 13, 13]


@pytest.mark.parametrize("organism", ["human", "mouse"])
def test_four_bins_become_one_by_sum_or_by_mean(borzoi, organism):
    folder = borzoi[organism]
    found = arrays(datasets.examples(folder, "test", sequence_length_bp=131_072))
    stored = []
    for file in records.find_files(folder.path, "test"):
        for data in records.read(file):
            _, target = records.parse(data, file)
            stored.append(np.frombuffer(target, np.float16).reshape(512, 4, -1))
    stored = np.stack(stored).astype(np.float64)  # [records, bins, 4, tracks]
    is_mean = (folder.targets["sum_stat"] == "mean").to_numpy()
    assert 0 < is_mean.sum() < len(is_mean)
    np.testing.assert_allclose(
        found["target"][..., is_mean], stored.mean(2)[..., is_mean], rtol=1e-5
    )
    np.testing.assert_allclose(
        found["target"][..., ~is_mean], stored.sum(2)[..., ~is_mean], rtol=1e-5
    )
    assert found["target"].std() > 0


def test_every_real_base_is_one_hot_or_n(borzoi):
    for folder in borzoi.values():
        for split in folder.splits:
            for example in datasets.examples(folder, split, sequence_length_bp=131_072):
                per_base = example["sequence"].numpy().sum(axis=1)
                assert set(np.unique(per_base)) <= {0.0, 1.0}
                assert per_base.mean() > 0.98


def test_borzois_intervals_are_the_middle_of_the_sequences_and_in_order(borzoi):
    """Two landmarks of hg38: HLA-DPB1's second exon, and a gap of 1,000 N on chromosome 12."""
    human = borzoi["human"]
    test = arrays(datasets.examples(human, "test", sequence_length_bp=131_072))
    interval = human.intervals_of("test").iloc[6]
    assert interval.chrom == "chr6"
    text = "".join(np.array(list("ACGT"))[test["sequence"][6].argmax(-1)])
    codons = [text[i : i + 3] for i in range(33_080_673 - interval.start, 131_072, 3)][:19]
    assert "".join(map(PROTEIN.get, codons)) == "NYLFQGRQECYAFNGTQRF"

    train = arrays(datasets.examples(human, "train", sequence_length_bp=131_072))
    interval = human.intervals_of("train").iloc[39]
    unknown = np.flatnonzero(~train["sequence"][39].any(-1)) + interval.start
    assert (interval.chrom, unknown[0], unknown[-1] + 1) == ("chr12", 7_083_650, 7_084_650)


PROTEIN = {
    first + second + third: amino_acid
    for (first, second, third), amino_acid in zip(
        itertools.product("TCAG", repeat=3),
        "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
        strict=True,
    )
}


def test_a_record_of_another_place_in_the_genome_is_refused(borzoi, shared, tmp_path):
    path = tmp_path / "chromosomes.fa"
    chromosomes = borzoi["human"].intervals_of("valid")["chrom"].unique()
    path.write_text("".join(f">{name}\n{'ACGT' * 100}\n" for name in chromosomes))
    dataset = datasets.examples(
        borzoi["human"], "valid", sequence_length_bp=196_608, flanks="genome", fasta=path
    )
    with pytest.raises(ValueError, match=r"chr4:40801640-40932712 differs in \d+ bases"):
        next(iter(dataset))
    real = shared / "data/genome/hg38_1m.fa.gz"
    with pytest.raises(ValueError, match=r"hg38_1m\.fa\.gz: no chromosome 'chr4'"):
        datasets.examples(
            borzoi["human"], "valid", sequence_length_bp=196_608, flanks="genome", fasta=real
        )


# ------------------------------------------------------------------------------------ the order


def batches(folder, seed=0, **arguments):
    return datasets.batches(
        folder, "train", seed=seed, **{"batch_size": 2, "sequence_length_bp": BIN, **arguments}
    )


def test_an_epoch_has_every_record_once_and_the_next_another_order(basenji2):
    folder = datasets.open_folders(basenji2)["human"]
    seen = np.array(order(batches(folder, batch_size=7), 6))
    np.testing.assert_array_equal(np.sort(seen, axis=1), np.tile(np.arange(7), (6, 1)))
    assert len({tuple(epoch) for epoch in seen.tolist()}) == 6


def test_batches_are_a_function_of_the_seed_alone(basenji2):
    folder = datasets.open_folders(basenji2)["human"]
    assert order(batches(folder, seed=1), 20) == order(batches(folder, seed=1), 20)
    assert order(batches(folder, seed=1), 20) != order(batches(folder, seed=2), 20)


@pytest.mark.parametrize("first_step", [1, 3, 4, 7, 16])
def test_batches_go_on_where_a_run_was_stopped(basenji2, monkeypatch, first_step):
    monkeypatch.setattr(datasets, "_SHUFFLE_WINDOW", 2)
    folder = datasets.open_folders(basenji2)["human"]
    whole = list(itertools.islice(batches(folder), first_step + 5))
    resumed = list(itertools.islice(batches(folder, first_step=first_step), 5))
    for before, after in zip(whole[first_step:], resumed, strict=True):
        for key in ("sequence", "target"):
            np.testing.assert_array_equal(before[key], after[key])


def test_no_more_than_a_window_is_read_ahead(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "_SHUFFLE_WINDOW", 4)
    data = write_basenji2(tmp_path / "data", num_train=300, records_per_file=50)
    folder = datasets.open_folders(data)["human"]
    num_decoded = 0

    def decode(*arguments, original=records.decode):
        nonlocal num_decoded
        num_decoded += 1
        return original(*arguments)

    monkeypatch.setattr(records, "decode", decode)
    next(iter(batches(folder)))
    assert num_decoded < 100


# ------------------------------------------------------------------------------------ the errors


def refused(data, message, error=ValueError):
    with pytest.raises(error, match=message) as raised:
        datasets.open_folders(data)
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
    ],
)
def test_impossible_statistics_are_refused(basenji2, key, value, message):
    path = basenji2 / "human/statistics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    refused(basenji2, rf"statistics\.json: .*{message}")


def test_a_foreign_json_is_refused(basenji2):
    (basenji2 / "human/statistics.json").write_text("num_targets: 3")
    refused(basenji2, r"statistics\.json: not a JSON file")


def damage(path, how):
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


@pytest.mark.parametrize("how", ["truncated", "flipped", "foreign", "uncompressed"])
@pytest.mark.parametrize("name", ["train-0", "train-2", "test-0"])
def test_a_damaged_file_is_named_when_the_folder_is_opened(basenji2, how, name):
    damage(basenji2 / f"human/tfrecords/{name}.tfr", how)
    refused(basenji2, rf"{name}\.tfr: truncated, damaged or not a ZLIB TFRecord file")


@pytest.mark.parametrize("how", ["truncated", "flipped", "foreign"])
@pytest.mark.parametrize(
    "transform",
    [lambda d: d, lambda d: d.take(100), lambda d: d.map(lambda e: e).batch(2).prefetch(1)],
)
def test_a_file_damaged_later_is_named_while_reading(basenji2, how, transform):
    folder = datasets.open_folders(basenji2)["human"]
    damage(basenji2 / "human/tfrecords/train-1.tfr", how)
    dataset = datasets.examples(folder, "train", sequence_length_bp=BIN)
    with pytest.raises(
        ValueError, match=r"train-1\.tfr: truncated, damaged or not a ZLIB"
    ) as error:
        list(transform(dataset))
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"train-1\.tfr: truncated, damaged or not a ZLIB"):
        order(batches(folder), 8)


def test_a_large_data_set_is_not_read_in_full_when_opened(basenji2, monkeypatch):
    monkeypatch.setattr(datasets, "_FULL_CHECK_BYTES", 0)
    path = basenji2 / "human/tfrecords/train-1.tfr"
    whole = list(records.read(path))
    records.write(path, whole[:2])
    folder = datasets.open_folders(basenji2)["human"]
    dataset = datasets.examples(folder, "train", sequence_length_bp=BIN)
    with pytest.raises(ValueError, match=r"train-1\.tfr: holds 2 records, expected 3"):
        list(dataset)


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sequence_length_bp": 1000}, "sequence_length_bp=1000, expected a positive multiple of"),
        ({"sequence_length_bp": 0}, "sequence_length_bp=0, expected a positive multiple of 128"),
        ({"target_length": 9}, "target_length=9, expected 1 to 8, the bins that the records"),
        ({"target_length": 0}, "target_length=0, expected 1 to 8"),
        (
            {"sequence_length_bp": 512, "target_length": 5},
            "target_length=5, expected at most the 4 bins of sequence_length_bp=512",
        ),
        ({"split": "dev"}, "no split 'dev', expected one of train, test"),
        ({"flanks": "N"}, "flanks='N', expected one of zeros, genome"),
        ({"batch_size": 0}, "batch_size=0, expected at least 1"),
        ({"seed": -1}, "seed=-1, expected at least 0"),
        ({"first_step": -1}, "first_step=-1, expected at least 0"),
    ],
)
def test_an_argument_out_of_range_is_named_before_any_work(basenji2, arguments, message):
    folder = datasets.open_folders(basenji2)["human"]
    usual = {"split": "train", "sequence_length_bp": 1536, "batch_size": 2, "seed": 0}
    with pytest.raises(ValueError, match=message):
        datasets.batches(folder, **{**usual, **arguments})
    of_examples = {
        k: v for k, v in arguments.items() if k not in ("batch_size", "seed", "first_step")
    }
    if of_examples:
        with pytest.raises(ValueError, match=message):
            datasets.examples(
                folder, **{"split": "train", "sequence_length_bp": 1536, **of_examples}
            )


def test_a_missing_genome_is_named_before_any_work(basenji2):
    folder = datasets.open_folders(basenji2)["human"]
    (basenji2 / "human/genome.fa").unlink()
    with pytest.raises(FileNotFoundError, match=r"human/genome\.fa: no such FASTA"):
        datasets.examples(folder, "train", sequence_length_bp=1536, flanks="genome")
