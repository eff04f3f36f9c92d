"""A card is a file: what it lacks is named, and what it says agrees with itself."""

import re
import shutil

import pytest

from senformer.experiments.compiling import cards


@pytest.mark.parametrize("name", cards.names())
def test_what_a_reader_sees_is_what_the_compiler_is_told(name):
    card = cards.load(name)
    told = dict(re.findall(r"(\w+): (\d+)", card.target))
    assert card.memory_gb == pytest.approx(int(told["device_memory_size"]) / 1e9, abs=0.01)
    assert card.bandwidth_gb_per_second == pytest.approx(int(told["memory_bandwidth"]) / 1e9, 1e-3)
    assert card.source


def test_float32_is_multiplied_by_the_units_that_a_card_has_for_it():
    rates = {
        name: [cards.product_tflops(cards.load(name), kind) for kind in ("float32", "bfloat16")]
        for name in ("rtx6000", "a100")
    }
    assert rates == {"rtx6000": [16.3, 16.3], "a100": [156.0, 312.0]}


def test_another_card_is_one_file_more(tmp_path, monkeypatch):
    shutil.copy(cards.FOLDER / "a100.toml", tmp_path / "mine.toml")
    assert cards.load(str(tmp_path / "mine.toml")).name == "mine"
    monkeypatch.setattr(cards, "FOLDER", tmp_path)
    assert cards.names() == ["mine"]
    assert cards.load("mine").memory_gb == 42.33


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("memory_gb", "memory", "unknown 'memory', expected label, memory_gb"),
        ("memory_gb = 42.33", "", "no 'memory_gb', expected label, memory_gb"),
        ("42.33", "-1", "memory_gb=-1, expected a float that says something"),
        ("42.33", "much", "not a description of a card"),
        ("{ float32", "{ float16", "expected a dict"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, old, new, message):
    path = tmp_path / "mine.toml"
    path.write_text((cards.FOLDER / "a100.toml").read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        cards.load(str(path))
    assert str(path) in str(error.value)


def test_a_card_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(ValueError, match="device='k80', expected one of a100, a6000, h100"):
        cards.load("k80")
