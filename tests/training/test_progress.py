import numpy as np
import pytest
from full_disk import largest_file

from senformer.config import preset
from senformer.model import checkpoints
from senformer.model.enformer import Enformer
from senformer.storage import atomic_files
from senformer.training import progress, train_step

RUN = {"seed": 0, "records": {"human": "ab"}, "model": {"attention": "dense"}}


def make(seed=0):
    config = preset("enformer_tiny", num_transformer_layers=1, tracks={"human": 3}, target_length=8)
    model = Enformer(config, seed=seed)
    return model, train_step.make_optimizer(model, "attention", 1e-3)


def resume(path, run=RUN, steps=4):
    model, optimizer = make()
    return progress.begin_or_resume(model, optimizer, path, run, steps), model, optimizer


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Return a checkpoint in the middle of a run, its model and its progress."""
    path = tmp_path_factory.mktemp("run") / "run.safetensors"
    model, optimizer = make(seed=1)
    for moment in (*optimizer.m, *optimizer.v):
        moment.assign(moment + 0.5)
    optimizer.step.assign(2)
    reached = progress.Progress(RUN, 2, [{"step": 1, "loss": 0.1}], [{"pearson_r": 0.3}], [0])
    progress.save(model, optimizer, path, reached)
    return path, model, reached


@pytest.fixture
def copy(stored, tmp_path):
    """Return a copy of the checkpoint that a test may change."""
    path = tmp_path / "run.safetensors"
    path.write_bytes(stored[0].read_bytes())
    return path


def test_resume_restores_weights_and_moments(stored):
    path, model, reached = stored
    found, resumed, optimizer = resume(path)
    assert found == reached
    for (name, array), (_, expected) in zip(
        checkpoints.named_arrays(resumed), checkpoints.named_arrays(model), strict=True
    ):
        np.testing.assert_array_equal(array, expected, err_msg=name)
    assert all((moment.numpy() == 0.5).all() for moment in (*optimizer.m, *optimizer.v))
    assert int(optimizer.step) == 2


@pytest.mark.parametrize("place", [0, 100, -1])
def test_resume_rejects_damaged_checkpoints(copy, place):
    content = bytearray(copy.read_bytes())
    content[place] ^= 1
    copy.write_bytes(content)
    model, optimizer = make()
    before = dict(checkpoints.named_arrays(model))
    with pytest.raises(ValueError, match=r"run\.safetensors: "):
        progress.begin_or_resume(model, optimizer, copy, RUN, 4)
    for name, array in checkpoints.named_arrays(model):
        np.testing.assert_array_equal(array, before[name], err_msg=name)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ({**RUN, "records": {"human": "cd"}}, r"records\.human=ab, not records\.human=cd$"),
        ({**RUN, "schedule": "linear"}, r"schedule=None, not schedule=linear$"),
        (
            {"seed": 1, "records": RUN["records"]},
            r"seed=0, not seed=1; model\.attention=dense, not model\.attention=None$",
        ),
    ],
)
def test_resume_names_differences_of_runs(stored, run, message):
    with pytest.raises(ValueError, match=r"run\.safetensors was trained with " + message):
        resume(stored[0], run)


def test_full_disk_keeps_the_last_checkpoint(stored, copy):
    reached, model, optimizer = resume(copy)
    with largest_file(100_000), pytest.raises(OSError, match=rf"{copy}: not written"):
        progress.save(model, optimizer, copy, reached)
    assert copy.read_bytes() == stored[0].read_bytes()
    assert list(copy.parent.iterdir()) == [copy]


def test_resume_removes_unfinished_files(copy):
    unfinished = copy.parent / atomic_files.UNFINISHED
    unfinished.mkdir()
    (unfinished / ".tmpR3odRp").touch()  # safetensors writes here first
    resume(copy)
    assert list(copy.parent.iterdir()) == [copy]


def test_resume_rejects_other_checkpoints(stored, tmp_path):
    with pytest.raises(ValueError, match=r"run.safetensors has 2 steps, expected at most 1"):
        resume(stored[0], steps=1)
    path = tmp_path / "weights.safetensors"
    checkpoints.save(make()[0], path)
    with pytest.raises(ValueError, match=r"weights.safetensors holds only weights"):
        resume(path)


def test_begin_checks_room_for_the_checkpoint(tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(atomic_files, "check_free_space", lambda path, size: sizes.append(size))
    path = tmp_path / "run.safetensors"
    reached, model, optimizer = resume(path)
    progress.save(model, optimizer, path, reached)
    at_begin, written = sizes
    assert 0 < written - at_begin < 1000  # the size of the progress
