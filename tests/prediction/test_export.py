import json
import os
import subprocess
import sys
import tarfile

import deepmind_models
import numpy as np
import pytest
import tensorflow as tf

from senformer.config import preset
from senformer.model import checkpoints, enformer
from senformer.model.checkpoints import named_variables
from senformer.model.enformer import Enformer
from senformer.model.weights import foreign_weights
from senformer.prediction import export
from senformer.prediction.loaded_models import load_model
from senformer.prediction.saved_models import DESCRIPTION_FILE, open_saved_model

LENGTH_BP = 10_240
CONFIG = preset(
    "enformer_tiny",
    num_transformer_layers=1,
    num_heads=2,
    target_length=32,
    tracks={"human": 3, "mouse": 2},
)

# In a process that has neither this package nor Sonnet: predictions, and a gradient if asked for.
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
    """Without the passes that XLA compiles for a CPU, which takes longer than all else here."""
    if "slow" not in request.keywords:
        monkeypatch.setattr(enformer, "is_faster", lambda dtype: False)


def trained(config=CONFIG, seed=3):
    """A model whose every variable matters, as none is zero."""
    model = Enformer(config, seed=seed)
    generator = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign_add(generator.normal(0, 0.05, variable.shape).astype(np.float32))
    return model


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def used_elsewhere(folder, sequence, tmp_path, *, with_gradient=False):
    np.save(tmp_path / "sequence.npy", sequence)
    files = [str(folder), str(tmp_path / "sequence.npy"), str(tmp_path / "results.npz")]
    arguments = [*files, str(with_gradient)]
    settings = ("TF_", "XLA_")  # of this package for TensorFlow, which others do not make
    environment = {name: os.environ[name] for name in os.environ if not name.startswith(settings)}
    command = [sys.executable, "-c", USER, *arguments]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment)
    return np.load(tmp_path / "results.npz")


def relative_error(found, expected):
    return np.abs(np.asarray(found) - expected).max() / np.abs(expected).max()


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    """A dense model, and its file."""
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    model = trained()
    checkpoints.save(model, path)
    return model, path


@pytest.mark.slow
def test_where_the_package_is_not_installed_the_export_predicts_what_the_model_does(
    dense, tmp_path
):
    model, path = dense
    said = []
    compared = export.export(
        path,
        tmp_path / "out",
        attention="bigbird_relative",
        sequence_length_bp=LENGTH_BP,
        say=said.append,
    )
    sparse = Enformer(CONFIG.replace(attention="bigbird_relative"))
    checkpoints.copy_weights(model, sparse)
    sequence = export.random_sequence(LENGTH_BP)
    expected = sparse.predict_on_batch(sequence)
    found = used_elsewhere(tmp_path / "out", sequence, tmp_path)
    for head in ("human", "mouse"):
        assert relative_error(found[head], expected[head].numpy()) <= 1e-5
    # What was said is kept, and is what the two models differ by.
    kept = json.loads((tmp_path / "out" / DESCRIPTION_FILE).read_text())
    assert [export.Comparison(**row) for row in kept["compared"]] == compared
    assert said[1:] == [str(comparison) for comparison in compared]
    assert load_model(tmp_path / "out").target_length == CONFIG.target_length
    flip_a_bit(tmp_path / "out" / "saved_model.pb")
    with pytest.raises(ValueError, match=r"saved_model\.pb: damaged, its checksum is \w{12}, exp"):
        load_model(tmp_path / "out")
    of_sparse = compared[0]
    difference = relative_error(
        expected["human"].numpy(), model.predict_on_batch(sequence)["human"]
    )
    assert of_sparse.largest_difference == pytest.approx(difference, rel=1e-2)
    assert of_sparse.agreement is None and difference > 1e-4


@pytest.fixture
def written(monkeypatch):
    """Compared, and not written: how often it would have been."""
    done = []
    monkeypatch.setattr(checkpoints, "export_saved_model", lambda *arguments: done.append(1))
    monkeypatch.setattr(export, "open_saved_model", lambda folder: None)
    monkeypatch.setattr(export, "checksums", lambda folder: {})
    monkeypatch.setattr(export, "_with_saved", lambda saved, model: [])
    return done


@pytest.mark.parametrize("attention", ["tiled", "performer"])
def test_attention_that_is_exact_must_agree(attention, dense, tmp_path, monkeypatch, written):
    _, path = dense
    arguments = {"attention": attention, "sequence_length_bp": LENGTH_BP}
    [human, _] = export.export(path, tmp_path / "out", **arguments)
    is_exact = attention == "tiled"
    assert (human.largest_difference <= 1e-4) == is_exact and written == [1]
    if is_exact:
        copy = checkpoints.copy_weights

        def copy_wrongly(source, destination):
            copy(source, destination)
            bias = destination.transformer[0].attention.position_bias
            bias.assign(bias + 1.0)

        monkeypatch.setattr(checkpoints, "copy_weights", copy_wrongly)
        with pytest.raises(ValueError, match=r"not written: tiled and dense.*at most 0\.0001"):
            export.export(path, tmp_path / "new", **arguments)
        assert written == [1] and not (tmp_path / "new").exists()


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A SavedModel as TF-Hub's, of `trained`."""
    folder = tmp_path_factory.mktemp("hub") / "enformer"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enformer, "is_faster", lambda dtype: False)
        deepmind_models.write(
            trained(), folder, sequence_length_bp=2 * LENGTH_BP, used_length_bp=LENGTH_BP
        )
    return folder


def test_tf_hubs_enformer_is_read_by_its_names(hub):
    config = foreign_weights.saved_model_config(hub)
    told = {name: getattr(CONFIG, name) for name in ("block_size", "target_length")}
    told |= {name: 0.0 for name in vars(CONFIG) if name.endswith("dropout_rate")}
    assert config.replace(**told) == CONFIG
    read = foreign_weights.load_saved_model(hub, CONFIG)
    expected = named_variables(trained())
    for name, variable in named_variables(read).items():
        np.testing.assert_array_equal(variable, expected[name], err_msg=name)


def test_tf_hubs_enformer_is_compared_with_its_own_predictions(hub, tmp_path, monkeypatch, written):
    compared = export.export(hub, tmp_path / "out", sequence_length_bp=LENGTH_BP)
    assert compared[0].reference.endswith("(from the middle of 20,480 bp)")
    assert compared[0].sequence_length_bp == LENGTH_BP
    assert compared[0].largest_difference <= export.AGREEMENT
    load = foreign_weights.load_saved_model

    def load_wrongly(folder, config):
        read = load(folder, config)
        read.heads["human"].b.assign(read.heads["human"].b + 0.1)
        return read

    monkeypatch.setattr(foreign_weights, "load_saved_model", load_wrongly)
    with pytest.raises(ValueError, match=r"not written: the weights, read and the SavedModel's"):
        export.export(hub, tmp_path / "new", sequence_length_bp=LENGTH_BP)
    assert written == [1] and not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"attention": "bigbird"},
            r"attention='bigbird' has parameters that .*model\.safetensors lacks, expected one of "
            r"dense, tiled, bigbird_relative, local, performer, linear, reformer$",
        ),
        ({"attention": "full"}, r"attention='full', expected one of dense, tiled"),
        ({"sequence_length_bp": 10_000}, r"sequence_length_bp=10000 must be a multiple of 128"),
        ({"target_length": 81}, r"sequence_length_bp=10240 is 80 tokens, expected at least 81"),
        ({"target_length": 0}, r"target_length=0, expected an integer of at least 1"),
        ({"folder": "mine"}, r"mine: exists and is no earlier export, expected a folder that is"),
    ],
)
def test_what_cannot_be_is_said_before_any_work(changes, message, dense, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    monkeypatch.setattr(export, "Enformer", None)
    arguments = {"folder": "out", "sequence_length_bp": LENGTH_BP} | changes
    with pytest.raises((ValueError, FileExistsError), match=message):
        export.export(dense[1], **arguments)
    assert [file.name for file in tmp_path.rglob("*")] == ["mine", "thesis.tex"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("attention", "sequence_length_bp"), [("dense", 196_608), ("bigbird_relative", 393_216)]
)
def test_at_enformers_length_and_twice_that(attention, sequence_length_bp, tmp_path):
    """With the compiled trunk of a CPU, windows and all."""
    config = preset("enformer_tiny", block_size=64, tracks={"human": 30, "mouse": 20})
    model = trained(config)
    checkpoints.save(model, tmp_path / "model.safetensors")
    compared = export.export(
        tmp_path / "model.safetensors",
        tmp_path / "out",
        attention=attention,
        sequence_length_bp=sequence_length_bp,
    )
    assert len(compared) == (2 if attention == "dense" else 4)
    chosen = Enformer(config.replace(attention=attention))
    checkpoints.copy_weights(model, chosen)
    sequence = export.random_sequence(sequence_length_bp)
    expected = chosen.predict_on_batch(sequence)
    found = used_elsewhere(tmp_path / "out", sequence, tmp_path)
    for head in ("human", "mouse"):
        error = relative_error(found[head], expected[head].numpy())
        print(f"{attention}, {sequence_length_bp:,} bp, {head}: {error:.2g}")
        assert error <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["dense", "bigbird_relative"])
def test_the_inputs_gradient_goes_through_an_export(attention, dense, tmp_path):
    """As contribution scores are computed with TF-Hub's Enformer."""
    model, path = dense
    export.export(path, tmp_path / "out", attention=attention, sequence_length_bp=LENGTH_BP)
    chosen = Enformer(CONFIG.replace(attention=attention))
    checkpoints.copy_weights(model, chosen)
    sequence = export.random_sequence(LENGTH_BP)
    with tf.GradientTape() as tape:
        x = tf.constant(sequence)
        tape.watch(x)
        middle = tf.reduce_sum(chosen.predict_on_batch(x)["human"][:, 16])
    found = used_elsewhere(tmp_path / "out", sequence, tmp_path, with_gradient=True)
    assert relative_error(found["gradient"], tape.gradient(middle, x).numpy()) <= 1e-4


@pytest.mark.parametrize(
    ("archive", "ending", "kind"),
    [
        ("enformer", "sonnet_checkpoint", "a Sonnet checkpoint"),
        ("enformer_pytorch", "model.safetensors", "of enformer-pytorch"),
    ],
)
def test_the_weights_of_others_are_exported(archive, ending, kind, shared, tmp_path):
    with tarfile.open(shared / "golden" / f"{archive}.tar.xz") as packed:
        packed.extractall(tmp_path, filter="data")
    path, stored = tmp_path / archive / ending, np.load(tmp_path / archive / "forward.npz")
    said = []
    export.export(
        path,
        tmp_path / "out",
        sequence_length_bp=8192,
        target_length=32,
        say=said.append,
    )
    assert said[0] == f"{path}: {kind}, 384 channels, 2 layers, 8 heads, dense attention, " + (
        "tracks: 20 human, 10 mouse"
    )
    saved = open_saved_model(tmp_path / "out")
    found = saved.predict(stored["sequence"].astype(np.float32))
    for head in ("human", "mouse"):
        assert relative_error(found[head], stored[head]) <= 1e-4
