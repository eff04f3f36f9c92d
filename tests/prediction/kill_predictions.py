"""Kill a prediction before each of its steps in the file system; the same call must finish it."""

import os
import shutil
import sys
from pathlib import Path

import counting_models
from kill_at_every_step import kill_at_every_step

from senformer.prediction import predict as prediction
from senformer.prediction.loaded_models import LoadedModel


def count_bases(sequences):
    counts = sequences.reshape(len(sequences), 16, 128, 4).sum(axis=2)[:, 4:12]
    return counts.repeat(2, axis=2)[:, :, :6]


def predict_in_child():
    """Predict in another process, because this one must have no threads."""
    child = os.fork()
    if child == 0:
        prediction.predict(plan, out, say=lambda line: None)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def read_all():
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check():
    predict_in_child()
    assert read_all() == expected, read_all().keys() ^ expected.keys()
    shutil.rmtree(out) if out.is_dir() else out.unlink()


prediction.load_model = lambda *arguments: LoadedModel(
    2048, 8, {"human": 6}, "digest", True, lambda head: count_bases
)
folder, name = Path(sys.argv[1]), sys.argv[2]
(folder / "regions.bed").write_text("chr1\t0\t2000\nchr1\t3000\t9000\n")
plan = prediction.PredictionPlan(
    model=folder,
    fasta=counting_models.write_genome(folder / "genome.fa", {"chr1": 10_000}),
    regions=folder / "regions.bed",
    targets=counting_models.write_targets(folder / "targets.txt"),
    tracks=["A", "C"],
)
out = folder / name
predict_in_child()
expected = read_all()
check()
print(
    kill_at_every_step(lambda: prediction.predict(plan, out, say=lambda line: None), check, folder)
)
