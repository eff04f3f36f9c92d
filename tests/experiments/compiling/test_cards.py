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


VALUES = (
    *("inf", "nan", "-1", "0", "true", '"42"', "[42]", "{ a = 42 }", "1e400", "9" * 400, "much"),
    *("9" * 5000, "2026-01-31", "[" * 100_000),
)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("old", ["42.33", "156.0"], ids=["memory", "rate"])
def test_card_rates_are_finite_positive_numbers(tmp_path, old, value):
    expect_refusal(tmp_path, old, value, "mine.toml: not a description of a card")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("memory_gb = 42.33", "", "memory_gb is missing"),
        ("label", "title", "label is missing"),
        ("label =", 'title = ""\nlabel =', "unknown option 'title', expected one of"),
        ("label =", 'name = "h100"\nlabel =', "unknown option 'name'"),
        ("label =", "self = 1\nlabel =", "unknown option 'self'"),
        ('label = "A100', 'label = "" # "', "label="),
        ("{ float32", "{ float16", "tflops.float16"),
        ("float32 = 19.5,", "", "expected a rate for float32"),
        ("{ float32", "{ int8 = 624.0, float32", "tflops.int8"),
        ("A100", "\0", "not text"),
    ],
)
def test_load_card_names_an_invalid_field(tmp_path, old, new, message):
    expect_refusal(tmp_path, old, new, message)


def expect_refusal(folder, old, new, message):
    path = folder / "mine.toml"
    good = (cards.FOLDER / "a100.toml").read_text()
    assert old in good
    path.write_text(good.replace(old, new, 1))
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        cards.load_card(str(path))
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["k80", "", "../a100", "\0", "/tmp", "missing.toml", "k" * 5000])
def test_load_card_lists_the_known_cards(name):
    with pytest.raises(ValueError, match=r"device=.*, expected one of a100, a6000, h100") as error:
        cards.load_card(name)
    assert len(str(error.value)) < 150
