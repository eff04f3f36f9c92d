import random
import re
import shutil
import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from full_disk import largest_file
from small_records import write_basenji2

from senformer.config import preset
from senformer.data import datasets, record_folders
from senformer.data.windows import InputWindow
from senformer.model.enformer import Enformer
from senformer.training import trunk_cache
from senformer.training.trunk_cache import TrunkCache

LENGTH_BP = 10_240


@pytest.fixture(scope="module")
def folder(small_data):
    return record_folders.open_folders(small_data)["human"]


@pytest.fixture(scope="module")
def model(folder):
    tracks = {"human": folder.num_tracks}
    return Enformer(preset("enformer_tiny", target_length=32, tracks=tracks))


def cache_of(model, folder, path, sequence_length_bp=LENGTH_BP):
    return TrunkCache.named(model, folder, "train", path, sequence_length_bp=sequence_length_bp)


@pytest.fixture
def cache(model, folder, tmp_path):
    return cache_of(model, folder, tmp_path)


@pytest.fixture(scope="module")
def embed(model):
    return tf.function(model.embed)


@pytest.fixture(scope="module")
def batch(folder):
    [batch] = datasets.batches(
        folder, "train", InputWindow(LENGTH_BP), datasets.Batching(batch_size=2, seed=0)
    ).take(1)
    return batch


def test_each_row_is_what_the_trunk_makes_of_that_record(model, embed, batch, cache):
    made = trunk_cache.read_tokens(embed, batch, cache)
    np.testing.assert_allclose(made, model.embed(batch["sequence"]), atol=1e-5)


def is_to_be_computed(sequence):
    raise AssertionError("computed again")


def remove(first, second):
    second.unlink()


def truncate(first, second):
    second.write_bytes(second.read_bytes()[:-1])


def flip_a_bit(first, second):
    content = bytearray(second.read_bytes())
    content[-1] ^= 1
    second.write_bytes(content)


def put_the_other_in_its_place(first, second):
    second.write_bytes(first.read_bytes())


@pytest.mark.parametrize("spoil", [remove, truncate, flip_a_bit, put_the_other_in_its_place])
def test_what_was_kept_is_not_computed_again_and_what_is_not_whole_is(
    embed, batch, cache, capsys, spoil
):
    whole = trunk_cache.read_tokens(embed, batch, cache)
    np.testing.assert_array_equal(trunk_cache.read_tokens(is_to_be_computed, batch, cache), whole)
    first, second = (cache.file(row) for row in batch["row"].numpy())
    assert {*cache.folder.iterdir()} == {first, second}
    content = second.read_bytes()
    spoil(first, second)
    computed = []

    def counted(sequence):
        computed.append(sequence.numpy())
        return embed(sequence)

    np.testing.assert_array_equal(trunk_cache.read_tokens(counted, batch, cache), whole)
    np.testing.assert_array_equal(computed, batch["sequence"][1:2][tf.newaxis])
    assert {*cache.folder.iterdir()} == {first, second}
    trunk_cache.read_tokens(is_to_be_computed, batch, cache)
    assert len(second.read_bytes()) == len(content)
    assert spoil is remove or f"{second}: made anew (" in capsys.readouterr().err


def test_another_trunk_length_or_data_set_has_a_folder_of_its_own(model, tmp_path):
    data = write_basenji2(tmp_path / "data")
    folder = record_folders.open_folders(data)["human"]
    length_bp = folder.sequence_length_bp
    shallow = Enformer(model.config.replace(target_length=8, tracks={"human": folder.num_tracks}))
    others = {
        cache_of(shallow, folder, tmp_path, length_bp),
        cache_of(shallow, folder, tmp_path, 2 * length_bp),
        cache_of(Enformer(shallow.config, seed=1), folder, tmp_path, length_bp),
    }
    first, second, *_ = sorted(data.glob("human/tfrecords/train-*.tfr"))
    first.write_bytes(second.read_bytes())
    others.add(cache_of(shallow, folder, tmp_path, length_bp))
    assert len({cache.folder for cache in others}) == len({one.identity for one in others}) == 4


def test_one_trunk_below_two_kinds_of_attention_has_one_folder(model, folder, tmp_path):
    sparse = Enformer(model.config.replace(attention="bigbird"), seed=5)
    copy_trunk(model, sparse)
    assert cache_of(sparse, folder, tmp_path) == cache_of(model, folder, tmp_path)


def copy_trunk(source, destination):
    for given, variable in zip(
        [v for block in source.trunk for v in block.variables],
        [v for block in destination.trunk for v in block.variables],
        strict=True,
    ):
        variable.assign(given)


def test_tokens_for_which_there_is_no_room_are_refused_with_both_sizes(
    embed, batch, cache, capsys, monkeypatch
):
    trunk_cache.read_tokens(embed, batch, cache)  # two of the four are there
    num_bytes = sum(file.stat().st_size for file in cache.folder.iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free=1.1 * num_bytes))
    trunk_cache.expect_room([cache], num_asked=9)
    said = re.search(r": up to (\S+) GB of tokens to keep", capsys.readouterr().err)
    assert float(said[1]) * 1e9 == pytest.approx(num_bytes, rel=0.01)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free=0.9 * num_bytes))
    trunk_cache.expect_room([cache], num_asked=1)
    with pytest.raises(OSError, match=f"{cache.folder.parent}: needs .* GB, but only .* free"):
        trunk_cache.expect_room([cache], num_asked=9)


class Usage(NamedTuple):
    free: float


def test_a_disk_that_is_full_meanwhile_is_said_in_one_line_and_spoils_nothing(embed, batch, cache):
    trunk_cache.read_tokens(embed, batch, cache)
    first, second = (cache.file(row) for row in batch["row"].numpy())
    second.unlink()
    with largest_file(20_000), pytest.raises(OSError, match=rf"{second}: not written") as full:
        trunk_cache.read_tokens(embed, batch, cache)
    assert "\n" not in str(full.value)
    assert list(cache.folder.iterdir()) == [first]


# Keeps tokens that a record's number tells, for as many records as there are.
KEEP = """
import sys
from pathlib import Path
import tensorflow as tf
from senformer.training import trunk_cache

cache = trunk_cache.TrunkCache(Path(sys.argv[1]), "a", int(sys.argv[2]), 0)
print("begins", flush=True)
for row in range(cache.num_records):
    batch = {"row": tf.constant([row]), "sequence": tf.fill([1, 256, 256], float(row))}
    trunk_cache.read_tokens(lambda sequence: sequence, batch, cache)
"""


def keep(folder, num_records):
    command = [sys.executable, "-c", KEEP, str(folder), str(num_records)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def expect_integer(folder, num_records):
    cache = TrunkCache(folder, "a", num_records, 0)
    assert {*folder.iterdir()} == {cache.file(row) for row in range(num_records)}
    for row in range(num_records):
        batch = {"row": tf.constant([row]), "sequence": tf.zeros([1])}
        assert (trunk_cache.read_tokens(is_to_be_computed, batch, cache) == row).all()


@pytest.mark.slow
def test_two_processes_that_keep_tokens_in_one_folder_at_once_both_end(tmp_path):
    both = [keep(tmp_path, 40) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    expect_integer(tmp_path, 40)


@pytest.mark.slow
def test_tokens_whose_process_is_killed_at_any_moment_are_whole_in_the_end(tmp_path):
    moments = random.Random(0)
    num_killed = 0
    for _ in range(20):
        process = keep(tmp_path, 600)
        process.stdout.readline()
        time.sleep(moments.uniform(0, 0.5))
        process.kill()
        num_killed += process.wait() != 0
    assert num_killed >= 5
    assert keep(tmp_path, 600).wait() == 0
    expect_integer(tmp_path, 600)
