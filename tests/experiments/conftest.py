"""Share records and simulated promoters among the tests of the experiments."""

import pytest

from senformer.data import record_folders
from senformer.data.simulation import simulate


@pytest.fixture(scope="session")
def human(small_data):
    """Return the human records of `small_data`."""
    return record_folders.open_folders(small_data)["human"]


@pytest.fixture(scope="session")
def flanked_data(tmp_path_factory):
    """Return a folder of records of 16,384 bp with 64 bins, and a genome for longer inputs."""
    return simulate.write_dataset(
        tmp_path_factory.mktemp("simulated") / "flanked",
        sequence_length_bp=16_384,
        target_length=64,
        num_sequences={"human": {"train": 3, "valid": 1, "test": 10}},
        flank_bp=8_192,
    )


@pytest.fixture(scope="session")
def records_of_promoters(tmp_path_factory):
    """Return enough test records for statistics over promoters."""
    folder = simulate.write_dataset(
        tmp_path_factory.mktemp("simulated") / "promoters",
        num_sequences={"human": {"train": 1, "valid": 1, "test": 100}},
    )
    return record_folders.open_folders(folder)["human"]


@pytest.fixture(scope="session")
def promoters(records_of_promoters):
    """Return the promoters within the central 192 bins of these records."""
    from senformer.experiments.receptive_field.enhancer_distance import PromotersOfSplit

    return PromotersOfSplit(records_of_promoters, "test", 192)
