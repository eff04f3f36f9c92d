"""Read real human and mouse records: 122 records with ENCODE, FANTOM and GTEx coverage."""

import itertools

import numpy as np
import pytest

from senformer.data import datasets, records

STORED_BP = 131_072


def sequences_and_targets(folder, split):
    elements = [
        (example["sequence"].numpy(), example["target"].numpy())
        for example in datasets.examples(folder, split, sequence_length_bp=STORED_BP)
    ]
    return tuple(np.stack(arrays) for arrays in zip(*elements, strict=True))


def test_borzois_records_are_told_from_basenji2s(real_records):
    for folder in real_records.values():
        assert folder.record_format == "borzoi"
        assert (folder.sequence_length_bp, folder.target_length) == (STORED_BP, 512)
    assert {organism: f.num_tracks for organism, f in real_records.items()} == {
        "human": 74,
        "mouse": 32,
    }


@pytest.mark.parametrize("organism", ["human", "mouse"])
def test_four_bins_become_one_by_sum_or_by_mean(real_records, organism):
    folder = real_records[organism]
    _, targets = sequences_and_targets(folder, "test")
    file = records.find_files(folder.path, "test")[0]
    data = next(iter(records.read(file)))
    _, target = records.parse(data, file)
    stored = np.frombuffer(target, np.float16).reshape(512, 4, -1).astype(np.float64)
    is_mean = (folder.targets["sum_stat"] == "mean").to_numpy()
    assert 0 < is_mean.sum() < len(is_mean)
    expected = np.where(is_mean, stored.mean(1), stored.sum(1))
    np.testing.assert_allclose(targets[0], expected, rtol=1e-5)
    assert targets.std() > 0


def test_borzois_intervals_are_the_middle_of_the_sequences(real_records):
    """A landmark of hg38: HLA-DPB1's second exon."""
    human = real_records["human"]
    intervals = human.intervals_of("test").reset_index(drop=True)
    (index,) = intervals.index[intervals["chrom"] == "chr6"]
    interval = intervals.iloc[index]
    sequences, _ = sequences_and_targets(human, "test")
    text = "".join(np.array(list("ACGT"))[sequences[index].argmax(-1)])
    codons = [text[i : i + 3] for i in range(33_080_673 - interval.start, STORED_BP, 3)][:19]
    assert "".join(map(PROTEIN.get, codons)) == "NYLFQGRQECYAFNGTQRF"


PROTEIN = {
    first + second + third: amino_acid
    for (first, second, third), amino_acid in zip(
        itertools.product("TCAG", repeat=3),
        "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
        strict=True,
    )
}


def test_records_from_another_genome_are_refused(real_records, tmp_path):
    path = tmp_path / "chromosomes.fa"
    first = real_records["human"].intervals_of("test").iloc[0]

    def longer_examples():
        return datasets.examples(
            real_records["human"], "test", sequence_length_bp=196_608, flanks="genome", fasta=path
        )

    chromosomes = set(real_records["human"].intervals_of("test")["chrom"])
    path.write_text("".join(f">{name}\n{'ACGT' * 100}\n" for name in sorted(chromosomes)))
    place = f"{first.chrom}:{first.start}-{first.end}"
    with pytest.raises(ValueError, match=rf"{place} differs in \d+ bases"):
        next(iter(longer_examples()))
    path.with_suffix(".fa.fai").unlink()
    path.write_text(f">chr0\n{'ACGT' * 100}\n")
    with pytest.raises(ValueError, match=rf"chromosomes\.fa: no chromosome '{first.chrom}'"):
        longer_examples()


def test_every_real_base_is_one_hot_or_n(real_records):
    counts = {
        organism: [len(folder.intervals_of(split)) for split in folder.splits]
        for organism, folder in real_records.items()
    }
    assert counts == {"human": [45, 10, 10], "mouse": [28, 13, 13]}
    for folder in real_records.values():
        for split in folder.splits:
            for example in datasets.examples(folder, split, sequence_length_bp=STORED_BP):
                per_base = example["sequence"].numpy().sum(axis=1)
                assert set(np.unique(per_base)) <= {0.0, 1.0}
                assert per_base.mean() > 0.98


def test_intervals_are_in_the_records_order(real_records):
    """A gap of 1,000 N on chromosome 12, in the record that its interval says."""
    human = real_records["human"]
    interval = human.intervals_of("train").iloc[39]
    sequences, _ = sequences_and_targets(human, "train")
    unknown = np.flatnonzero(~sequences[39].any(-1)) + interval.start
    assert (interval.chrom, unknown[0], unknown[-1] + 1) == ("chr12", 7_083_650, 7_084_650)
