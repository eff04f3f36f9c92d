import itertools

import numpy as np
import pytest
from small_records import BIN, BINS, TOKENS, TRACKS, damage, values_of, write_basenji2

from senformer.data import datasets, genome, record_folders, records


def arrays(dataset):
    elements = [{k: v.numpy() for k, v in element.items()} for element in dataset]
    return {key: np.stack([element[key] for element in elements]) for key in elements[0]}


def order(dataset, num_batches=None):
    """Which records came, in turn."""
    taken = itertools.islice(dataset, num_batches)
    return [batch["target"].numpy()[:, 0, 0].astype(int).tolist() for batch in taken]


# ------------------------------------------------------------------------------- what is given


def test_a_basenji2_record_comes_back_as_it_was_written(basenji2):
    folder = record_folders.open_folders(basenji2)["human"]
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
    folder = record_folders.open_folders(basenji2)["human"]
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
    folder = record_folders.open_folders(basenji2)["human"]
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
    folder = record_folders.open_folders(basenji2)["human"]
    length = (TOKENS + 400) * BIN  # longer than the chromosome
    real = arrays(datasets.examples(folder, "test", sequence_length_bp=length, flanks="genome"))
    assert not real["sequence"][:, 0].any()
    assert not real["sequence"][:, -1].any()


def test_the_genome_may_lie_elsewhere(basenji2, tmp_path):
    folder = record_folders.open_folders(basenji2)["human"]
    beside = arrays(datasets.examples(folder, "test", sequence_length_bp=2560, flanks="genome"))
    moved = (basenji2 / "human/genome.fa").rename(tmp_path / "hg.fa")
    named = arrays(
        datasets.examples(folder, "test", sequence_length_bp=2560, flanks="genome", fasta=moved)
    )
    np.testing.assert_array_equal(named["sequence"], beside["sequence"])


def test_bins_default_to_all_that_the_sequence_covers(basenji2):
    folder = record_folders.open_folders(basenji2)["human"]
    for tokens, expected in ((TOKENS, BINS), (40, BINS), (5, 5)):
        dataset = datasets.examples(folder, "test", sequence_length_bp=tokens * BIN)
        assert dataset.element_spec["target"].shape == (expected, TRACKS)


# ------------------------------------------------------------------------------------ the order


def batches(folder, seed=0, **arguments):
    return datasets.batches(
        folder, "train", seed=seed, **{"batch_size": 2, "sequence_length_bp": BIN, **arguments}
    )


def test_an_epoch_has_every_record_once_and_the_next_another_order(basenji2):
    folder = record_folders.open_folders(basenji2)["human"]
    seen = np.array(order(batches(folder, batch_size=7), 6))
    np.testing.assert_array_equal(np.sort(seen, axis=1), np.tile(np.arange(7), (6, 1)))
    assert len({tuple(epoch) for epoch in seen.tolist()}) == 6


def test_batches_are_a_function_of_the_seed_alone(basenji2):
    folder = record_folders.open_folders(basenji2)["human"]
    assert order(batches(folder, seed=1), 20) == order(batches(folder, seed=1), 20)
    assert order(batches(folder, seed=1), 20) != order(batches(folder, seed=2), 20)


@pytest.mark.parametrize("first_step", [1, 3, 4, 7, 16])
def test_batches_go_on_where_a_run_was_stopped(basenji2, monkeypatch, first_step):
    monkeypatch.setattr(datasets, "_SHUFFLE_WINDOW", 2)
    folder = record_folders.open_folders(basenji2)["human"]
    whole = list(itertools.islice(batches(folder), first_step + 5))
    resumed = list(itertools.islice(batches(folder, first_step=first_step), 5))
    for before, after in zip(whole[first_step:], resumed, strict=True):
        for key in ("sequence", "target"):
            np.testing.assert_array_equal(before[key], after[key])


@pytest.mark.parametrize("num_workers", [2, 3, 6])
def test_workers_share_every_batch_and_each_record_comes_once_an_epoch(basenji2, num_workers):
    folder = record_folders.open_folders(basenji2)["human"]
    whole = order(batches(folder, batch_size=6, first_step=7), 7)  # the second six epochs
    shares = [
        order(
            batches(folder, batch_size=6, first_step=7, share=datasets.Share(worker, num_workers)),
            7,
        )
        for worker in range(num_workers)
    ]
    in_order = [list(itertools.chain(*parts)) for parts in zip(*shares, strict=True)]
    assert in_order == whole
    seen = np.concatenate([np.ravel(share) for share in shares])
    np.testing.assert_array_equal(np.bincount(seen), np.full(7, 6))


def test_workers_share_the_examples_one_in_turn(basenji2):
    folder = record_folders.open_folders(basenji2)["human"]
    whole = arrays(datasets.examples(folder, "train", sequence_length_bp=BIN))
    for worker in range(3):
        share = datasets.Share(worker, 3)
        mine = arrays(datasets.examples(folder, "train", sequence_length_bp=BIN, share=share))
        for key, array in mine.items():
            np.testing.assert_array_equal(array, whole[key][worker::3])


def test_what_other_workers_take_is_not_decoded(basenji2, monkeypatch):
    decoded = []

    def decode(record, layout, original=records.decode):
        decoded.append(record.row)
        return original(record, layout)

    folder = record_folders.open_folders(basenji2)["human"]
    monkeypatch.setattr(records, "decode", decode)
    share = datasets.Share(1, 2)
    list(datasets.examples(folder, "train", sequence_length_bp=BIN, share=share))
    assert decoded == [1, 3, 5]


def test_no_more_than_a_window_is_read_ahead(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "_SHUFFLE_WINDOW", 4)
    data = write_basenji2(tmp_path / "data", num_train=300, records_per_file=50)
    folder = record_folders.open_folders(data)["human"]
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
def test_a_file_damaged_later_is_named_while_reading(basenji2, how, transform):
    folder = record_folders.open_folders(basenji2)["human"]
    damage(basenji2 / "human/tfrecords/train-1.tfr", how)
    dataset = datasets.examples(folder, "train", sequence_length_bp=BIN)
    with pytest.raises(
        ValueError, match=r"train-1\.tfr: truncated, damaged or not a ZLIB"
    ) as error:
        list(transform(dataset))
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"train-1\.tfr: truncated, damaged or not a ZLIB"):
        order(batches(folder), 8)


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
        ({"batch_size": 0}, "batch_size=0, expected an integer of at least 1"),
        ({"seed": -1}, "seed=-1, expected an integer of at least 0"),
        ({"first_step": -1}, "first_step=-1, expected an integer of at least 0"),
    ],
)
def test_an_argument_out_of_range_is_named_before_any_work(basenji2, arguments, message):
    folder = record_folders.open_folders(basenji2)["human"]
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
    folder = record_folders.open_folders(basenji2)["human"]
    (basenji2 / "human/genome.fa").unlink()
    with pytest.raises(FileNotFoundError, match=r"human/genome\.fa: no such FASTA"):
        datasets.examples(folder, "train", sequence_length_bp=1536, flanks="genome")
