from pathlib import Path

import pytest
from small_records import write_basenji2

from senformer.data import record_folders

REAL_RECORDS = Path(__file__).with_name("borzoi_tiny")


@pytest.fixture
def basenji2(tmp_path):
    """Write ten records, cut from a genome; the values name the record and the bin."""
    return write_basenji2(tmp_path / "data")


@pytest.fixture
def human(basenji2):
    return record_folders.open_folders(basenji2)["human"]


@pytest.fixture(scope="session")
def real_records():
    """Open real human and mouse records; their `README.md` states the source."""
    return record_folders.open_folders(REAL_RECORDS)
