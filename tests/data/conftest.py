import pytest
from small_records import write_basenji2

from senformer.data import record_folders


@pytest.fixture
def basenji2(tmp_path):
    """Ten records of two splits, cut from a genome; bin and record can be told from the values."""
    return write_basenji2(tmp_path / "data")


@pytest.fixture(scope="session")
def real_records(real_data):
    """Open the real human and mouse records that the repository ships."""
    return record_folders.open_folders(real_data)
