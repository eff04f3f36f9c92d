import json

import numpy as np
import pytest

from senformer.config import preset
from senformer.model import published_senformer

SMALL = preset(
    "enformer_tiny", num_transformer_layers=1, target_length=32, tracks={"human": 2, "mouse": 1}
)


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        (np.zeros((1, 4, 14, 2), np.int32), r"of shape \[1, 4, 14, 2\], expected whole numbers"),
        (np.zeros((1, 4, 14, 3)), "is float64 of shape"),
        (np.full((1, 4, 14, 3), 16), "names block 16, expected 0 to 15"),
        (np.full((1, 4, 14, 3), -1), "names block -1, expected 0 to 15"),
    ],
)
def test_random_blocks_that_are_not_the_models_are_refused(drawn, message, tmp_path):
    config = SMALL.replace(attention="bigbird")
    with pytest.raises(ValueError, match=rf"forward\.npz: 'rand_attn' .*{message}"):
        published_senformer._expect_random_blocks(drawn, config, tmp_path / "forward.npz")


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config.json does not exist"):
        published_senformer.load_published_senformer(tmp_path)


def test_a_config_that_lacks_a_size_is_named(tmp_path):
    for name in ("variables.npz", "forward.npz"):
        np.savez(tmp_path / name)
    (tmp_path / "config.json").write_text(json.dumps({"channels": 256}))
    with pytest.raises(ValueError, match=r"config\.json has no 'num_transformer_layers'"):
        published_senformer.load_published_senformer(tmp_path)
