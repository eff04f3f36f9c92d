"""The Long-Range Arena's table: whole, and beside the full transformer at each length."""

from __future__ import annotations

import pytest

from senformer.study import published_arena


@pytest.fixture(scope="module")
def table():
    return published_arena.read_long_range_arena()


def test_nine_models_stand_at_four_lengths(table):
    cells = table.pivot(index="model", columns="tokens", values=["steps_per_second"])
    assert cells.shape == (9, 4)
    assert table.notna().all(axis=None)
    assert "Tay et al. 2020" in table.attrs["source"]


def test_ratios_are_those_of_the_paper(table):
    speed = table.pivot(index="model", columns="tokens", values="speed_over_transformer").round(1)
    assert speed.loc["BigBird"].tolist() == [0.9, 0.8, 1.2, 1.1]
    assert speed.loc["Performer"].tolist() == [1.2, 1.9, 3.8, 5.7]
    assert speed.loc["Reformer"].tolist() == [0.5, 0.4, 0.7, 0.8]
    assert speed.loc["Transformer"].tolist() == [1, 1, 1, 1]
    memory = table.pivot(index="model", columns="tokens", values="memory_over_transformer")
    assert memory.loc["BigBird", 4000] == pytest.approx(2.88 / 9.48)
    assert memory.loc["Linformer", 4000] == pytest.approx(0.99 / 9.48)


def test_a_length_without_the_full_transformer_is_named(tmp_path):
    path = tmp_path / "arena.csv"
    path.write_text("model,tokens,steps_per_second,peak_memory_gb\nBigBird,1000,7.4,0.77\n")
    with pytest.raises(ValueError, match=r"arena\.csv: no model 'Transformer' at 1,000 tokens"):
        published_arena.read_long_range_arena(path)
