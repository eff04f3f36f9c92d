import gzip

import numpy as np
import pytest

from senformer.data import genome


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(">chr1\nACGTN\nacgtn\nRY\n>chr2\nTTTT\n")
    return path


def letters(encoded: np.ndarray) -> str:
    return "".join("ACGT"[row.argmax()] if row.any() else "." for row in encoded)


def test_one_hot_has_a_one_per_known_base_and_zeros_for_others():
    encoded = genome.one_hot("ACGTacgtNnR-")
    assert encoded.dtype == np.float32
    assert letters(encoded) == "ACGTACGT...."
    assert encoded.sum() == 8


def test_one_hot_of_bytes_and_text_agree():
    np.testing.assert_array_equal(genome.one_hot(b"GATTACA"), genome.one_hot("GATTACA"))


def test_an_interval_is_counted_from_zero_and_spans_lines(fasta):
    assert letters(genome.fetch_one_hot(fasta, "chr1", 2, 9)) == "GT.ACGT"


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (-3, 2, "...TT"),
        (2, 6, "TT.."),
        (-2, 6, "..TTTT.."),
        (-9, -5, "...."),
        (7, 9, ".."),
        (1, 1, ""),
    ],
)
def test_beyond_the_chromosome_are_zeros(fasta, start, end, expected):
    assert letters(genome.fetch_one_hot(fasta, "chr2", start, end)) == expected


def test_an_opened_fasta_serves_many_intervals(fasta):
    with genome.open_fasta(fasta) as opened:
        assert letters(genome.fetch_one_hot(opened, "chr1", 0, 4)) == "ACGT"
        assert letters(genome.fetch_one_hot(opened, "chr2", 0, 4)) == "TTTT"


def test_a_bgzipped_genome_reads_like_its_text(shared):
    path = shared / "data/genome/hg38_1m.fa.gz"
    with gzip.open(path, "rt") as text:
        sequence = "".join(line.strip() for line in text if not line.startswith(">"))
    assert len(sequence) == 1_000_000
    whole = genome.fetch_one_hot(path, "chr1", 0, 1_000_000)
    np.testing.assert_array_equal(whole, genome.one_hot(sequence))
    assert int((whole.sum(axis=1) == 0).sum()) == 160_000  # its N, the first 10,000 among them
    assert not whole[:10_000].any()
    assert whole[10_000].any()
    across_both_ends = genome.fetch_one_hot(path, "chr1", -100, 1_000_100)
    np.testing.assert_array_equal(across_both_ends[100:-100], whole)
    assert not across_both_ends[:100].any()
    assert not across_both_ends[-100:].any()


def test_a_missing_chromosome_is_named_with_some_that_are_there(fasta):
    with pytest.raises(ValueError, match=rf"^{fasta}: no chromosome 'chrX' \(it has chr1, chr2\)$"):
        genome.fetch_one_hot(fasta, "chrX", 0, 4)


def test_an_interval_that_ends_before_it_starts_is_refused(fasta):
    with pytest.raises(ValueError, match="chr1:5-2 ends before it starts"):
        genome.fetch_one_hot(fasta, "chr1", 5, 2)


def test_a_missing_fasta_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.fa: no such FASTA"):
        genome.open_fasta(tmp_path / "absent.fa")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("targets.txt", b"index\tidentifier\n0\tx\n"),
        ("empty.fa", b""),
        ("train-0.tfr", bytes(range(256)) * 8),
        ("plain_gzip.fa.gz", gzip.compress(b">chr1\nACGT\n", mtime=0)),
        ("ragged.fa", b">chr1\nAC\nACGT\nACGTA\n"),
    ],
)
def test_a_file_that_is_no_fasta_is_refused_by_name(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{path}: ") as error:
        genome.open_fasta(path)
    assert "\n" not in str(error.value)
