import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from numpy.linalg import norm
from slow_cases import slow

from senformer.config import preset
from senformer.data import record_folders
from senformer.model import checkpoints
from senformer.model.compute import device
from senformer.model.enformer import Enformer
from senformer.training import loss, train, train_step

LENGTH_BP = 10_240
TARGET_LENGTH = 64


@pytest.fixture(scope="module")
def both_heads(small_data):
    return record_folders.open_folders(small_data)


@pytest.fixture(scope="module")
def folders(both_heads):
    """Return the records of one head, because each head's step is slow to compile."""
    return {"human": both_heads["human"]}


with_one_or_both_heads = pytest.mark.parametrize("heads", ["folders", slow("both_heads")])


def make_model(folders, attention="dense", seed=0, dropout_rate=0.1):
    config = preset(
        "senformer_tiny",
        attention=attention,
        num_transformer_layers=1,
        target_length=TARGET_LENGTH,
        tracks={head: folder.num_tracks for head, folder in folders.items()},
        dropout_rate=dropout_rate,
    )
    return Enformer(config, seed=seed)


@pytest.fixture(scope="module")
def dense_model(folders):
    """Return a model that no test changes."""
    return make_model(folders)


def run_training(model, folders, steps, *, trunk_cache=None, checkpoint=None, **options):
    plan = train.TrainingPlan(steps=steps, sequence_length_bp=LENGTH_BP, **options)
    return train.train(model, folders, plan, trunk_cache=trunk_cache, checkpoint=checkpoint)


def weights(model):
    return {name: v.numpy() for name, v in checkpoints.named_variables(model).items()}


def assert_same_weights(model, expected):
    for name, array in weights(expected).items():
        np.testing.assert_array_equal(weights(model)[name], array, err_msg=name)


def make_step(model, learning_rate=1e-4, trainable="attention"):
    """Return the human head's training step and its optimiser."""
    optimizer = train_step.make_optimizer(model, trainable, learning_rate)
    step = train_step.make_train_step(model, optimizer, head="human", trainable=trainable)
    return step, optimizer


def random_sequence(batch=1):
    return tf.one_hot(np.random.default_rng(0).integers(0, 4, [batch, LENGTH_BP]), 4)


def test_train_alternates_heads_and_lowers_the_loss(both_heads):
    model = make_model(both_heads)
    history = run_training(model, both_heads, 8, trainable="all", learning_rate=1e-3).history
    assert list(history["head"][:4]) == ["human", "mouse"] * 2
    assert list(history["step"]) == sorted([*range(1, 9)] * 2)
    losses = history.groupby("head")["loss"]
    assert (losses.tail(2).mean() < losses.head(2).mean()).all()


def test_train_step_keeps_other_heads(both_heads):
    model = make_model(both_heads)
    step, _ = make_step(model, 1e-2, "all")
    mouse, human = (model.heads[head].w.numpy() for head in ("mouse", "human"))
    target = tf.ones([1, TARGET_LENGTH, both_heads["human"].num_tracks])
    step(random_sequence(), target, tf.constant([0, 0]))
    np.testing.assert_array_equal(model.heads["mouse"].w, mouse)
    assert (model.heads["human"].w.numpy() != human).all()


@pytest.mark.parametrize(
    ("heads", "options"),
    [
        ("folders", {"trainable": "attention"}),
        slow("both_heads", {"trainable": "all"}),
        slow("folders", {"batch_size": 2, "sequences_at_once": 1}),
    ],
)
def test_train_resumes_to_identical_weights(heads, options, tmp_path, request):
    folders = request.getfixturevalue(heads)
    options = {"seed": 3, **options}
    whole = make_model(folders)
    before = weights(whole)
    expected = run_training(whole, folders, 4, **options).history
    changed = {name for name, array in weights(whole).items() if (array != before[name]).any()}
    assert changed
    assert options.get("trainable") == "all" or all("/attention/" in name for name in changed)
    path = tmp_path / "run.safetensors"
    run_training(make_model(folders), folders, 2, checkpoint=path, **options)
    for _ in range(2):  # resumed, then complete
        resumed = make_model(folders)
        history = run_training(resumed, folders, 4, checkpoint=path, **options).history
        assert_same_weights(resumed, whole)
        np.testing.assert_array_equal(history["loss"], expected["loss"])


@with_one_or_both_heads
def test_train_in_parts_matches_the_whole_batch(heads, monkeypatch, request):
    folders = request.getfixturevalue(heads)
    monkeypatch.setattr(train_step, "CLIP_NORM", 1e-2)  # so that all gradients are clipped
    whole, in_parts = (make_model(folders, "bigbird_relative", dropout_rate=0.0) for _ in range(2))
    expected = run_training(whole, folders, 3, batch_size=4).history
    history = run_training(in_parts, folders, 3, batch_size=4, sequences_at_once=1).history
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)
    for name, array in weights(whole).items():
        np.testing.assert_allclose(weights(in_parts)[name], array, atol=1e-5, err_msg=name)


def test_parts_have_different_dropout_masks(folders, monkeypatch):
    seeds = []

    def record_seed(compute):
        def run(arguments):
            seeds.extend(seed.numpy().tolist() for _, _, seed in arguments)
            return tf.constant(0.0)

        return run

    monkeypatch.setattr(train_step.replicas, "mean_of_each", record_seed)
    run_training(make_model(folders), folders, 2, batch_size=2, sequences_at_once=1)
    assert len(np.unique(seeds, axis=0)) == 4


def test_infinite_loss_keeps_the_last_checkpoint(folders, tmp_path, monkeypatch):
    checkpoint = tmp_path / "run.safetensors"
    run_training(make_model(folders), folders, 2, checkpoint=checkpoint)
    before = checkpoint.read_bytes()
    monkeypatch.setattr(
        train_step,
        "poisson_loss_of_logits",
        lambda target, logits: loss.poisson_loss_of_logits(target, logits) * np.nan,
    )
    with pytest.raises(ValueError, match="step 3, head 'human': the loss is nan, expected a fini"):
        run_training(make_model(folders), folders, 4, checkpoint=checkpoint)
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"learning_rate": 1e-3},
        {"decay_steps": 5},
        {"batch_size": 2},
        {"trainable": "all"},
        {"flanks": "genome"},
    ],
)
def test_describe_run_includes_options(folders, dense_model, change):
    plan = train.TrainingPlan(steps=1, sequence_length_bp=LENGTH_BP)
    description = train.describe_run(dense_model, folders, plan)
    assert description != train.describe_run(dense_model, folders, plan.replace(**change))
    same = plan.replace(steps=2, sequences_at_once=1)
    assert description == train.describe_run(dense_model, folders, same)


def test_describe_run_includes_the_model(folders, dense_model, monkeypatch):
    plan = train.TrainingPlan(steps=1, sequence_length_bp=LENGTH_BP)
    description = train.describe_run(dense_model, folders, plan)
    for model in (make_model(folders, seed=1), make_model(folders, "bigbird")):
        assert description != train.describe_run(model, folders, plan)
    monkeypatch.setattr(train_step, "CLIP_NORM", 0.5)
    assert description != train.describe_run(dense_model, folders, plan)


def test_evaluation_rows_carry_their_step(folders):
    calls = []

    def evaluate(model):
        calls.append(model)
        return pd.DataFrame({"pearson_r": [0.5, 0.25]})

    plan = train.TrainingPlan(steps=5, sequence_length_bp=LENGTH_BP)
    done = train.train(
        make_model(folders), folders, plan, evaluation=train.Evaluation(evaluate, every=2)
    )
    assert list(done.validation["step"]) == sorted([0, 2, 4, 5] * 2)
    assert len(calls) == 4


def test_train_step_clips_each_gradient(folders, monkeypatch):
    monkeypatch.setattr(train_step, "CLIP_NORM", 1e-6)
    model = make_model(folders)
    step, optimizer = make_step(model, 0.0)
    target = tf.fill([1, TARGET_LENGTH, folders["human"].num_tracks], 50.0)
    step(random_sequence(), target, tf.constant([0, 0]))
    norms = [norm(moment) for moment in optimizer.m]  # (1 - beta1) times the gradients' norms
    assert 0.09 * 1e-6 < max(norms) <= 0.1 * 1e-6 * (1 + 1e-5)


@pytest.mark.parametrize(
    ("attention", "trainable"),
    [
        ("bigbird_relative", "attention"),
        slow("bigbird", "all"),
        slow("tiled", "attention"),
        slow("dense", "all"),
        slow("local", "all"),
        slow("performer", "attention"),
        slow("linear", "all"),
        slow("reformer", "attention"),
    ],
)
def test_gpu_program_matches_separate_operations(folders, attention, trainable):
    """Three updates with dropout, on a CPU as on a GPU."""
    sequence = random_sequence(batch=2)
    losses, moved, gradients = [], [], []
    for device_type in ("cpu", "gpu"):
        model = make_model(folders, attention)
        before = weights(model)
        shape = [2, TARGET_LENGTH, model.config.tracks["human"]]
        target = tf.random.stateless_uniform(shape, [1, 2])
        with device.traced_for(device_type):
            step, optimizer = make_step(model, trainable=trainable)
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
        # The gradient of a bias that a batch norm or a softmax cancels is only rounding.
        if name.endswith(("conv/b", "key/b")):
            continue
        assert norm(gradients[1][name] - gradient) <= 0.01 * norm(gradient), name
        # Adam also makes whole steps of the smallest gradients, rounding included, which later
        # steps amplify. A missing or late update would be a third.
        assert norm(moved[1][name] - moved[0][name]) <= 0.1 * norm(moved[0][name]), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": -1}, "steps=-1, expected at least 0"),
        ({"seed": None}, "seed=None, expected a valid integer"),
        ({"learning_rate": float("nan")}, "learning_rate=nan, expected at least 0"),
        ({"trainable": "trunk"}, "trainable='trunk', expected one of attention, all"),
    ],
)
def test_plan_names_impossible_values(change, message):
    with pytest.raises(ValueError, match=message):
        train.TrainingPlan(**({"steps": 1, "sequence_length_bp": LENGTH_BP} | change))


def test_train_names_bad_records(folders, both_heads):
    model = make_model(both_heads)
    with pytest.raises(ValueError, match="no records for head 'mouse', found human"):
        run_training(model, folders, 1)
    with pytest.raises(ValueError, match=r"tracks, expected .* as head"):
        run_training(model, {"human": both_heads["mouse"], "mouse": both_heads["human"]}, 1)


@with_one_or_both_heads
def test_cached_trunk_gives_identical_weights(heads, tmp_path, request):
    """With a batch of one, because tokens are cached record by record."""
    folders = request.getfixturevalue(heads)
    computed, cached = make_model(folders), make_model(folders)
    run_training(computed, folders, 3, learning_rate=1e-3)
    options = {"checkpoint": tmp_path / "run.safetensors", "learning_rate": 1e-3}
    run_training(cached, folders, 3, trunk_cache=tmp_path / "trunk", **options)
    assert_same_weights(cached, computed)
    again = run_training(make_model(folders), folders, 3, trunk_cache=tmp_path / "other", **options)
    assert len(again.history) == 3 * len(folders)
    assert not (tmp_path / "other").exists()  # a finished run needs no tokens


def test_trained_trunk_is_not_cached(folders, tmp_path):
    with pytest.raises(ValueError, match="expected a frozen trunk"):
        run_training(make_model(folders), folders, 1, trunk_cache=tmp_path, trainable="all")
    assert not list(tmp_path.iterdir())


# The memory that TensorFlow's allocator holds after each of five steps. It rounds a size up to the
# free piece that it uses, so a variable that moves changes the sum. And the peak of all steps.
MEMORY_OF_STEPS = """
import json, sys
import tensorflow as tf
from senformer.config import preset
from senformer.model.enformer import Enformer
from senformer.training import train_step
from senformer.training.division import divide_batch

name, bins, num_parts = sys.argv[1], *map(int, sys.argv[2:])
model = Enformer(preset("senformer_tiny", attention=name, target_length=bins))
optimizer = train_step.make_optimizer(model, "attention", 1e-4)
division = divide_batch(num_parts, 1, "attention")
steps = train_step.make_steps(model, optimizer, division, trainable="attention")
batch = tf.zeros([1, 128 * bins, 4]), tf.ones([1, bins, model.config.tracks["human"]])
held = []
for _ in range(5):
    for part in range(num_parts):
        steps["human"](*batch, tf.constant([0, 0]), part).numpy()
    held.append(tf.config.experimental.get_memory_info("CPU:0")["current"])
print(json.dumps([held, tf.config.experimental.get_memory_info("CPU:0")["peak"]]))
"""


def measure_memory(*arguments):
    command = [sys.executable, "-c", MEMORY_OF_STEPS, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["bigbird", "tiled"])
def test_variables_are_updated_in_place(attention):
    held, _ = measure_memory(attention, 128, 1)
    assert len(set(held)) == 1


@pytest.mark.slow
def test_parts_need_the_memory_of_one_part():
    (_, one), (_, four) = (measure_memory("bigbird", 512, num_parts) for num_parts in (1, 4))
    assert four <= 1.05 * one
