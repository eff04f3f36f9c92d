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
    return TrunkCache.locate(model, folder, "train", path, InputWindow(sequence_length_bp))


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


def test_tokens_equal_the_trunk(model, embed, batch, cache):
    tokens = trunk_cache.read_tokens(embed, batch, cache)
    np.testing.assert_allclose(tokens, model.embed(batch["sequence"]), atol=1e-5)


def fail_to_embed(sequence):
    raise AssertionError("computed again")


def remove(first, second):
    second.unlink()


def truncate(first, second):
    second.write_bytes(second.read_bytes()[:-1])


def flip_a_bit(first, second):
    content = bytearray(second.read_bytes())
    content[-1] ^= 1
    second.write_bytes(content)


def replace_by_the_other(first, second):
    second.write_bytes(first.read_bytes())


@pytest.mark.parametrize("spoil", [remove, truncate, flip_a_bit, replace_by_the_other])
def test_damaged_tokens_are_computed_again(embed, batch, cache, capsys, spoil):
    whole = trunk_cache.read_tokens(embed, batch, cache)
    np.testing.assert_array_equal(trunk_cache.read_tokens(fail_to_embed, batch, cache), whole)
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
    trunk_cache.read_tokens(fail_to_embed, batch, cache)
    assert len(second.read_bytes()) == len(content)
    assert spoil is remove or f"{second}: computed again (" in capsys.readouterr().err


def test_caches_differ_by_trunk_length_and_data(model, tmp_path):
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


def test_attention_kinds_share_a_cache(model, folder, tmp_path):
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


def test_check_room_counts_missing_tokens(embed, batch, cache, capsys, monkeypatch):
    trunk_cache.read_tokens(embed, batch, cache)  # two of four records
    num_bytes = sum(file.stat().st_size for file in cache.folder.iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free=1.1 * num_bytes))
    trunk_cache.check_room([cache], num_records=9)
    printed = re.search(r": up to (\S+) GB of tokens to store", capsys.readouterr().err)
    assert float(printed[1]) * 1e9 == pytest.approx(num_bytes, rel=0.01)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free=0.9 * num_bytes))
    trunk_cache.check_room([cache], num_records=1)
    with pytest.raises(OSError, match=f"{cache.folder.parent}: needs .* GB, but only .* free"):
        trunk_cache.check_room([cache], num_records=9)


class Usage(NamedTuple):
    free: float


# Caches tokens that equal the number of the record.
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


def check_tokens(folder, num_records):
    cache = TrunkCache(folder, "a", num_records, 0)
    assert {*folder.iterdir()} == {cache.file(row) for row in range(num_records)}
    for row in range(num_records):
        batch = {"row": tf.constant([row]), "sequence": tf.zeros([1])}
        assert (trunk_cache.read_tokens(fail_to_embed, batch, cache) == row).all()


@pytest.mark.slow
def test_two_processes_share_a_cache(tmp_path):
    both = [keep(tmp_path, 40) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    check_tokens(tmp_path, 40)


@pytest.mark.slow
def test_killed_processes_damage_no_tokens(tmp_path):
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
    check_tokens(tmp_path, 600)
