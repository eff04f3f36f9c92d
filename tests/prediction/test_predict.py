import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import counting_models
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyBigWig
import pytest
from full_disk import largest_file

from senformer.config import preset
from senformer.data.genome import fetch_one_hot
from senformer.model import checkpoints, enformer
from senformer.prediction import coverage_files
from senformer.prediction import predict as prediction
from senformer.prediction.coverage_files import METADATA_KEY
from senformer.prediction.predict import PredictionPlan
from senformer.prediction.resume_state import DESCRIPTION_FILE, WindowFile
from senformer.training.identity import digest_values

LENGTHS_BP = {"chr1": 20_000, "chr10": 3_000, "chr2": 9_000, "chr3": 5_000}
REGIONS = "chr2\t8900\t9000\nchr1\t0\t300\nchr1\t5000\t9000\nchr10\t128\t2900\n"
BINS = {"chr1": [*range(3), *range(39, 71)], "chr10": [*range(1, 23)], "chr2": [69, 70]}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "regions.bed").write_text(REGIONS)
    targets = counting_models.write_targets(folder / "targets.txt")
    (folder / "short.txt").write_text("".join(targets.read_text().splitlines(keepends=True)[:-1]))
    return {
        "model": counting_models.write_model(folder / "model"),
        "fasta": counting_models.write_genome(folder / "genome.fa", LENGTHS_BP),
        "regions": folder / "regions.bed",
        "targets": targets,
        "tracks": ["all"],
    }


def predict(inputs, out, **changes):
    lines = []
    prediction.predict(PredictionPlan(**inputs | changes), out, say=lines.append)
    return lines


def predict_table(inputs, path, **changes):
    predict(inputs, path, **changes)
    return pd.read_parquet(path)


def count_letter(fasta, letter):
    """Count a letter in each predicted bin, in the order of chromosomes and bins."""
    texts = {chromosome: counting_models.letters_of(fasta, chromosome) for chromosome in BINS}
    counts = [
        texts[chromosome][128 * i : 128 * (i + 1)].count(letter)
        for chromosome, bins in BINS.items()
        for i in bins
    ]
    return np.array(counts, float)


def read_bigwig(path):
    """Read chromosome, start, end and value of each interval with an independent reader."""
    with pyBigWig.open(str(path)) as file:
        return [
            (chromosome, *interval)
            for chromosome in file.chroms()
            for interval in file.intervals(chromosome) or ()
        ]


def read_bytes(path):
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [(file.name if path.is_dir() else "", file.read_bytes()) for file in files]


def change_targets(inputs, path, **columns):
    """Write the targets table with other columns."""
    table = pd.read_csv(inputs["targets"], sep="\t", index_col=0).assign(**columns)
    table.to_csv(path, sep="\t")
    return inputs | {"targets": path}


# ------------------------------------------------------------------------------------ the values


def test_bigwigs_hold_each_bin_in_its_place(inputs, tmp_path):
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
        intervals = read_bigwig(tmp_path / f"out/{letter}.bw")
        assert [interval[:3] for interval in intervals] == places
        values = [interval[3] for interval in intervals]
        np.testing.assert_array_equal(values, count_letter(inputs["fasta"], letter))


def test_parquet_equals_bigwigs(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(coverage_files, "_MAX_ROWS_PER_GROUP", 20)  # several groups
    predict(inputs, tmp_path / "out", averaging="shifts")
    table = predict_table(inputs, tmp_path / "out.parquet", averaging="shifts")
    assert list(table) == ["chrom", "start", "end", *counting_models.TRACKS]
    for name in counting_models.TRACKS:
        rows = table[["chrom", "start", "end", name]].itertuples(index=False, name=None)
        assert list(rows) == read_bigwig(tmp_path / f"out/{name}.bw")


def test_tracks_never_share_a_file_or_column(inputs, tmp_path):
    expected = predict_table(inputs, tmp_path / "plain.parquet").iloc[:, 3:]
    identifiers = ["E", "E", "E.1", "start", "e", "x" * 300]
    inputs = change_targets(inputs, tmp_path / "targets.txt", identifier=identifiers)
    table = predict_table(inputs, tmp_path / "out.parquet")
    predict(inputs, tmp_path / "out")
    for column, name in zip(expected, table.columns[3:], strict=True):
        assert table[name].tolist() == expected[column].tolist()
        values = [interval[3] for interval in read_bigwig(tmp_path / f"out/{name}.bw")]
        assert values == expected[column].tolist()


def test_strand_averaging_reverses_bins_and_tracks(inputs, tmp_path):
    """The reverse strand has an A for each T of this strand."""
    options = {"averaging": "strands", "batch_size": 3}
    table = predict_table(inputs, tmp_path / "unstranded.parquet", **options)
    num_a, num_t = (count_letter(inputs["fasta"], letter) for letter in "AT")
    np.testing.assert_allclose(table["A"], (num_a + num_t) / 2)
    np.testing.assert_allclose(table["place"], 3.5)
    targets = counting_models.write_targets(tmp_path / "targets.txt", with_strands=True)
    options = {"averaging": "strands", "targets": targets, "tracks": ["A", "T"]}
    table = predict_table(inputs, tmp_path / "stranded.parquet", **options)
    np.testing.assert_allclose(table["A"], num_a)
    np.testing.assert_allclose(table["T"], num_t)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"step_bins": 2}, {3, 4}),
        ({}, set(range(8))),
        ({"step_bins": 2, "overlaps": "averaged"}, {3, 4}),
        ({"step_bins": 4, "overlaps": "averaged"}, {2, 3, 4, 5}),
    ],
)
def test_overlapping_windows_are_combined(inputs, tmp_path, changes, expected):
    table = predict_table(inputs, tmp_path / "out.parquet", tracks=["place"], **changes)
    region = table[(table["chrom"] == "chr1") & (table["start"] > 4_000)]
    assert set(region["place"].to_numpy()[8:-8]) == expected


def test_windows_beyond_a_chromosome_hold_n(inputs, tmp_path):
    table = predict_table(inputs, tmp_path / "out.parquet", tracks=["context"])
    first = table[(table["chrom"] == "chr1") & (table["start"] == 0)]["context"].item()
    # Three bins are kept, in the middle of eight: the window begins 2 + 4 bins before chr1.
    length_bp = counting_models.SEQUENCE_LENGTH_BP - 6 * 128
    seen = counting_models.letters_of(inputs["fasta"], "chr1")[:length_bp]
    assert first == len(seen) - seen.count("N")


def test_a_checkpoint_predicts_like_its_model(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(enformer, "is_faster", lambda dtype: False)  # compiling takes long
    config = preset("enformer_tiny", num_transformer_layers=1, target_length=8, tracks={"human": 6})
    model = enformer.Enformer(config, seed=1)
    path = tmp_path / "model.safetensors"
    checkpoints.save(model, path)
    with pytest.raises(ValueError, match=r"several lengths, expected a length$"):
        predict(inputs, tmp_path / "out.parquet", model=path)
    options = {"model": path, "sequence_length_bp": 2048}
    table = predict_table(inputs, tmp_path / "out.parquet", **options)
    # The last window of chr2 has its two bins in the middle of eight.
    start = (69 - 3 - 4) * 128
    sequence = fetch_one_hot(inputs["fasta"], "chr2", start, start + 2048)[np.newaxis]
    expected = model.predict_on_batch(sequence)["human"][0, 3:5].numpy()
    np.testing.assert_allclose(table.iloc[-2:, 3:], expected, rtol=1e-5)


# ------------------------------------------------------------------------------------ the errors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "none"}, r"none: no such model, expected the folder of a SavedModel"),
        ({"fasta": "none.fa"}, r"none\.fa: no such FASTA"),
        ({"regions": "none.bed"}, r"none\.bed: no such file, expected regions in BED"),
        ({"targets": "none.txt"}, r"none\.txt: no such file, expected a targets table"),
        ({"tracks": ["cntext"]}, r"tracks='cntext', expected .* 'context'"),
        ({"organism": "mouse"}, r"organism='mouse', expected a head of .*model: human"),
        ({"averaging": "both"}, r"averaging='both', expected one of none, strands, shifts"),
        ({"overlaps": "both"}, r"overlaps='both', expected one of tiled, averaged"),
        ({"step_bins": 9}, r"step_bins=9, expected at most the 8 bins"),
        ({"batch_size": 0}, r"batch_size=0, expected at least 1"),
        ({"sequence_length_bp": 4096}, r"sequence_length_bp=4096, expected 2048, the length that"),
        ({"targets": "short.txt"}, r"short\.txt: 5 tracks, expected 6, as .*model predicts for"),
    ],
)
def test_inputs_are_checked_before_writing(changes, message, inputs, tmp_path, monkeypatch):
    monkeypatch.chdir(inputs["targets"].parent)
    monkeypatch.setattr(WindowFile, "append", None)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        predict(inputs, tmp_path / "out", **changes)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (".", r"output '\.': expected the name of a new file or folder"),
        ("x.bw", r"x\.bw: expected the name of a folder for bigWigs, or a file \*\.parquet"),
        ("x.CSV", r"x\.CSV: expected the name of a folder"),
        ("folder.parquet", r"folder\.parquet: exists and is a folder, expected a file"),
        ("folder.Parquet", r"folder\.Parquet: exists and is a folder, expected a file"),
        ("file", r"file: exists and is a file, expected a folder"),
    ],
)
def test_output_is_checked_before_inputs(name, message, inputs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("folder.parquet", "folder.Parquet"):
        (tmp_path / folder).mkdir()
    (tmp_path / "file").touch()
    with pytest.raises((ValueError, FileExistsError), match=message):
        predict(inputs, name, targets="none")


def test_free_space_is_checked(inputs, tmp_path, monkeypatch):
    assert predict(inputs, tmp_path / "out")[-1].startswith(
        "9 windows of 2,048 bp for 59 bins, 6 tracks: about 2.83e-06 GB, and "
    )
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match=r"new\.parts: .*4\.\d+e-06 GB.* 1e-06 GB"):
        predict(inputs, tmp_path / "new")


def test_full_disk_names_the_file(inputs, tmp_path):
    with largest_file(2_000), pytest.raises(OSError) as error:
        predict(inputs, tmp_path / "out", step_bins=1, overlaps="averaged")
    assert (error.value.errno, error.value.filename) == (
        errno.EFBIG,
        str(tmp_path / "out.parts/values"),
    )


def test_infinite_predictions_are_named(inputs, tmp_path):
    model = counting_models.write_model(tmp_path / "model", is_finite=False)
    with pytest.raises(ValueError, match=r"not finite for track context at chr1:0-384"):
        predict(inputs, tmp_path / "out", model=model)


# --------------------------------------------------------------------------------------- resuming


@pytest.mark.parametrize("name", ["out", "out.parquet"])
def test_existing_predictions_are_recognised(name, inputs, tmp_path):
    out = tmp_path / name
    predict(inputs, out)
    assert predict(inputs, out) == [f"{out}: these predictions exist already"]
    with pytest.raises(FileExistsError, match=r"differs in averaging, step_bins; expected a"):
        predict(inputs, out, averaging="shifts", step_bins=2)


@pytest.mark.parametrize(
    ("columns", "averaging", "differing"),
    [
        ({"strand_pair": [3, 2, 1, 0, 4, 5]}, "strands", "strand_pairs"),
        ({"strand_pair": [3, 2, 1, 0, 4, 5]}, "none", None),
        ({"description": "CAGE:other"}, "none", "tracks"),
        ({"identifier": list("CAGTpc")}, "none", "tracks"),
    ],
)
def test_corrected_targets_are_another_run(columns, averaging, differing, inputs, tmp_path):
    predict(inputs, tmp_path / "out", averaging=averaging)
    inputs = change_targets(inputs, tmp_path / "targets.txt", **columns)
    if differing is None:
        assert "exist already" in predict(inputs, tmp_path / "out", averaging=averaging)[0]
        return
    with pytest.raises(FileExistsError, match=rf"which differs in {differing}; expected"):
        predict(inputs, tmp_path / "out", averaging=averaging)


def drop_digest(description):
    description.pop("digest")


def falsify_run(description):
    """Make the digest right, too."""
    description |= {"run": [], "digest": None}
    description.pop("digest")
    description["digest"] = digest_values(description)


@pytest.mark.parametrize("name", ["out", "out.parquet"])
@pytest.mark.parametrize(
    "change",
    [
        drop_digest,
        falsify_run,
        lambda description: description.update(model="another"),
        lambda description: description.update(run=[]),
        lambda description: description["tracks"].clear(),
    ],
)
def test_damaged_descriptions_are_refused(change, name, inputs, tmp_path):
    out = tmp_path / name
    predict(inputs, out)
    path = out / DESCRIPTION_FILE if out.is_dir() else out
    table = None if out.is_dir() else pq.read_table(out)
    text = path.read_text() if out.is_dir() else table.schema.metadata[METADATA_KEY]
    description = json.loads(text)
    change(description)
    if out.is_dir():
        path.write_text(json.dumps(description))
    else:
        metadata = {METADATA_KEY: json.dumps(description)}
        pq.write_table(table.replace_schema_metadata(metadata), out)
    with pytest.raises(ValueError, match=rf"{path.name}: damaged or of an earlier version, exp"):
        predict(inputs, out)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (Path.unlink, "missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), r"\d+ bytes"),
        (Path.touch, None),
    ],
)
def test_lost_bigwigs_are_noticed(damage, found, inputs, tmp_path):
    predict(inputs, tmp_path / "out")
    damage(tmp_path / "out/C.bw")
    if found is None:
        assert "exist already" in predict(inputs, tmp_path / "out")[0]
        return
    with pytest.raises(ValueError, match=rf"C\.bw: {found}, expected \d+ bytes as written; delete"):
        predict(inputs, tmp_path / "out")


def test_other_files_are_not_replaced(inputs, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("")
    (tmp_path / "mine.parquet").write_text("a table")
    for name in ("mine", "mine.parquet"):
        with pytest.raises(FileExistsError, match=rf"{name}: exists and is no earlier prediction"):
            predict(inputs, tmp_path / name)


@pytest.mark.parametrize("ending", ["", ".parquet"])
@pytest.mark.parametrize("stage", ["predicting", "writing"])
def test_a_failed_call_resumes(stage, ending, inputs, tmp_path, monkeypatch):
    changes = {"overlaps": "averaged", "step_bins": 3, "batch_size": 2}
    whole, stopped = tmp_path / f"whole{ending}", tmp_path / f"stopped{ending}"
    predict(inputs, whole, **changes)
    calls = []

    def failing(function, num_calls):
        def call(*arguments):
            calls.append(1)
            if len(calls) > num_calls:
                raise KeyboardInterrupt
            return function(*arguments)

        return call

    with monkeypatch.context() as patch:
        if stage == "predicting":
            patch.setattr(WindowFile, "append", failing(WindowFile.append, 5))
        else:
            for name, num_calls in (("write_bigwig", 3), ("write_parquet", 0)):
                function = getattr(coverage_files, name)
                patch.setattr(coverage_files, name, failing(function, num_calls))
        with pytest.raises(KeyboardInterrupt):
            predict(inputs, stopped, **changes)
    with pytest.raises(FileExistsError, match=r"stopped.*\.parts: another .* in averaging"):
        predict(inputs, stopped, **changes, averaging="shifts")
    predict(inputs, stopped, **changes)
    assert read_bytes(stopped) == read_bytes(whole)
    assert sorted(tmp_path.iterdir()) == sorted([whole, stopped])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["out", "out.parquet"])
def test_predictions_survive_every_kill(name, tmp_path):
    here = Path(__file__).parent
    search = [str(here), str(here.parent / "storage"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, str(here / "kill_predictions.py"), str(tmp_path), name],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(search)},
        stdout=subprocess.PIPE,
        check=True,
    )
    assert int(done.stdout) > 20


@pytest.mark.slow
def test_an_export_predicts_the_same_bytes(inputs, tmp_path):
    """Predict twice, and once with a stop, in processes of their own."""
    config = preset("enformer_tiny", target_length=32, tracks={"human": 6})
    checkpoints.save(enformer.Enformer(config, seed=1), tmp_path / "model.safetensors")
    senformer = [sys.executable, "-m", "senformer"]
    options = ["--attention", "bigbird_relative", "--length", "16384"]
    files = [str(tmp_path / "model.safetensors"), str(tmp_path / "saved")]
    subprocess.run([*senformer, "export", *files, *options], check=True)
    options = [f"--{name}={inputs[name]}" for name in ("fasta", "regions", "targets")]
    command = [*senformer, "predict", str(tmp_path / "saved"), "--tracks=all", *options]
    for name in ("first", "second"):
        subprocess.run([*command, str(tmp_path / name)], check=True)
    values = tmp_path / "stopped.parts/values"
    with subprocess.Popen([*command, str(tmp_path / "stopped")]) as process:
        while process.poll() is None and not (values.exists() and values.stat().st_size):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "stopped").exists(), "the process was killed too late"
    subprocess.run([*command, str(tmp_path / "stopped")], check=True)
    expected = read_bytes(tmp_path / "first")
    assert read_bytes(tmp_path / "second") == read_bytes(tmp_path / "stopped") == expected


# Print the peak memory of a process that predicts, in KiB; Linux resets it for each program.
PEAK = """
import re
import sys
from pathlib import Path

from senformer.prediction.predict import PredictionPlan, predict

model, fasta, regions, targets, out = sys.argv[1:]
plan = PredictionPlan(
    model=model, fasta=fasta, regions=regions, targets=targets, tracks=["all"], step_bins=1
)
predict(plan, out)
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["", ".parquet"])
def test_memory_does_not_grow_with_regions(ending, inputs, tmp_path):
    fasta = counting_models.write_genome(tmp_path / "genome.fa", {"chr1": 1_000_000})
    peaks_kib = []
    for length_bp in (500_000, 1_000_000):
        regions = tmp_path / f"{length_bp}.bed"
        regions.write_text(f"chr1\t0\t{length_bp}\n")
        out = tmp_path / f"{length_bp}{ending}"
        files = [inputs["model"], fasta, regions, inputs["targets"], out]
        arguments = [sys.executable, "-c", PEAK, *map(str, files)]
        done = subprocess.run(arguments, check=True, capture_output=True, text=True)
        peaks_kib.append(int(done.stdout.splitlines()[-1]))
    print(f"{ending or 'bigWig'}: {peaks_kib} KiB")
    assert peaks_kib[1] <= 1.02 * peaks_kib[0]
