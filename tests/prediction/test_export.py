import functools
import json
import os
import subprocess
import sys
import tarfile
from types import SimpleNamespace

import deepmind_models
import numpy as np
import pytest
import tensorflow as tf

from senformer.config import preset
from senformer.model import checkpoints, enformer
from senformer.model.checkpoints import named_variables
from senformer.model.enformer import Enformer
from senformer.model.weights import saved_model
from senformer.prediction import export as exporter
from senformer.prediction.export import Comparison, draw_sequence, export
from senformer.prediction.loaded_models import DESCRIPTION_FILE, load_model, open_saved_model

LENGTH_BP = 10_240
CONFIG = preset(
    "enformer_tiny",
    num_transformer_layers=1,
    num_heads=2,
    target_length=32,
    tracks={"human": 3, "mouse": 2},
)

# Predict, and compute the input's gradient, without this package and without Sonnet.
USER = """
import importlib.abc
import sys

import numpy as np


class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("senformer", "sonnet"):
            raise ModuleNotFoundError(name)


sys.meta_path.insert(0, Absent())
import tensorflow as tf

folder, sequence, results, with_gradient = sys.argv[1:]
model = tf.saved_model.load(folder).model
x = tf.constant(np.load(sequence))
found = {**model.predict_on_batch(x)}
if with_gradient == "True":
    with tf.GradientTape() as tape:
        tape.watch(x)
        middle = tf.reduce_sum(model.predict_on_batch(x)["human"][:, 16])
    found["gradient"] = tape.gradient(middle, x)
np.savez(results, **found)
assert not {"senformer", "sonnet"} & set(sys.modules)
"""


@pytest.fixture(autouse=True)
def plain_trunk(request, monkeypatch):
    """Do not compile the trunk with XLA, which takes longer than the tests."""
    if "slow" not in request.keywords:
        monkeypatch.setattr(enformer, "is_faster", lambda dtype: False)


def create_model(config=CONFIG, seed=3):
    """Create a model without zeros among its variables, so that each has an effect."""
    model = Enformer(config, seed=seed)
    generator = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign_add(generator.normal(0, 0.05, variable.shape).astype(np.float32))
    return model


def with_attention(model, attention):
    changed = Enformer(model.config.replace(attention=attention))
    checkpoints.copy_weights(model, changed)
    return changed


def use_elsewhere(folder, sequence, tmp_path, *, with_gradient=False):
    np.save(tmp_path / "sequence.npy", sequence)
    files = [str(folder), str(tmp_path / "sequence.npy"), str(tmp_path / "results.npz")]
    prefixes = ("TF_", "XLA_")  # this package's settings of TensorFlow
    environment = {name: os.environ[name] for name in os.environ if not name.startswith(prefixes)}
    command = [sys.executable, "-c", USER, *files, str(with_gradient)]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment)
    return np.load(tmp_path / "results.npz")


def relative_error(found, expected):
    return np.abs(np.asarray(found) - expected).max() / np.abs(expected).max()


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    """Return a dense model and its file."""
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    model = create_model()
    checkpoints.save(model, path)
    return model, path


@pytest.fixture
def written(monkeypatch):
    """Count the exports, and write none."""
    calls = []

    def keep(model, folder, sequence_length_bp):
        calls.append(model)

    def reopen(folder):
        return SimpleNamespace(predict=functools.partial(exporter._predict, calls[-1]))

    monkeypatch.setattr(exporter, "_write_saved_model", keep)
    monkeypatch.setattr(exporter, "open_saved_model", reopen)
    monkeypatch.setattr(exporter, "compute_checksums", lambda folder: {})
    return calls


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["dense", "bigbird_relative"])
def test_an_export_behaves_like_its_model(attention, dense, tmp_path):
    """Compare predictions, and gradients, from which contribution scores are computed."""
    model, path = dense
    lines = []
    options = {"attention": attention, "sequence_length_bp": LENGTH_BP}
    compared = export(path, tmp_path / "out", **options, say=lines.append)
    changed = with_attention(model, attention)
    sequence = draw_sequence(LENGTH_BP)
    with tf.GradientTape() as tape:
        x = tf.constant(sequence)
        tape.watch(x)
        expected = changed.predict_on_batch(x)
        middle = tf.reduce_sum(expected["human"][:, 16])
    found = use_elsewhere(tmp_path / "out", sequence, tmp_path, with_gradient=True)
    for head in ("human", "mouse"):
        assert relative_error(found[head], expected[head].numpy()) <= exporter.EXPORT_AGREEMENT
    assert relative_error(found["gradient"], tape.gradient(middle, x).numpy()) <= 1e-4
    kept = json.loads((tmp_path / "out" / DESCRIPTION_FILE).read_text())
    assert [Comparison(**row) for row in kept["compared"]] == compared
    assert lines[1:] == [str(comparison) for comparison in compared]
    if attention != "dense":
        dense_prediction = model.predict_on_batch(sequence)["human"]
        difference = relative_error(expected["human"].numpy(), dense_prediction)
        assert compared[0].largest_difference == pytest.approx(difference, rel=1e-2)
        assert compared[0].agreement is None and difference > 1e-4
    assert load_model(tmp_path / "out").target_length == CONFIG.target_length
    content = bytearray((tmp_path / "out/saved_model.pb").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "out/saved_model.pb").write_bytes(content)
    with pytest.raises(ValueError, match=r"saved_model\.pb: damaged, its checksum is \w{12}, exp"):
        load_model(tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("attention", "sequence_length_bp"), [("dense", 196_608), ("bigbird_relative", 393_216)]
)
def test_an_export_predicts_at_full_length(attention, sequence_length_bp, tmp_path):
    config = preset("enformer_tiny", block_size=64, tracks={"human": 30, "mouse": 20})
    model = create_model(config)
    path = tmp_path / "model.safetensors"
    checkpoints.save(model, path)
    options = {"attention": attention, "sequence_length_bp": sequence_length_bp}
    compared = export(path, tmp_path / "out", **options)
    assert len(compared) == (2 if attention == "dense" else 4)
    sequence = draw_sequence(sequence_length_bp)
    expected = with_attention(model, attention).predict_on_batch(sequence)
    found = use_elsewhere(tmp_path / "out", sequence, tmp_path)
    for head in ("human", "mouse"):
        error = relative_error(found[head], expected[head].numpy())
        print(f"{attention}, {sequence_length_bp:,} bp, {head}: {error:.2g}")
        assert error <= exporter.EXPORT_AGREEMENT


@pytest.mark.parametrize("attention", ["tiled", "performer"])
def test_exact_attention_must_agree(attention, dense, tmp_path, monkeypatch, written):
    _, path = dense
    options = {"attention": attention, "sequence_length_bp": LENGTH_BP}
    human, *_ = export(path, tmp_path / "out", **options)
    is_exact = attention == "tiled"
    assert (human.largest_difference <= 1e-4) == is_exact and len(written) == 1
    if is_exact:
        copy = checkpoints.copy_weights

        def copy_wrongly(source, destination):
            copy(source, destination)
            bias = destination.transformer[0].attention.position_bias
            bias.assign(bias + 1.0)

        monkeypatch.setattr(checkpoints, "copy_weights", copy_wrongly)
        with pytest.raises(ValueError, match=r"not written: tiled and dense.*at most 0\.0001"):
            export(path, tmp_path / "new", **options)
        assert len(written) == 1 and not (tmp_path / "new").exists()


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """Write a SavedModel like TF-Hub's, of `create_model`."""
    folder = tmp_path_factory.mktemp("hub") / "enformer"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enformer, "is_faster", lambda dtype: False)
        lengths = {"sequence_length_bp": 2 * LENGTH_BP, "used_length_bp": LENGTH_BP}
        deepmind_models.write(create_model(), folder, **lengths)
    return folder


def test_tf_hubs_variables_are_read(hub):
    config = saved_model.read_saved_model_config(hub)
    unknown = {name: getattr(CONFIG, name) for name in ("block_size", "target_length")}
    unknown |= {name: 0.0 for name in CONFIG.model_dump() if name.endswith("dropout_rate")}
    assert config.replace(**unknown) == CONFIG
    expected = named_variables(create_model())
    for name, variable in named_variables(saved_model.load_saved_model(hub, CONFIG)).items():
        np.testing.assert_array_equal(variable, expected[name], err_msg=name)


def test_tf_hubs_predictions_must_agree(hub, tmp_path, monkeypatch, written):
    compared = export(hub, tmp_path / "out", sequence_length_bp=LENGTH_BP)
    assert compared[0].reference.endswith("(from the middle of 20,480 bp)")
    assert compared[0].sequence_length_bp == LENGTH_BP
    assert compared[0].largest_difference <= exporter.AGREEMENT
    load = saved_model.load_saved_model

    def load_wrongly(folder, config):
        model = load(folder, config)
        model.heads["human"].b.assign(model.heads["human"].b + 0.1)
        return model

    monkeypatch.setattr(saved_model, "load_saved_model", load_wrongly)
    with pytest.raises(ValueError, match=r"not written: the weights, read and the SavedModel's"):
        export(hub, tmp_path / "new", sequence_length_bp=LENGTH_BP)
    assert len(written) == 1 and not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"attention": "bigbird"},
            r"attention='bigbird' has parameters that .*model\.safetensors lacks, expected one of "
            r"dense, tiled, bigbird_relative, local, performer, linear, reformer$",
        ),
        ({"attention": "full"}, r"attention='full', expected one of dense, tiled"),
        ({"sequence_length_bp": 10_000}, r"sequence_length_bp=10000.* a multiple of 128"),
        ({"target_length": 81}, r"sequence_length_bp=10240 is 80 tokens, expected at least 81"),
        ({"target_length": 0}, r"target_length=0, expected an integer of at least 1"),
        ({"folder": "mine"}, r"mine: exists and is no earlier export, expected a new or empty"),
        ({"folder": "."}, r"output '\.': expected the name of a new file or folder"),
        ({"folder": "link"}, r"link: is a link, expected a new or empty folder"),
    ],
)
def test_arguments_are_checked_before_work(changes, message, dense, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("")
    (tmp_path / "link").symlink_to("mine")
    monkeypatch.setattr(exporter, "Enformer", None)
    with pytest.raises((ValueError, FileExistsError), match=message):
        export(dense[1], **{"folder": "out", "sequence_length_bp": LENGTH_BP} | changes)
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["link", "mine", "thesis.tex"]


@pytest.mark.parametrize(
    ("archive", "ending", "kind"),
    [
        ("enformer", "sonnet_checkpoint", "a Sonnet checkpoint"),
        ("enformer_pytorch", "model.safetensors", "of enformer-pytorch"),
    ],
)
def test_foreign_weights_are_exported(archive, ending, kind, shared, tmp_path):
    with tarfile.open(shared / "golden" / f"{archive}.tar.xz") as packed:
        packed.extractall(tmp_path, filter="data")
    path, stored = tmp_path / archive / ending, np.load(tmp_path / archive / "forward.npz")
    lines = []
    lengths = {"sequence_length_bp": 8192, "target_length": 32}
    export(path, tmp_path / "out", **lengths, say=lines.append)
    assert lines[0] == (
        f"{path}: {kind}, 384 channels, 2 layers, 8 heads, dense attention, tracks: 20 human, 10 "
        "mouse"
    )
    found = open_saved_model(tmp_path / "out").predict(stored["sequence"].astype(np.float32))
    for head in ("human", "mouse"):
        assert relative_error(found[head], stored[head]) <= 1e-4
