"""No reader takes a damaged file without a word, or ends in a traceback; a campaign of thousands.

Each format's damages are drawn from a seed that stays, so that a failure comes again. The figures
are printed at the end.
"""

from collections import Counter

import data_set_formats
import genome_formats
import prediction_formats
import pytest
import run_formats
import weight_formats
from hypothesis import HealthCheck, Phase, given, settings
from verdicts import WRONG, verdict

SOON_READ = (
    *(data_set_formats.targets, data_set_formats.statistics, data_set_formats.intervals),
    *(genome_formats.fasta, genome_formats.fasta_of_an_older_index, genome_formats.fasta_index),
    *(genome_formats.compressed_fasta, genome_formats.block_index),
    *(run_formats.result_table, run_formats.profile, prediction_formats.regions),
)
SLOWLY_READ = (
    *(data_set_formats.tfrecords, weight_formats.sonnet_index, weight_formats.sonnet_values),
    weight_formats.safetensors,
)


@pytest.mark.parametrize("make", SOON_READ, ids=lambda make: make.__name__)
@pytest.mark.parametrize("num_damages", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_what_is_soon_read(make, num_damages, tmp_path, record_property):
    try_damages(make, num_damages, tmp_path, record_property)


@pytest.mark.parametrize("make", SLOWLY_READ, ids=lambda make: make.__name__)
@pytest.mark.parametrize("num_damages", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_what_is_slowly_read(make, num_damages, tmp_path, record_property):
    try_damages(make, num_damages, tmp_path, record_property)


def try_damages(make, num_damages, tmp_path, record_property):
    of_format = make(tmp_path)
    good = of_format.read()
    whole = of_format.file.read_bytes()
    files = list(tmp_path.rglob("*"))
    names = [str(path) for file in files for path in (file, file.with_suffix(""))]
    names += of_format.called
    counts: Counter[str] = Counter()

    @settings(
        max_examples=num_damages,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # a damage is as small as it gets
        suppress_health_check=list(HealthCheck),
    )
    @given(of_format.damage)
    def is_refused_or_harmless(damage):
        done, damaged = damage
        if damaged == whole:
            return
        for path in of_format.made:
            path.unlink(missing_ok=True)
        of_format.file.write_bytes(damaged)
        reached, said = verdict(
            of_format.read, good, names, lambda found: of_format.is_legal(done, damaged, found)
        )
        counts[reached] += 1
        assert reached not in WRONG, f"{of_format.file.name}, {done}: {reached}, {said}"

    try:
        is_refused_or_harmless()
    finally:  # the figures of a format that fails too
        record_property("verdicts", (make.__name__, dict(counts)))
