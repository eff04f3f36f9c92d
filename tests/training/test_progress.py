import dataclasses
import random

import numpy as np
import pytest
from full_disk import largest_file

from senformer.config import preset
from senformer.model import checkpoints
from senformer.model.enformer import Enformer
from senformer.storage import atomic_files
from senformer.training import progress, train_step

RUN = {"seed": 0, "records": {"human": "ab"}, "model": {"attention": "dense"}}
STEPS = 4


def make(seed=0, trainable="attention"):
    config = preset("enformer_tiny", num_transformer_layers=1, tracks={"human": 3}, target_length=8)
    model = Enformer(config, seed=seed)
    return model, train_step.make_optimizer(model, trainable, 1e-3)


def resume(path, run=RUN, seed=0):
    model, optimizer = make(seed)
    return progress.begin_or_resume(model, optimizer, path, run, STEPS), model, optimizer


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Return a checkpoint in the middle of a run, its model and its progress."""
    path = tmp_path_factory.mktemp("run") / "run.safetensors"
    model, optimizer = make(seed=1)
    for slot in (*optimizer.m, *optimizer.v):
        slot.assign(slot + 0.5)
    optimizer.step.assign(2)
    reached = progress.Progress(RUN, 2, [{"step": 1, "loss": 0.1}], [{"pearson_r": 0.3}], [0])
    progress.save(model, optimizer, path, reached)
    return path, model, reached


def test_resume_restores_progress(stored):
    path, model, reached = stored
    found, resumed, optimizer = resume(path)
    assert found == reached
    for (name, array), (_, expected) in zip(
        checkpoints.named_arrays(resumed), checkpoints.named_arrays(model), strict=True
    ):
        np.testing.assert_array_equal(array, expected, err_msg=name)
    assert all((slot.numpy() == 0.5).all() for slot in (*optimizer.m, *optimizer.v))
    assert int(optimizer.step) == 2


def test_resume_rejects_damaged_checkpoints(stored, tmp_path):
    path = tmp_path / "damaged.safetensors"
    model, optimizer = make()
    before = dict(checkpoints.named_arrays(model))
    for how, content in damaged(stored[0].read_bytes(), random.Random(0)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"damaged.safetensors: ") as refused:
            progress.begin_or_resume(model, optimizer, path, RUN, STEPS)
        assert "\n" not in str(refused.value), how
    for name, array in checkpoints.named_arrays(model):
        np.testing.assert_array_equal(array, before[name], err_msg=name)


def damaged(whole, places):
    """Yield damaged files: flipped bits in header and arrays, truncations, zeros, extra bytes."""
    first_number = 8 + int.from_bytes(whole[:8], "little")
    flipped = [
        *range(8),
        *(places.randrange(8, first_number) for _ in range(20)),
        *(places.randrange(first_number, len(whole)) for _ in range(20)),
        first_number,
        len(whole) - 1,
    ]
    for place in flipped:
        bit = bytes([whole[place] ^ (1 << places.randrange(8))])
        yield f"bit of {place}", whole[:place] + bit + whole[place + 1 :]
    for length in (0, 1, 8, first_number, len(whole) - 1, *places.sample(range(len(whole)), 5)):
        yield f"cut at {length}", whole[:length]
    for _ in range(5):
        start, end = sorted(places.sample(range(first_number, len(whole)), 2))
        yield f"zeros from {start} to {end}", whole[:start] + bytes(end - start) + whole[end:]
    yield "one byte more", whole + b"\0"


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ({**RUN, "seed": 1}, r"seed=0, not seed=1$"),
        ({**RUN, "records": {"human": "cd"}}, r"records\.human=ab, not records\.human=cd$"),
        ({**RUN, "schedule": "linear"}, r"schedule=None, not schedule=linear$"),
        (
            {"seed": 1, "records": RUN["records"]},
            r"seed=0, not seed=1; model\.attention=dense, not model\.attention=None$",
        ),
    ],
)
def test_resume_rejects_other_runs(stored, run, message):
    with pytest.raises(ValueError, match=r"run\.safetensors was trained with " + message):
        resume(stored[0], run)


def test_full_disk_keeps_the_last_checkpoint(stored, tmp_path):
    path = tmp_path / "run.safetensors"
    path.write_bytes(stored[0].read_bytes())
    reached, model, optimizer = resume(path)
    with largest_file(100_000), pytest.raises(OSError, match=rf"{path}: not written") as full:
        progress.save(model, optimizer, path, dataclasses.replace(reached, step=3))
    assert "\n" not in str(full.value)
    assert path.read_bytes() == stored[0].read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def test_resume_removes_unfinished_files(stored, tmp_path):
    path = tmp_path / "run.safetensors"
    path.write_bytes(stored[0].read_bytes())
    unfinished = tmp_path / atomic_files.UNFINISHED
    unfinished.mkdir()
    (unfinished / stored[0].name).write_bytes(stored[0].read_bytes()[:1000])
    (unfinished / ".tmpR3odRp").touch()  # safetensors writes here first
    assert resume(path)[0] == stored[2]
    assert list(tmp_path.iterdir()) == [path]


def test_resume_rejects_weights_alone(tmp_path):
    path = tmp_path / "weights.safetensors"
    checkpoints.save(make()[0], path)
    with pytest.raises(ValueError, match=r"weights.safetensors holds only weights"):
        resume(path)


def test_begin_checks_room_for_the_checkpoint(tmp_path, monkeypatch):
    checked = []
    monkeypatch.setattr(
        atomic_files, "check_free_space", lambda path, size: checked.append((path, size))
    )
    path = tmp_path / "run.safetensors"
    reached, model, optimizer = resume(path)
    progress.save(model, optimizer, path, reached)
    (first, num_bytes), (_, written) = checked
    assert first == path
    text_bytes = written - num_bytes
    assert 0 < text_bytes < 1000  # the progress
    assert dataclasses.asdict(reached)["step"] == 0
