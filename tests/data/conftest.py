from pathlib import Path

import pytest
from small_records import write_basenji2

from senformer.data import opening


@pytest.fixture
def basenji2(tmp_path):
    """Ten records of two splits, cut from a genome; bin and record can be told from the values."""
    return write_basenji2(tmp_path / "data")


@pytest.fixture(scope="session")
def real_records():
    """Two real records, a human and a mouse one; `README.md` beside them says whose."""
    return opening.open_folders(Path(__file__).with_name("records"))


@pytest.fixture(scope="session")
def all_real_records(shared):
    return opening.open_folders(shared / "data/borzoi_tiny")
