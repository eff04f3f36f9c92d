import concurrent.futures
import functools

from senformer.data.simulation import simulate
from senformer.experiments import run_data


def test_ceilings_depend_on_distance_for_cage(human):
    ceilings = run_data.ceilings_by_track_type(human).set_index("track_type")
    assert ceilings.loc["CAGE", "pearson_r"] > ceilings.loc["CAGE", "pearson_r_local"]
    assert ceilings.loc["DNase/ATAC", "pearson_r"] == ceilings.loc["DNase/ATAC", "pearson_r_local"]


def test_genome_of_finds_fasta(human, real_data):
    assert run_data.genome_of(human).name == simulate.GENOME_FILE
    real = run_data.open_data(real_data, "unused")
    assert run_data.genome_of(real["human"]) is None


def test_open_data_simulates_once(tmp_path, monkeypatch):
    one = {"train": 1, "valid": 1, "test": 1}
    small = {"sequence_length_bp": 10_240, "target_length": 64}
    write = functools.partial(
        simulate.write_dataset, num_sequences={"human": one, "mouse": one}, **small
    )
    monkeypatch.setattr(simulate, "write_dataset", write)
    (tmp_path / ".simulated_3.unfinished/complete/human").mkdir(parents=True)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: run_data.open_data("", tmp_path, seed=3), range(2)))
    assert [path.name for path in tmp_path.iterdir()] == ["simulated_3"]
    assert both[0]["human"].path == both[1]["human"].path == tmp_path / "simulated_3/human"


def test_name_of_data_is_folder():
    assert run_data.name_of_data("") == "simulated"
    assert run_data.name_of_data("../somewhere/basenji2/") == "basenji2"
