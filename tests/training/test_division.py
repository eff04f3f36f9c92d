import pytest

from senformer.model.compute import replicas
from senformer.training.division import Division


def on(num_replicas, monkeypatch):
    monkeypatch.setattr(replicas, "num_replicas", lambda: num_replicas)


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
def test_every_example_is_taken_once_and_what_lies_together_stays_together(
    monkeypatch, num_replicas, at_once, expected
):
    on(num_replicas, monkeypatch)
    division = Division.of(12, at_once, "attention")
    assert division == expected
    assert division.sequences_per_part * division.num_parts == 12
    firsts = [
        division.first_example(part, replica)
        for part in range(division.num_parts)
        for replica in range(num_replicas)
    ]
    assert firsts == list(range(0, 12, division.sequences_at_once))


@pytest.mark.parametrize(
    ("num_replicas", "batch_size", "at_once", "trainable", "message"),
    [
        (2, 5, None, "attention", "batch_size=5 on 2 devices, expected a multiple of 2"),
        (2, 8, 3, "attention", "sequences_at_once=3, expected a divisor of the 4 sequences"),
        (1, 4, 2, "all", "sequences_at_once=2 with trainable='all': batch norms would take their "),
    ],
)
def test_what_cannot_be_divided_is_refused_by_name(
    monkeypatch, num_replicas, batch_size, at_once, trainable, message
):
    on(num_replicas, monkeypatch)
    with pytest.raises(ValueError, match=message):
        Division.of(batch_size, at_once, trainable)


def test_batch_norms_may_be_trained_where_a_device_holds_its_share(monkeypatch):
    on(4, monkeypatch)
    assert Division.of(4, 2, "all").num_parts == 1
