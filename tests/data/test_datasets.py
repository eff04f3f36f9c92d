import itertools

import numpy as np
import pytest
from small_records import BIN, BINS, TOKENS, TRACKS, damage, values_of, write_basenji2

from senformer.data import datasets, genome, record_folders, records
from senformer.data.windows import InputWindow

STORED = InputWindow(TOKENS * BIN)
ONE_BIN = InputWindow(BIN)


def arrays(dataset):
    elements = [{key: value.numpy() for key, value in element.items()} for element in dataset]
    return {key: np.stack([element[key] for element in elements]) for key in elements[0]}


def batches(folder, share=datasets.ALL, **batching):
    options = datasets.Batching(**{"batch_size": 2, "seed": 0, **batching})
    return datasets.batches(folder, "train", ONE_BIN, options, share=share)


def order(dataset, num_batches):
    """Return the records of each batch, in order."""
    taken = itertools.islice(dataset, num_batches)
    return [batch["target"].numpy()[:, 0, 0].astype(int).tolist() for batch in taken]


# ------------------------------------------------------------------------------------ the values


def test_examples_return_what_was_written(human):
    found = arrays(datasets.examples(human, "train", STORED))
    intervals = human.intervals_of("train")
    assert found["row"].tolist() == list(range(7)) == list(intervals.index)
    for row, interval in enumerate(intervals.itertuples()):
        expected = genome.fetch_one_hot(human.path / "genome.fa", *interval[1:4])
        np.testing.assert_array_equal(found["sequence"][row], expected)
        np.testing.assert_array_equal(found["target"][row], values_of(row))


@pytest.mark.parametrize(
    ("num_tokens", "target_length"),
    [(1, 1), (3, 2), (4, 1), (8, 8), (9, 8), (12, 3), (13, 8), (20, 3), (31, 8)],
)
def test_examples_align_bins_and_tokens(human, num_tokens, target_length):
    window = InputWindow(num_tokens * BIN, target_length, "genome")
    found = arrays(datasets.examples(human, "test", window))
    bins = found["target"][0, :, 1].astype(int)
    assert bins.tolist() == list(range((BINS - target_length) // 2, (BINS + target_length) // 2))
    for row, interval in enumerate(human.intervals_of("test").itertuples()):
        for j, stored_bin in enumerate(bins):
            token = (num_tokens - target_length) // 2 + j
            start = interval.start + ((TOKENS - BINS) // 2 + stored_bin) * BIN
            np.testing.assert_array_equal(
                found["sequence"][row, token * BIN : (token + 1) * BIN],
                genome.fetch_one_hot(human.path / "genome.fa", "chr1", start, start + BIN),
            )


def test_examples_add_flanking_sequence(human, tmp_path):
    length, margin = (TOKENS + 400) * BIN, 200 * BIN  # longer than the chromosome
    stored = arrays(datasets.examples(human, "test", STORED))
    zeros = arrays(datasets.examples(human, "test", InputWindow(length)))
    real = arrays(datasets.examples(human, "test", InputWindow(length, flanks="genome")))
    for padded in (zeros, real):
        np.testing.assert_array_equal(padded["sequence"][:, margin:-margin], stored["sequence"])
        np.testing.assert_array_equal(padded["target"], stored["target"])
    assert zeros["sequence"].sum() == stored["sequence"].sum()
    fasta = (human.path / "genome.fa").rename(tmp_path / "hg.fa")
    for row, interval in enumerate(human.intervals_of("test").itertuples()):
        expected = genome.fetch_one_hot(
            fasta, "chr1", interval.start - margin, interval.end + margin
        )
        np.testing.assert_array_equal(real["sequence"][row], expected)
    moved = InputWindow(length, flanks="genome", fasta=fasta)
    found = arrays(datasets.examples(human, "test", moved))
    np.testing.assert_array_equal(found["sequence"], real["sequence"])


@pytest.mark.parametrize(("num_tokens", "expected"), [(TOKENS, BINS), (40, BINS), (5, 5)])
def test_examples_default_to_all_covered_bins(human, num_tokens, expected):
    dataset = datasets.examples(human, "test", InputWindow(num_tokens * BIN))
    assert dataset.element_spec["target"].shape == (expected, TRACKS)


# ------------------------------------------------------------------------------------- the order


def test_batches_shuffle_each_epoch_differently(human):
    seen = np.array(order(batches(human, batch_size=7), 6))
    np.testing.assert_array_equal(np.sort(seen, axis=1), np.tile(np.arange(7), (6, 1)))
    assert len({tuple(epoch) for epoch in seen.tolist()}) == 6


def test_batches_depend_on_the_seed_alone(human):
    assert order(batches(human, seed=1), 20) == order(batches(human, seed=1), 20)
    assert order(batches(human, seed=1), 20) != order(batches(human, seed=2), 20)


@pytest.mark.parametrize("first_step", [1, 3, 4, 7, 16])
def test_batches_resume_at_a_step(human, monkeypatch, first_step):
    monkeypatch.setattr(datasets, "_SHUFFLE_WINDOW", 2)
    whole = list(itertools.islice(batches(human), first_step + 5))
    resumed = list(itertools.islice(batches(human, first_step=first_step), 5))
    for before, after in zip(whole[first_step:], resumed, strict=True):
        for key in ("sequence", "target"):
            np.testing.assert_array_equal(before[key], after[key])


@pytest.mark.parametrize("num_workers", [2, 3, 6])
def test_batches_are_shared_among_workers(human, num_workers):
    options = {"batch_size": 6, "first_step": 7}  # the second six epochs
    whole = order(batches(human, **options), 7)
    workers = [datasets.Share(worker, num_workers) for worker in range(num_workers)]
    shares = [order(batches(human, share, **options), 7) for share in workers]
    assert [list(itertools.chain(*parts)) for parts in zip(*shares, strict=True)] == whole
    seen = np.concatenate([np.ravel(share) for share in shares])
    np.testing.assert_array_equal(np.bincount(seen), np.full(7, 6))


@pytest.fixture
def decoded(monkeypatch):
    """Collect the rows of the records that are decoded."""
    rows = []

    def decode(record, layout, original=records.decode):
        rows.append(record.row)
        return original(record, layout)

    monkeypatch.setattr(records, "decode", decode)
    return rows


def test_examples_are_shared_among_workers(human, decoded):
    whole = arrays(datasets.examples(human, "train", ONE_BIN))
    for worker in range(3):
        decoded.clear()
        share = datasets.Share(worker, 3)
        found = arrays(datasets.examples(human, "train", ONE_BIN, share=share))
        for key, array in found.items():
            np.testing.assert_array_equal(array, whole[key][worker::3])
        assert decoded == list(range(7))[worker::3]


def test_batches_read_one_window_ahead(tmp_path, monkeypatch):
    data = write_basenji2(tmp_path / "data", num_train=300, records_per_file=50)
    folder = record_folders.open_folders(data)["human"]
    monkeypatch.setattr(datasets, "_SHUFFLE_WINDOW", 4)
    num_decoded = 0

    def decode(*arguments, original=records.decode):
        nonlocal num_decoded
        num_decoded += 1
        return original(*arguments)

    monkeypatch.setattr(records, "decode", decode)
    next(iter(batches(folder)))
    assert num_decoded < 100


# ------------------------------------------------------------------------------------ the errors


@pytest.mark.parametrize("how", ["truncated", "flipped", "foreign"])
@pytest.mark.parametrize(
    "transform",
    [lambda d: d, lambda d: d.take(100), lambda d: d.map(lambda e: e).batch(2).prefetch(1)],
)
def test_examples_name_a_damaged_file(human, how, transform):
    damage(human.path / "tfrecords/train-1.tfr", how)
    message = r"train-1\.tfr: truncated, damaged or not a ZLIB"
    with pytest.raises(ValueError, match=message) as error:
        list(transform(datasets.examples(human, "train", ONE_BIN)))
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=message):
        order(batches(human), 8)


@pytest.mark.parametrize(
    ("split", "window", "message"),
    [
        ("train", InputWindow(1000), "sequence_length_bp=1000, expected a positive multiple of"),
        ("train", InputWindow(0), "sequence_length_bp=0, expected a positive multiple of 128"),
        ("train", InputWindow(1536, 9), "target_length=9, expected 1 to 8, the bins that the rec"),
        ("train", InputWindow(1536, 0), "target_length=0, expected 1 to 8"),
        ("train", InputWindow(512, 5), "target_length=5, expected at most the 4 bins of sequence"),
        ("dev", InputWindow(1536), "no split 'dev', expected one of train, test"),
        ("train", InputWindow(1536, flanks="N"), "flanks='N', expected one of zeros, genome"),
        ("train", InputWindow(1536, flanks="genome", fasta="no.fa"), r"no\.fa: no such FASTA"),
    ],
)
def test_windows_are_checked_before_reading(human, split, window, message):
    batching = datasets.Batching(batch_size=2, seed=0)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        datasets.batches(human, split, window, batching)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        datasets.examples(human, split, window)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size=0, expected at least 1"),
        ({"seed": -1}, "seed=-1, expected at least 0"),
        ({"first_step": -1}, "first_step=-1, expected at least 0"),
        ({"batch_size": 5, "share": datasets.Share(0, 2)}, "batch_size=5, expected a multiple of"),
    ],
)
def test_batching_is_checked(human, options, message):
    with pytest.raises(ValueError, match=message):
        batches(human, **options)
