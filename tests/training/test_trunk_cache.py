import re
import shutil
from types import SimpleNamespace

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


@pytest.mark.parametrize(
    "change",
    [
        lambda content, other: None,
        lambda content, other: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content, other: other,
    ],
    ids=["missing", "damaged", "another record"],
)
def test_damaged_tokens_are_computed_again(embed, batch, cache, capsys, change):
    expected = trunk_cache.read_tokens(embed, batch, cache)
    first, second = (cache.file(row) for row in batch["row"].numpy())
    changed = change(second.read_bytes(), first.read_bytes())
    second.unlink()
    if changed is not None:
        second.write_bytes(changed)
    computed = []

    def record_and_embed(sequence):
        computed.append(sequence.numpy())
        return embed(sequence)

    tokens = trunk_cache.read_tokens(record_and_embed, batch, cache)
    np.testing.assert_array_equal(tokens, expected)
    np.testing.assert_array_equal(computed, batch["sequence"][1:2][tf.newaxis])
    tokens = trunk_cache.read_tokens(None, batch, cache)  # which could not embed again
    np.testing.assert_array_equal(tokens, expected)
    assert {*cache.folder.iterdir()} == {first, second}
    assert changed is None or f"{second}: computed again (" in capsys.readouterr().err


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
    for source, destination in zip(model.trunk, sparse.trunk, strict=True):
        for value, variable in zip(source.variables, destination.variables, strict=True):
            variable.assign(value)
    assert cache_of(sparse, folder, tmp_path) == cache_of(model, folder, tmp_path)


def test_check_room_counts_missing_tokens(embed, batch, cache, capsys, monkeypatch):
    trunk_cache.read_tokens(embed, batch, cache)  # two of four records
    num_bytes = sum(file.stat().st_size for file in cache.folder.iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1.1 * num_bytes))
    trunk_cache.check_room([cache], num_records=9)
    printed = re.search(r": up to (\S+) GB of tokens to store", capsys.readouterr().err)
    assert float(printed[1]) * 1e9 == pytest.approx(num_bytes, rel=0.01)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0.9 * num_bytes))
    trunk_cache.check_room([cache], num_records=1)
    with pytest.raises(OSError, match=f"{cache.folder.parent}: needs .* GB, but only .* free"):
        trunk_cache.check_room([cache], num_records=9)
