import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from numpy.linalg import norm

from senformer.config import preset
from senformer.data import record_folders
from senformer.data.simulation import simulate
from senformer.model import checkpoints
from senformer.model.compute import device
from senformer.model.enformer import Enformer, attention_variables
from senformer.training import loss, train, train_step

LENGTH_BP = 10_240
TARGET_LENGTH = 64


@pytest.fixture(scope="module")
def both_heads(tmp_path_factory):
    counts = {"train": 4, "valid": 1, "test": 1}
    path = simulate.write_dataset(
        tmp_path_factory.mktemp("simulated"),
        sequence_length_bp=LENGTH_BP,
        target_length=TARGET_LENGTH,
        num_sequences={"human": counts, "mouse": counts},
    )
    return record_folders.open_folders(path)


@pytest.fixture(scope="module")
def folders(both_heads):
    """Of one head: the step of each head is a program of its own, which takes long to compile."""
    return {"human": both_heads["human"]}


also_with_both_heads = pytest.mark.parametrize(
    "heads", ["folders", pytest.param("both_heads", marks=pytest.mark.slow)]
)


def make_model(folders, attention="dense", seed=0):
    tracks = {head: folder.num_tracks for head, folder in folders.items()}
    config = preset(
        "senformer_tiny",
        attention=attention,
        num_transformer_layers=1,
        target_length=TARGET_LENGTH,
        tracks=tracks,
        dropout_rate=0.1,  # what is drawn must be drawn again after a stop
    )
    return Enformer(config, seed=seed)


def run_training(model, folders, steps, *, trunk_cache=None, checkpoint=None, **planned):
    plan = train.TrainingPlan(steps=steps, sequence_length_bp=LENGTH_BP, **planned)
    return train.train(model, folders, plan, trunk_cache=trunk_cache, checkpoint=checkpoint)


def weights(model):
    return {name: v.numpy() for name, v in checkpoints.named_variables(model).items()}


def assert_same_weights(one, other):
    for name, array in weights(one).items():
        np.testing.assert_array_equal(array, weights(other)[name], err_msg=name)


def test_a_step_is_both_heads_in_turn_and_training_lowers_the_loss(both_heads):
    model = make_model(both_heads)
    history = run_training(model, both_heads, 8, trainable="all", learning_rate=1e-3).history
    assert list(history["head"][:4]) == ["human", "mouse"] * 2
    assert list(history["step"]) == sorted([*range(1, 9)] * 2)
    losses = history.groupby("head")["loss"]
    assert (losses.tail(2).mean() < losses.head(2).mean()).all()


def test_training_the_attention_alone_changes_nothing_else(folders):
    model = make_model(folders)
    before = weights(model)
    run_training(model, folders, 2, trainable="attention")
    after = weights(model)
    changed = {name for name in before if (before[name] != after[name]).any()}
    assert changed
    assert all("/attention/" in name for name in changed)


def test_a_head_without_a_gradient_is_left_alone(both_heads):
    model = make_model(both_heads)
    optimizer = train_step.make_optimizer(model, "all", 1e-2)
    step = train_step.make_train_step(model, optimizer, head="human", trainable="all")
    mouse = model.heads["mouse"].w.numpy()
    human = model.heads["human"].w.numpy()
    step(
        tf.one_hot(np.zeros([1, LENGTH_BP], int), 4),
        tf.ones([1, TARGET_LENGTH, both_heads["human"].num_tracks]),
        tf.constant([0, 0]),
    )
    np.testing.assert_array_equal(model.heads["mouse"].w, mouse)
    assert (model.heads["human"].w.numpy() != human).all()


@pytest.mark.parametrize(
    ("heads", "trainable"),
    [("folders", "attention"), pytest.param("both_heads", "all", marks=pytest.mark.slow)],
)
def test_a_stopped_run_goes_on_to_the_same_weights(heads, trainable, tmp_path, request):
    folders = request.getfixturevalue(heads)
    planned = {"trainable": trainable, "seed": 3}
    whole = make_model(folders)
    rows = run_training(whole, folders, 4, **planned)
    path = tmp_path / "run.safetensors"
    run_training(make_model(folders), folders, 2, checkpoint=path, **planned)
    resumed = make_model(folders)
    history = run_training(resumed, folders, 4, checkpoint=path, **planned).history
    assert_same_weights(resumed, whole)
    np.testing.assert_array_equal(history["loss"], rows.history["loss"])
    again = make_model(folders)
    run_training(again, folders, 4, checkpoint=path, **planned)
    assert_same_weights(again, whole)


@also_with_both_heads
def test_a_batch_that_comes_in_parts_trains_as_the_whole_one(heads, monkeypatch, request):
    folders = request.getfixturevalue(heads)
    monkeypatch.setattr(train_step, "CLIP_NORM", 1e-2)  # so that all gradients are clipped
    whole, in_parts = (make_model(folders, "bigbird_relative") for _ in range(2))
    options = {"batch_size": 4, "trainable": "attention"}
    at_once = run_training(whole, folders, 3, **options)
    one_by_one = run_training(in_parts, folders, 3, sequences_at_once=1, **options)
    np.testing.assert_allclose(one_by_one.history["loss"], at_once.history["loss"], rtol=1e-5)
    for name, array in weights(whole).items():
        np.testing.assert_allclose(weights(in_parts)[name], array, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_a_run_in_parts_goes_on_as_if_it_had_not_been_stopped(folders, tmp_path):
    options = {"batch_size": 2, "sequences_at_once": 1, "trainable": "attention"}
    whole, resumed = make_model(folders), make_model(folders)
    run_training(whole, folders, 3, **options)
    path = tmp_path / "run.safetensors"
    run_training(make_model(folders), folders, 1, checkpoint=path, **options)
    run_training(resumed, folders, 3, checkpoint=path, **options)
    assert_same_weights(resumed, whole)


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_last_checkpoint(
    folders, tmp_path, monkeypatch
):
    checkpoint = tmp_path / "model.npz"
    run_training(make_model(folders), folders, 2, checkpoint=checkpoint)
    before = checkpoint.read_bytes()

    def is_lost(target, logits):
        return loss.poisson_loss_of_logits(target, logits) * np.nan

    monkeypatch.setattr(train_step, "poisson_loss_of_logits", is_lost)
    with pytest.raises(
        ValueError, match="step 3, head 'human': the loss is nan, expected a finite"
    ):
        run_training(make_model(folders), folders, 4, checkpoint=checkpoint)
    assert checkpoint.read_bytes() == before


def test_weights_that_are_not_finite_are_not_kept(folders, tmp_path, monkeypatch):
    checkpoint = tmp_path / "model.npz"
    run_training(make_model(folders), folders, 1, checkpoint=checkpoint)
    before = checkpoint.read_bytes()
    make_train_step = train_step.make_train_step

    def whose_last_update_is_lost(model, optimizer, **options):
        step = make_train_step(model, optimizer, **options)

        def take(*batch):
            loss = step(*batch)
            first = attention_variables(model)[0]
            first.assign(first * np.nan)
            return loss

        return take

    monkeypatch.setattr(train_step, "make_train_step", whose_last_update_is_lost)
    model = make_model(folders)
    with pytest.raises(ValueError, match=r"step 2: .* is not finite; .*model\.npz is unchanged"):
        run_training(model, folders, 2, checkpoint=checkpoint)
    assert checkpoint.read_bytes() == before


def test_all_that_decides_a_run_is_compared_with_its_checkpoint(folders, tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    run_training(make_model(folders), folders, 0, checkpoint=path)
    assert not path.exists()
    run_training(make_model(folders), folders, 1, checkpoint=path)
    before = path.read_bytes()
    for model, planned, named in (
        (make_model(folders), {"seed": 1}, [r"seed=0, not seed=1"]),
        (
            make_model(folders),
            {"learning_rate": 1e-3, "batch_size": 2},
            [r"learning_rate=0.0001, not learning_rate=0.001", r"batch_size=1, not batch_size=2"],
        ),
        (make_model(folders), {"trainable": "all"}, ["trainable=attention, not trainable=all"]),
        (make_model(folders, seed=1), {}, ["starting_weights=[0-9a-f]+, not starting_weights="]),
        (
            make_model(folders, "bigbird"),
            {},
            ["model.attention=dense, not model.attention=bigbird"],
        ),
    ):
        with pytest.raises(ValueError, match=r"run.safetensors was trained with ") as refused:
            run_training(model, folders, 2, checkpoint=path, **planned)
        for text in named:
            assert re.search(text, str(refused.value)), refused.value
    monkeypatch.setattr(train_step, "CLIP_NORM", 0.5)
    with pytest.raises(ValueError, match=r"trained with clip_norm=1.0, not clip_norm=0.5$"):
        run_training(make_model(folders), folders, 2, checkpoint=path)
    assert path.read_bytes() == before


def test_fewer_steps_than_a_checkpoint_has_are_refused_by_name(folders, tmp_path):
    path = tmp_path / "run.safetensors"
    run_training(make_model(folders), folders, 2, checkpoint=path)
    with pytest.raises(ValueError, match=r"run.safetensors has 2 steps, expected at most 1"):
        run_training(make_model(folders), folders, 1, checkpoint=path)


def test_validation_rows_carry_their_step(folders):
    calls = []

    def evaluate(model):
        calls.append(model)
        return pd.DataFrame({"pearson_r": [0.5, 0.25]})

    plan = train.TrainingPlan(steps=5, sequence_length_bp=LENGTH_BP)
    validation = train.train(
        make_model(folders), folders, plan, evaluate=evaluate, evaluate_every=2
    ).validation
    assert list(validation["step"]) == sorted([0, 2, 4, 5] * 2)
    assert len(calls) == 4


def test_gradients_are_clipped_one_by_one(folders, monkeypatch):
    monkeypatch.setattr(train_step, "CLIP_NORM", 1e-6)
    model = make_model(folders)
    taken = []
    optimizer = train_step.make_optimizer(model, "attention", 0.0)
    step = train_step.make_train_step(model, optimizer, head="human", trainable="attention")
    variables = train_step.trainable_variables(model, "attention")
    step(
        tf.one_hot(np.random.default_rng(0).integers(0, 4, [1, LENGTH_BP]), 4),
        tf.fill([1, TARGET_LENGTH, folders["human"].num_tracks], 50.0),
        tf.constant([0, 0]),
    )
    for moment, variable in zip(optimizer.m, variables, strict=True):
        taken.append(np.linalg.norm(moment))
        assert taken[-1] <= 0.1 * 1e-6 * (1 + 1e-5), variable.name  # (1 - beta1) * CLIP_NORM
    assert max(taken) > 0.09 * 1e-6


@pytest.mark.parametrize(
    ("attention", "trainable"),
    [
        ("bigbird_relative", "attention"),
        pytest.param("bigbird", "all", marks=pytest.mark.slow),
        pytest.param("tiled", "attention", marks=pytest.mark.slow),
        pytest.param("dense", "all", marks=pytest.mark.slow),
        pytest.param("local", "all", marks=pytest.mark.slow),
        pytest.param("performer", "attention", marks=pytest.mark.slow),
        pytest.param("linear", "all", marks=pytest.mark.slow),
        pytest.param("reformer", "attention", marks=pytest.mark.slow),
    ],
)
def test_one_program_makes_the_updates_of_a_step_that_runs_one_by_one(
    folders, attention, trainable
):
    """As a GPU runs it, on a CPU: three updates, dropout fixed by its seed."""
    sequence = tf.one_hot(np.random.default_rng(0).integers(0, 4, [2, LENGTH_BP]), 4)
    losses, moved, gradients = [], [], []
    for device_type in ("cpu", "gpu"):
        model = make_model(folders, attention)
        before = weights(model)
        shape = [2, TARGET_LENGTH, model.config.tracks["human"]]
        target = tf.random.stateless_uniform(shape, [1, 2])
        with device.traced_for(device_type):
            optimizer = train_step.make_optimizer(model, trainable, 1e-4)
            step = train_step.make_train_step(model, optimizer, head="human", trainable=trainable)
        losses.append([float(step(sequence, target, tf.constant([7, 0])))])
        first = [moment.numpy() for moment in optimizer.m]
        losses[-1] += [float(step(sequence, target, tf.constant([7, n]))) for n in (1, 2)]
        moved.append({name: array - before[name] for name, array in weights(model).items()})
        name_of = {v.ref(): name for name, v in checkpoints.named_variables(model).items()}
        trained = train_step.trainable_variables(model, trainable)
        names = [name_of[variable.ref()] for variable in trained]
        gradients.append(dict(zip(names, first, strict=True)))
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    for name, gradient in gradients[0].items():
        # A bias that batch norm or softmax takes out again has a gradient of rounding alone.
        if name.endswith(("conv/b", "key/b")):
            continue
        assert norm(gradients[1][name] - gradient) <= 0.01 * norm(gradient), name
        # Adam makes whole steps of the smallest gradients too, rounding's among them, which the
        # next steps take further; an update that is lost or comes late would be a third.
        assert norm(moved[1][name] - moved[0][name]) <= 0.1 * norm(moved[0][name]), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": -1}, "steps=-1, expected an integer of at least 0"),
        ({"steps": 2.5}, "steps=2.5, expected an integer of at least"),
        ({"batch_size": 0}, "batch_size=0, expected an integer of at least 1"),
        ({"seed": None}, "seed=None, expected an integer of at least"),
        ({"learning_rate": "1e-3"}, "learning_rate='1e-3', expected a finite number"),
        ({"learning_rate": float("nan")}, "learning_rate=nan, expected a finite number"),
        ({"learning_rate": -1e-3}, "learning_rate=-0.001, expected a finite number of at least 0"),
    ],
)
def test_an_impossible_plan_is_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        train.TrainingPlan(**({"steps": 1, "sequence_length_bp": LENGTH_BP} | change))


def test_unknown_names_are_named(folders, both_heads):
    model = make_model(both_heads)
    with pytest.raises(ValueError, match="trainable='trunk', expected one of attention, all"):
        train_step.trainable_variables(model, "trunk")
    with pytest.raises(ValueError, match="trainable='trunk', expected one of attention, all"):
        train.TrainingPlan(steps=1, sequence_length_bp=LENGTH_BP, trainable="trunk")
    with pytest.raises(ValueError, match="head='rat', expected one of human, mouse"):
        train_step.make_train_step(
            model, train_step.make_optimizer(model, "all", 1e-4), head="rat", trainable="all"
        )
    with pytest.raises(ValueError, match="no records for head 'mouse', found human"):
        run_training(model, folders, 1)
    with pytest.raises(ValueError, match=r"16 tracks, expected the|tracks, expected the"):
        run_training(model, {"human": both_heads["mouse"], "mouse": both_heads["human"]}, 1)


@also_with_both_heads
def test_a_cached_trunk_gives_the_same_weights(heads, tmp_path, request):
    """Exactly, where a step reads one record; kept tokens are computed record by record."""
    folders = request.getfixturevalue(heads)
    options = {"trainable": "attention", "batch_size": 1, "learning_rate": 1e-3}
    computed, cached = make_model(folders), make_model(folders)
    run_training(computed, folders, 3, **options)
    run_training(cached, folders, 3, trunk_cache=tmp_path, **options)
    for name, array in weights(computed).items():
        np.testing.assert_array_equal(weights(cached)[name], array, err_msg=name)


def test_a_finished_run_computes_no_tokens(folders, tmp_path):
    checkpoint = tmp_path / "run.safetensors"
    run_training(make_model(folders), folders, 1, checkpoint=checkpoint)
    again = run_training(
        make_model(folders), folders, 1, checkpoint=checkpoint, trunk_cache=tmp_path / "trunk"
    )
    assert len(again.history) == 1
    assert not (tmp_path / "trunk").exists()


def test_a_trunk_that_changes_is_not_cached(folders, tmp_path):
    with pytest.raises(ValueError, match="expected a trunk that never changes"):
        run_training(make_model(folders), folders, 1, trunk_cache=tmp_path, trainable="all")
    assert not list(tmp_path.iterdir())


# What TensorFlow's allocator has given out after each of some steps. It rounds a size up to the
# piece of memory that it has free: a variable that moves leaves a trace.
_MEMORY_BETWEEN_STEPS = """
import json, sys
import tensorflow as tf
from numpy.linalg import norm
from senformer.config import preset
from senformer.training import train_step
from senformer.model.enformer import Enformer

config = preset(
    "enformer_tiny", attention=sys.argv[1], num_transformer_layers=1, target_length=64
)
model = Enformer(config)
optimizer = train_step.make_optimizer(model, "attention", 1e-4)
step = train_step.make_train_step(model, optimizer, head="human", trainable="attention")
batch = tf.zeros([1, 16_384, 4]), tf.ones([1, 64, config.tracks["human"]]), tf.constant([0, 0])
given_out = []
for _ in range(5):
    step(*batch).numpy()
    given_out.append(tf.config.experimental.get_memory_info("CPU:0")["current"])
print(json.dumps(given_out))
"""


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["bigbird", "tiled"])
def test_variables_are_updated_where_they_are(attention):
    run = subprocess.run(
        [sys.executable, "-c", _MEMORY_BETWEEN_STEPS, attention],
        stdout=subprocess.PIPE,
        check=True,
    )
    after_first, *after_others = json.loads(run.stdout.splitlines()[-1])
    assert after_others == [after_first] * len(after_others)


# The most that TensorFlow's allocator gives out in two steps, of one sequence or of four that come
# one by one.
_PEAK_OF_STEPS = """
import sys
import tensorflow as tf
from senformer.config import preset
from senformer.model.enformer import Enformer
from senformer.training import train_step
from senformer.training.division import Division

num_parts = int(sys.argv[1])
model = Enformer(preset("senformer_tiny", target_length=512))
optimizer = train_step.make_optimizer(model, "attention", 1e-4)
kind = {"head": "human", "trainable": "attention"}
batch = tf.zeros([1, 65_536, 4]), tf.ones([1, 512, model.config.tracks["human"]])
if num_parts == 1:
    step = train_step.make_train_step(model, optimizer, **kind)
    parts = [()]
else:
    division = Division.of(num_parts, 1, "attention")
    sums = train_step.make_gradient_sums(model, "attention", division)
    step = train_step.make_divided_step(model, optimizer, division, sums, **kind)
    parts = [(part,) for part in range(num_parts)]
for number in range(2):
    for part in parts:
        step(*batch, tf.constant([0, number]), *part).numpy()
print(tf.config.experimental.get_memory_info("CPU:0")["peak"])
"""


@pytest.mark.slow
def test_a_batch_in_parts_takes_the_memory_of_one_part():
    peaks = [
        int(
            subprocess.run(
                [sys.executable, "-c", _PEAK_OF_STEPS, str(num_parts)],
                stdout=subprocess.PIPE,
                check=True,
            ).stdout.splitlines()[-1]
        )
        for num_parts in (1, 4)
    ]
    assert peaks[1] <= 1.05 * peaks[0]
