import pytest

from senformer.config import PRESETS, ModelConfig, preset


def test_presets_have_published_sizes():
    config = preset("enformer")
    assert config.tower_channels == (768, 896, 1024, 1152, 1280, 1536)
    assert config.stem_channels == 768
    assert config.num_relative_position_features == config.value_size == 192
    assert config.num_tokens(196_608) == 1536
    assert preset("senformer") == config.replace(attention="bigbird")


def test_config_survives_json_and_is_frozen():
    config = preset("senformer_tiny", tracks={"human": 3})
    assert ModelConfig(**config.model_dump()) == config
    with pytest.raises(ValueError, match="frozen"):
        config.channels = 512


@pytest.mark.parametrize("name", PRESETS)
def test_presets_accept_short_sequences(name):
    config = preset(name, target_length=8)
    assert config.num_tokens(config.sequence_multiple_bp * 8) >= 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 300}, r"channels=300, expected a multiple of 128"),
        ({"channels": 128}, r"channels=128, expected at least 256"),
        ({"channels": "256"}, r"channels='256', expected a valid integer"),
        ({"num_heads": 5}, r"num_heads=5, expected a divisor of channels=1536"),
        ({"num_heads": 2.5}, r"num_heads=2.5, expected a valid integer"),
        ({"attention": "unheard"}, r"attention='unheard', expected one of dense"),
        ({"pooling": "mean"}, r"pooling='mean', expected one of attention, max"),
        ({"target_length": 0}, r"target_length=0, expected at least 1"),
        ({"dropout_rate": 1.0}, r"dropout_rate=1.0, expected less than 1"),
        ({"dropout_rate": float("nan")}, r"dropout_rate=nan, expected "),
        ({"block_size": True}, r"block_size=True, expected a valid integer"),
        ({"tracks": {}}, r"tracks=\{\}, expected .* at least 1 item"),
        ({"tracks": {"human": 0}}, r"tracks.human=0, expected at least 1"),
        ({"chanels": 256}, r"unknown option 'chanels', expected one of channels"),
    ],
)
def test_config_names_bad_values(changes, message):
    with pytest.raises(ValueError, match=f"^{message}.*$"):
        preset("enformer", **changes)


def test_config_reports_one_line_per_value():
    with pytest.raises(ValueError) as error:
        preset("enformer", channels=200, block_size=0)
    assert [line.partition("=")[0] for line in str(error.value).splitlines()] == [
        "channels",
        "block_size",
    ]


def test_preset_names_unknown_preset():
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
def test_num_tokens_names_bad_length(attention, length, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(attention=attention).num_tokens(length)
