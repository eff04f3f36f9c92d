import dataclasses

import pytest

from senformer.config import PRESETS, ModelConfig, preset


def test_the_published_sizes():
    config = preset("enformer")
    assert config.tower_channels == (768, 896, 1024, 1152, 1280, 1536)
    assert config.stem_channels == 768
    assert config.num_relative_position_features == config.value_size == 192
    assert config.num_tokens(196_608) == 1536
    assert preset("senformer") == config.replace(attention="bigbird")


def test_a_config_survives_json_and_cannot_be_changed():
    config = preset("senformer_tiny", tracks={"human": 3})
    assert ModelConfig.from_dict(config.to_dict()) == config
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.channels = 512


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_takes_the_sequences_it_is_for(name):
    config = preset(name, target_length=8)
    assert config.num_tokens(config.sequence_multiple_bp * 8) >= 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 200}, r"channels=200, expected a multiple of 128, at least 256"),
        ({"channels": 128}, r"channels=128, expected a multiple of 128, at least 256"),
        ({"num_heads": 5}, r"num_heads=5, expected a divisor of channels=1536"),
        ({"attention": "unheard"}, r"attention='unheard', expected one of dense"),
        ({"pooling": "mean"}, r"pooling='mean', expected one of attention, max"),
        ({"random_block_plan": "mine"}, r"random_block_plan='mine', expected one of"),
        (
            {"compute_dtype": "float16"},
            "compute_dtype=.float16., expected one of float32, bfloat16",
        ),
        ({"target_length": 0}, r"target_length=0, expected at least 1"),
        ({"dropout_rate": 1.0}, r"dropout_rate=1.0, expected in \[0, 1\)"),
        ({"dropout_rate": "0.1"}, r"dropout_rate='0.1', expected a number, such as 1.0e-3"),
        ({"dropout_rate": float("nan")}, r"dropout_rate=nan, expected in \[0, 1\)"),
        ({"channels": "256"}, r"channels='256', expected a whole number of at least 1"),
        ({"num_heads": 2.5}, r"num_heads=2.5, expected a whole number"),
        ({"block_size": True}, r"block_size=True, expected a whole number"),
        ({"tracks": {}}, r"tracks={}, expected at least one head"),
        ({"tracks": {"human": 0}}, r"tracks\['human'\]=0, expected at least 1"),
        ({"chanels": 256}, r"unknown model option 'chanels', expected one of channels"),
    ],
)
def test_a_bad_value_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        preset("enformer", **changes)


def test_an_unknown_preset_is_named():
    with pytest.raises(ValueError, match=r"unknown preset 'borzoi', expected one of enformer"):
        preset("borzoi")


@pytest.mark.parametrize(
    ("attention", "length", "message"),
    [
        ("dense", 196_609, "must be a multiple of 128 bp for dense"),
        ("bigbird", 128 * 1537, "must be a multiple of 8192 bp for bigbird"),
        ("dense", 128 * 895, "895 tokens, expected at least 896"),
    ],
)
def test_a_length_that_does_not_fit_is_named(attention, length, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(attention=attention).num_tokens(length)
