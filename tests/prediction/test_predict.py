import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time

import counting_models
import numpy as np
import pandas as pd
import pyBigWig
import pytest

from senformer.config import preset
from senformer.model import checkpoints
from senformer.model.enformer import Enformer
from senformer.prediction import coverage_files, parts
from senformer.prediction import predict as prediction
from senformer.prediction.earlier_runs import DESCRIPTION_FILE
from senformer.prediction.predict import PredictionPlan

LENGTHS_BP = {"chr1": 20_000, "chr10": 3_000, "chr2": 9_000, "chr3": 5_000}
REGIONS = "chr2\t8900\t9000\nchr1\t0\t300\nchr1\t5000\t9000\nchr10\t128\t2900\n"
BINS = {"chr1": [*range(3), *range(39, 71)], "chr10": [*range(1, 23)], "chr2": [69, 70]}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "regions.bed").write_text(REGIONS)
    return PredictionPlan(
        model=counting_models.write_model(folder / "model"),
        fasta=counting_models.write_genome(folder / "genome.fa", LENGTHS_BP),
        regions=folder / "regions.bed",
        targets=counting_models.write_targets(folder / "targets.txt"),
        tracks=["all"],
    )


def predict(asked, out, **changes):
    said = []
    prediction.predict(dataclasses.replace(asked, **changes), out, say=said.append)
    return said


def counts(fasta, letter):
    """How often a letter stands in each wanted bin, in the order of chromosomes and bins."""
    found = []
    for chromosome, bins in BINS.items():
        letters = counting_models.letters_of(fasta, chromosome)
        found += [letters[128 * i : 128 * (i + 1)].count(letter) for i in bins]
    return np.array(found, float)


def read_bigwig(path):
    """Chromosome, start, end and value of each interval, by a reader that is not ours."""
    with pyBigWig.open(str(path)) as file:
        return [
            (chromosome, *interval)
            for chromosome in file.chroms()
            for interval in file.intervals(chromosome) or ()
        ]


def bytes_of(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_another_reader_finds_each_bin_in_its_place_with_what_was_predicted(inputs, tmp_path):
    predict(inputs, tmp_path / "out", tracks=["CAGE"])
    files = {"A.bw", "C.bw", "G.bw", "T.bw", DESCRIPTION_FILE}
    assert {file.name for file in (tmp_path / "out").iterdir()} == files
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
    places = [
        (chromosome, 128 * i, min(128 * (i + 1), LENGTHS_BP[chromosome]))
        for chromosome, bins in BINS.items()
        for i in bins
    ]
    for letter in "ACGT":
        intervals = read_bigwig(tmp_path / "out" / f"{letter}.bw")
        assert [interval[:3] for interval in intervals] == places
        values = [interval[3] for interval in intervals]
        np.testing.assert_array_equal(values, counts(inputs.fasta, letter))


def test_a_table_holds_the_same_as_the_bigwigs(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(coverage_files, "_MOST_ROWS_IN_A_GROUP", 20)  # several groups
    predict(inputs, tmp_path / "out", averaging="shifts")
    predict(inputs, tmp_path / "out.parquet", averaging="shifts")
    table = pd.read_parquet(tmp_path / "out.parquet")
    assert list(table) == ["chrom", "start", "end", *counting_models.TRACKS]
    for name in counting_models.TRACKS:
        rows = table[["chrom", "start", "end", name]].itertuples(index=False, name=None)
        assert list(rows) == read_bigwig(tmp_path / "out" / f"{name}.bw")


def test_both_strands_are_turned_back_to_the_input_and_to_its_tracks(inputs, tmp_path):
    """The other strand has an A wherever this one has a T."""
    predict(inputs, tmp_path / "unstranded.parquet", averaging="strands", batch_size=3)
    table = pd.read_parquet(tmp_path / "unstranded.parquet")
    of_a, of_t = counts(inputs.fasta, "A"), counts(inputs.fasta, "T")
    np.testing.assert_allclose(table["A"], (of_a + of_t) / 2)
    np.testing.assert_allclose(table["place"], 3.5)
    targets = counting_models.write_targets(tmp_path / "targets.txt", with_strands=True)
    stranded = {"targets": targets, "averaging": "strands", "tracks": ["A", "T"]}
    predict(inputs, tmp_path / "stranded.parquet", **stranded)
    table = pd.read_parquet(tmp_path / "stranded.parquet")
    np.testing.assert_allclose(table["A"], of_a)
    np.testing.assert_allclose(table["T"], of_t)


def test_bins_come_from_the_middle_of_windows_or_are_averaged(inputs, tmp_path):
    def middle_of_run(name, **changes):
        predict(inputs, tmp_path / f"{name}.parquet", tracks=["place"], **changes)
        table = pd.read_parquet(tmp_path / f"{name}.parquet")
        run = table[(table["chrom"] == "chr1") & (table["start"] > 4_000)]
        return run["place"].to_numpy()[8:-8]

    assert set(middle_of_run("tiled", step_bins=2)) == {3.0, 4.0}
    assert set(middle_of_run("apart")) == set(range(8))
    assert set(middle_of_run("averaged", step_bins=2, overlaps="averaged")) == {3.0, 4.0}
    assert set(middle_of_run("of two", step_bins=4, overlaps="averaged")) == {2.0, 3.0, 4.0, 5.0}


def test_beyond_a_chromosomes_ends_a_window_holds_n(inputs, tmp_path):
    predict(inputs, tmp_path / "out.parquet", tracks=["context"])
    table = pd.read_parquet(tmp_path / "out.parquet")
    first = table[(table["chrom"] == "chr1") & (table["start"] == 0)]["context"].item()
    # Three bins are wanted, in the middle of eight: the window begins 2 + 4 bins before chr1 does.
    length_bp = counting_models.SEQUENCE_LENGTH_BP - 6 * 128
    seen = counting_models.letters_of(inputs.fasta, "chr1")[:length_bp]
    assert first == len(seen) - seen.count("N")


def test_a_file_of_this_package_predicts_what_its_model_does(inputs, tmp_path, monkeypatch):
    from senformer.model import enformer

    monkeypatch.setattr(enformer, "is_faster", lambda dtype: False)  # XLA takes its time
    config = preset("enformer_tiny", num_transformer_layers=1, target_length=8, tracks={"human": 6})
    model = Enformer(config, seed=1)
    checkpoints.save(model, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"several lengths, expected a length to be given"):
        predict(inputs, tmp_path / "out.parquet", model=tmp_path / "model.safetensors")
    predict(
        inputs,
        tmp_path / "out.parquet",
        model=tmp_path / "model.safetensors",
        sequence_length_bp=2048,
    )
    table = pd.read_parquet(tmp_path / "out.parquet")
    from senformer.data.genome import fetch_one_hot

    # The last window of chr2 has its two bins in the middle of eight.
    start = (69 - 3 - 4) * 128
    sequence = fetch_one_hot(inputs.fasta, "chr2", start, start + 2048)[np.newaxis]
    expected = model.predict_on_batch(sequence)["human"][0, 3:5].numpy()
    np.testing.assert_allclose(table.iloc[-2:, 3:], expected, rtol=1e-5)


# ------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "none"}, r"none: no such model, expected a SavedModel's folder"),
        ({"fasta": "none.fa"}, r"none\.fa: no such FASTA"),
        ({"regions": "none.bed"}, r"none\.bed: no such file, expected regions, in BED"),
        ({"targets": "none.txt"}, r"none\.txt: no such file, expected a targets table"),
        ({"tracks": ["cntext"]}, r"tracks='cntext', expected .* 'context'"),
        ({"organism": "mouse"}, r"organism='mouse', expected a head of .*model: human"),
        ({"averaging": "both"}, r"averaging='both', expected one of none, strands, shifts"),
        ({"overlaps": "both"}, r"overlaps='both', expected one of tiled, averaged"),
        ({"step_bins": 9}, r"step_bins=9, expected at most the 8 bins"),
        ({"batch_size": 0}, r"batch_size=0, expected an integer of at least 1"),
        ({"sequence_length_bp": 4096}, r"sequence_length_bp=4096, expected the 2048 that"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_written(
    changes, message, inputs, tmp_path, monkeypatch
):
    monkeypatch.setattr(parts, "append", None)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        predict(inputs, tmp_path / "out", **changes)
    assert not list(tmp_path.iterdir())


def test_a_table_of_other_tracks_is_refused(inputs, tmp_path):
    lines = inputs.targets.read_text().splitlines(keepends=True)
    (tmp_path / "targets.txt").write_text("".join(lines[:-1]))
    with pytest.raises(ValueError, match=r"targets\.txt: 5 tracks, expected the 6 that .*model"):
        predict(inputs, tmp_path / "out", targets=tmp_path / "targets.txt")


def test_the_room_that_it_takes_is_said_and_must_be_there(inputs, tmp_path, monkeypatch):
    [line] = predict(inputs, tmp_path / "out")
    assert line.startswith("9 windows of 2,048 bp for 59 bins, 6 tracks: about 2.83e-06 GB, and ")
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match=r"new\.parts: 4\.\d+e-06 GB to write, .* 1e-06 GB are free"):
        predict(inputs, tmp_path / "new")


def test_a_prediction_that_is_not_finite_is_named(inputs, tmp_path):
    model = counting_models.write_model(tmp_path / "model", is_finite=False)
    with pytest.raises(ValueError, match=r"not finite for track context at chr1:0-384"):
        predict(inputs, tmp_path / "out", model=model)


# --------------------------------------------------------------------- stopped, and taken up again


def test_a_call_that_is_done_says_so_and_another_one_is_refused(inputs, tmp_path):
    for out in (tmp_path / "out", tmp_path / "out.parquet"):
        predict(inputs, out)
        assert predict(inputs, out) == [f"{out}: these predictions are there already"]
        with pytest.raises(FileExistsError, match=r"differs in averaging, step_bins; expected a"):
            predict(inputs, out, averaging="shifts", step_bins=2)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(FileExistsError, match=r"mine: exists and is no earlier prediction"):
        predict(inputs, tmp_path / "mine")
    (tmp_path / "mine.parquet").write_text("a table")
    with pytest.raises(FileExistsError, match=r"mine\.parquet: exists and is no earlier"):
        predict(inputs, tmp_path / "mine.parquet")


@pytest.mark.parametrize("ending", ["", ".parquet"])
@pytest.mark.parametrize("where", ["predicting", "writing"])
def test_a_call_that_failed_is_taken_up(where, ending, inputs, tmp_path, monkeypatch):
    changes = {"overlaps": "averaged", "step_bins": 3, "batch_size": 2}
    predict(inputs, tmp_path / f"whole{ending}", **changes)
    calls = []

    def failing(function, after):
        def call(*arguments):
            calls.append(1)
            if len(calls) > after:
                raise KeyboardInterrupt
            return function(*arguments)

        return call

    with monkeypatch.context() as patch:
        if where == "predicting":
            patch.setattr(parts, "append", failing(parts.append, 5))
        else:
            for name, after in (("write_bigwig", 3), ("write_parquet", 0)):
                function = getattr(coverage_files, name)
                patch.setattr(coverage_files, name, failing(function, after))
        with pytest.raises(KeyboardInterrupt):
            predict(inputs, tmp_path / f"stopped{ending}", **changes)
    with pytest.raises(FileExistsError, match=r"stopped.*\.parts: of another .* in averaging"):
        predict(inputs, tmp_path / f"stopped{ending}", **changes, averaging="shifts")
    predict(inputs, tmp_path / f"stopped{ending}", **changes)
    whole, stopped = tmp_path / f"whole{ending}", tmp_path / f"stopped{ending}"
    if ending:
        assert stopped.read_bytes() == whole.read_bytes()
    else:
        assert bytes_of(stopped) == bytes_of(whole)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([whole.name, stopped.name])


# The peak of a process that predicts, in KiB; Linux counts it anew for each program.
PEAK = """
import re
import sys
from pathlib import Path

from senformer.prediction import predict

model, fasta, regions, targets, out = sys.argv[1:]
asked = predict.PredictionPlan(
    model=model, fasta=fasta, regions=regions, targets=targets, tracks=["all"], step_bins=1
)
predict.predict(asked, out)
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["", ".parquet"])
def test_memory_does_not_grow_with_the_regions(ending, inputs, tmp_path):
    fasta = counting_models.write_genome(tmp_path / "genome.fa", {"chr1": 1_000_000})
    peaks_kib = []
    for length_bp in (500_000, 1_000_000):
        regions = tmp_path / f"{length_bp}.bed"
        regions.write_text(f"chr1\t0\t{length_bp}\n")
        files = [inputs.model, fasta, regions, inputs.targets, tmp_path / f"{length_bp}{ending}"]
        arguments = [sys.executable, "-c", PEAK, *map(str, files)]
        done = subprocess.run(arguments, check=True, capture_output=True, text=True)
        peaks_kib.append(int(done.stdout.splitlines()[-1]))
    print(f"{ending or 'bigWig'}: {peaks_kib} KiB")
    assert peaks_kib[1] <= 1.02 * peaks_kib[0]


def command(asked, out):
    names = ("fasta", "regions", "targets")
    options = [part for name in names for part in (f"--{name}", str(getattr(asked, name)))]
    arguments = ["predict", str(asked.model), str(out), *options, "--tracks", "all"]
    return [sys.executable, "-m", "senformer", *arguments, "--step-bins", "1"]


@pytest.mark.slow
def test_a_killed_process_leaves_what_the_same_command_makes_whole(inputs, tmp_path):
    (tmp_path / "regions.bed").write_text("".join(f"{c}\t0\t{n}\n" for c, n in LENGTHS_BP.items()))
    asked = dataclasses.replace(inputs, regions=tmp_path / "regions.bed", step_bins=1)
    predict(asked, tmp_path / "whole")
    values = tmp_path / "out.parts" / "values"
    with subprocess.Popen(
        command(asked, tmp_path / "out"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
    ) as process:
        while process.poll() is None and not (values.exists() and values.stat().st_size > 2_000):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    num_bytes = values.stat().st_size
    assert not (tmp_path / "out").exists(), "it was killed too late"
    predict(asked, tmp_path / "out")
    assert num_bytes > 2_000 and bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")
