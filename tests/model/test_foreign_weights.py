import numpy as np
import pytest
from safetensors.numpy import save_file

from senformer.config import preset
from senformer.model import foreign_weights


def test_files_that_are_missing_or_of_another_kind_are_named(tmp_path):
    config = preset("enformer_tiny", target_length=32)
    with pytest.raises(FileNotFoundError, match=r"none.index does not exist, expected a Sonnet"):
        foreign_weights.load_sonnet(tmp_path / "none", config)
    with pytest.raises(FileNotFoundError, match=r"config.json does not exist"):
        foreign_weights.load_published_senformer(tmp_path)
    save_file({"a": np.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other.safetensors has no '"):
        foreign_weights.load_enformer_pytorch(tmp_path / "other.safetensors", config)
