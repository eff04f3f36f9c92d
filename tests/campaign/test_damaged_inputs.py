"""Check that no reader accepts a damaged file silently or ends in a traceback.

The damages of each format are drawn from a fixed seed, so that failures are reproducible. The
figures are printed at the end.
"""

from collections import Counter

import data_set_formats
import genome_formats
import prediction_formats
import pytest
import run_formats
import weight_formats
from hypothesis import HealthCheck, Phase, given, settings
from verdicts import WRONG, judge

FAST = (
    *(data_set_formats.targets, data_set_formats.statistics, data_set_formats.intervals),
    *(genome_formats.fasta, genome_formats.fasta_of_an_older_index, genome_formats.fasta_index),
    *(genome_formats.compressed_fasta, genome_formats.block_index),
    *(run_formats.result_table, run_formats.profile, prediction_formats.regions),
)
SLOW = (
    *(data_set_formats.tfrecords, weight_formats.sonnet_index, weight_formats.sonnet_values),
    weight_formats.safetensors,
)


def cases(formats, num_damages, num_slow_damages):
    for create in formats:
        yield pytest.param(create, num_damages, id=f"{create.__name__}-{num_damages}")
        yield pytest.param(
            create,
            num_slow_damages,
            id=f"{create.__name__}-{num_slow_damages}",
            marks=pytest.mark.slow,
        )


@pytest.mark.parametrize(("create", "num_damages"), [*cases(FAST, 40, 1000), *cases(SLOW, 6, 200)])
def test_readers_report_damage(create, num_damages, tmp_path, record_property):
    tested = create(tmp_path)
    good, whole = tested.read(), tested.file.read_bytes()
    files = list(tmp_path.rglob("*"))
    names = [str(path) for file in files for path in (file, file.with_suffix(""))]
    names += tested.called
    counts: Counter[str] = Counter()

    @settings(
        max_examples=num_damages,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # damages are not made smaller
        suppress_health_check=list(HealthCheck),
    )
    @given(tested.damage)
    def try_damage(damage):
        done, damaged = damage
        if damaged == whole:
            return
        for path in tested.made:
            path.unlink(missing_ok=True)
        tested.file.write_bytes(damaged)
        verdict, error = judge(tested, good, names, done)
        counts[verdict] += 1
        assert verdict not in WRONG, f"{tested.file.name}, {done}: {verdict}, {error}"

    try:
        try_damage()
    finally:  # report the figures of a failing format too
        record_property("verdicts", (create.__name__, dict(counts)))
