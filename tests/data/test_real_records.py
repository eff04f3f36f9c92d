"""Read real human and mouse records, with real coverage."""

import itertools

import numpy as np
import pytest

from senformer.data import datasets, records
from senformer.data.windows import InputWindow

STORED_BP = 131_072
PROTEIN = {
    first + second + third: amino_acid
    for (first, second, third), amino_acid in zip(
        itertools.product("TCAG", repeat=3),
        "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
        strict=True,
    )
}


def read_example(folder, split, row):
    examples = datasets.examples(folder, split, InputWindow(STORED_BP))
    example = next(itertools.islice(examples, row, None))
    return example["sequence"].numpy(), example["target"].numpy()


def test_borzois_format_is_detected(real_records):
    for folder in real_records.values():
        assert folder.record_format == "borzoi"
        assert (folder.sequence_length_bp, folder.target_length) == (STORED_BP, 512)
    num_tracks = {organism: folder.num_tracks for organism, folder in real_records.items()}
    assert num_tracks == {"human": 74, "mouse": 32}


@pytest.mark.parametrize("organism", ["human", "mouse"])
def test_bins_are_pooled_by_sum_or_mean(real_records, organism):
    folder = real_records[organism]
    _, found = read_example(folder, "test", 0)
    file = records.find_files(folder.path, "test")[0]
    _, target = records.parse(next(records.read(file)), file)
    stored = np.frombuffer(target, np.float16).reshape(512, 4, -1).astype(np.float64)
    is_mean = (folder.targets["sum_stat"] == "mean").to_numpy()
    assert 0 < is_mean.sum() < len(is_mean) and found.std() > 0
    expected = np.where(is_mean, stored.mean(1), stored.sum(1))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_intervals_bound_the_stored_sequences(real_records):
    """Find the second exon of HLA-DPB1, on chromosome 6 of hg38."""
    human, start = real_records["human"], 33_080_673
    intervals = human.intervals_of("test")
    is_there = (intervals["chrom"] == "chr6") & (intervals["start"] < start)
    row = int((is_there & (intervals["end"] > start + 57)).to_numpy().argmax())
    sequence, _ = read_example(human, "test", row)
    first = start - intervals["start"].iloc[row]
    text = "".join(np.array(list("ACGT"))[sequence.argmax(-1)])
    codons = [text[i : i + 3] for i in range(first, STORED_BP, 3)][:19]
    assert "".join(map(PROTEIN.get, codons)) == "NYLFQGRQECYAFNGTQRF"


def test_intervals_are_in_the_records_order(real_records):
    """Find a gap of 1,000 N on chromosome 12 in its record."""
    human = real_records["human"]
    interval = human.intervals_of("train").iloc[39]
    sequence, _ = read_example(human, "train", 39)
    unknown = np.flatnonzero(~sequence.any(-1)) + interval.start
    assert (interval.chrom, unknown[0], unknown[-1] + 1) == ("chr12", 7_083_650, 7_084_650)


def test_another_genome_is_refused(real_records, tmp_path):
    human = real_records["human"]
    path = tmp_path / "genome.fa"
    window = InputWindow(196_608, flanks="genome", fasta=path)
    chromosomes = human.intervals_of("test")["chrom"].unique()
    path.write_text("".join(f">{name}\n{'ACGT' * 100}\n" for name in chromosomes))
    with pytest.raises(ValueError, match=r"genome\.fa: differs in \d+ bases from .*test-0"):
        next(iter(datasets.examples(human, "test", window)))
