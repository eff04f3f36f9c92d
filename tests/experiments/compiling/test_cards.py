"""Descriptions of cards are consistent, and errors in them are named."""

import re
import shutil

import pytest

from senformer.experiments.compiling import cards


@pytest.mark.parametrize("name", cards.names())
def test_card_agrees_with_its_compiler_target(name):
    card = cards.load_card(name)
    target = dict(re.findall(r"(\w+): (\d+)", card.target))
    bandwidth = int(target["memory_bandwidth"]) / 1e9
    assert card.memory_gb == pytest.approx(int(target["device_memory_size"]) / 1e9, abs=0.01)
    assert card.bandwidth_gb_per_second == pytest.approx(bandwidth, 1e-3)


@pytest.mark.parametrize(("name", "tflops"), [("rtx6000", [16.3, 16.3]), ("a100", [156.0, 312.0])])
def test_product_tflops_use_special_units(name, tflops):
    card = cards.load_card(name)
    assert [cards.product_tflops(card, kind) for kind in ("float32", "bfloat16")] == tflops


def test_load_card_reads_a_file(tmp_path, monkeypatch):
    shutil.copy(cards.FOLDER / "a100.toml", tmp_path / "mine.toml")
    assert cards.load_card(str(tmp_path / "mine.toml")).name == "mine"
    monkeypatch.setattr(cards, "FOLDER", tmp_path)
    assert cards.names() == ["mine"]
    assert cards.load_card("mine").memory_gb == 42.33


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("memory_gb = 42.33", "", "memory_gb is missing"),
        ("label", "title", "label is missing"),
        (
            'label = "',
            'title = ""\nlabel = "',
            "unknown option 'title', expected one of name",
        ),
        ("42.33", "-1", "memory_gb=-1, expected greater than 0"),
        ("42.33", "much", "not a description of a card"),
        ("{ float32", "{ float16", "expected a rate for float32"),
    ],
)
def test_load_card_names_an_invalid_field(tmp_path, old, new, message):
    path = tmp_path / "mine.toml"
    path.write_text((cards.FOLDER / "a100.toml").read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        cards.load_card(str(path))
    assert str(path) in str(error.value)


def test_load_card_lists_the_known_cards():
    with pytest.raises(ValueError, match="device='k80', expected one of a100, a6000, h100"):
        cards.load_card("k80")
