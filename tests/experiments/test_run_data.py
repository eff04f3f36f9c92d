import pytest

from senformer.data import simulate
from senformer.experiments import run_data


@pytest.fixture(scope="module")
def folders(small_data):
    return run_data.open_data(small_data, "unused")


def test_simulated_records_have_ceilings_and_distal_ones_matter_to_cage(folders):
    ceilings = run_data.ceilings_by_track_type(folders["human"]).set_index("track_type")
    assert ceilings.loc["CAGE", "pearson_r"] > ceilings.loc["CAGE", "pearson_r_local"]
    assert ceilings.loc["DNase/ATAC", "pearson_r"] == ceilings.loc["DNase/ATAC", "pearson_r_local"]


def test_the_genome_is_found_beside_the_records(folders, shared):
    assert run_data.genome_of(folders["human"]).name == simulate.GENOME_FILE
    real = run_data.open_data(shared / "data" / "borzoi_tiny", "unused")
    assert run_data.genome_of(real["human"]) is None


def test_data_are_named_by_their_folder():
    assert run_data.name_of_data("") == "simulated"
    assert run_data.name_of_data("../somewhere/basenji2/") == "basenji2"
