import pytest

from senformer.model.compute import replicas
from senformer.training.division import divide_batch


@pytest.mark.parametrize(
    ("num_replicas", "at_once", "expected"),
    [
        (1, None, (1, 12, 1)),
        (1, 3, (1, 3, 4)),
        (3, None, (3, 4, 1)),
        (3, 2, (3, 2, 2)),
        (4, 8, (4, 3, 1)),
    ],
)
def test_divide_batch(monkeypatch, num_replicas, at_once, expected):
    monkeypatch.setattr(replicas, "num_replicas", lambda: num_replicas)
    division = divide_batch(12, at_once, "attention")
    assert division == expected
    assert division.num_shards * division.sequences_at_once == 12


@pytest.mark.parametrize(
    ("num_replicas", "batch_size", "at_once", "trainable", "message"),
    [
        (2, 5, None, "attention", "batch_size=5 on 2 devices, expected a multiple of 2"),
        (2, 8, 3, "attention", "sequences_at_once=3, expected a divisor of 4, the number of seq"),
        (1, 4, 2, "all", "sequences_at_once=2 with trainable='all': the statistics of batch norm"),
    ],
)
def test_divide_batch_names_the_problem(
    monkeypatch, num_replicas, batch_size, at_once, trainable, message
):
    monkeypatch.setattr(replicas, "num_replicas", lambda: num_replicas)
    with pytest.raises(ValueError, match=message):
        divide_batch(batch_size, at_once, trainable)
