import bz2
import gzip
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from Bio import bgzf

from senformer.data import genome

TEXT = ">chr1 the first\nACGTN\nacgtn\nRY\n>chr2\nTTTT\n\n>chr3\nGATTACA\n"


def write_compressed(path, text=TEXT):
    """Compress a FASTA in blocks of some twenty bytes."""
    with bgzf.BgzfWriter(str(path)) as writer:
        for start in range(0, len(text), 20):
            writer.write(text[start : start + 20])
            writer.flush()
    return path


@pytest.fixture(params=["plain", "compressed"])
def fasta(request, tmp_path):
    if request.param == "compressed":
        return write_compressed(tmp_path / "genome.fa.gz")
    (tmp_path / "genome.fa").write_text(TEXT)
    return tmp_path / "genome.fa"


def letters(encoded):
    return "".join("ACGT"[row.argmax()] if row.any() else "." for row in encoded)


def fetch(*arguments):
    return letters(genome.fetch_one_hot(*arguments))


@pytest.mark.parametrize("sequence", ["ACGTacgtUuNnRy-", b"ACGTacgtUuNnRy-"])
def test_one_hot_encodes_known_bases_only(sequence):
    encoded = genome.one_hot(sequence)
    assert encoded.dtype == np.float32
    assert letters(encoded) == "ACGTACGTTT....."
    assert encoded.sum() == 10


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ("ACG5", "contains '5' at 3, expected letters of nucleotides"),
        ("AC GT", "contains ' ' at 2"),
        ("ACGT\n", r"contains '\\n' at 4"),
        ("A\u00c7", "contains '\u00c7' at 1"),
        (b"\xffA", r"contains b'\\xff' at 0"),
        (None, "sequence is NoneType, expected string or bytes"),
        (["A", "C"], "sequence is list"),
        (np.zeros(4), "sequence is ndarray"),
    ],
)
def test_one_hot_refuses_other_sequences(sequence, message):
    with pytest.raises((TypeError, ValueError), match=message):
        genome.one_hot(sequence)


@pytest.mark.parametrize(
    ("chromosome", "start", "end", "expected"),
    [
        ("chr1", 2, 9, "GT.ACGT"),  # over a line break
        ("chr3", 0, 7, "GATTACA"),
        ("chr2", -3, 2, "...TT"),
        ("chr2", 2, 6, "TT.."),
        ("chr2", -9, -5, "...."),
        ("chr2", 7, 9, ".."),
        ("chr2", 1, 1, ""),
    ],
)
def test_fetch_one_hot_fills_with_zeros(fasta, chromosome, start, end, expected):
    assert fetch(fasta, chromosome, start, end) == expected
    with genome.open_fasta(fasta) as opened:
        assert fetch(opened, chromosome, start, end) == expected


def test_fetch_one_hot_reads_a_real_bgzipped_genome(shared):
    path = shared / "data/genome/hg38_1m.fa.gz"
    with gzip.open(path, "rt") as text:
        sequence = "".join(line.strip() for line in text if not line.startswith(">"))
    padded = genome.fetch_one_hot(path, "chr1", -100, 1_000_100)
    np.testing.assert_array_equal(padded[100:-100], genome.one_hot(sequence))
    assert int((padded.sum(axis=1) == 0).sum()) == 160_000 + 200  # N and the ends


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("chrX", 0, 4), r"genome\.fa\S*: no chromosome 'chrX' \(it has chr1, chr2, chr3\)$"),
        (("chr1", 5, 2), "chr1:5-2 ends before it starts"),
    ],
)
def test_fetch_one_hot_refuses_other_intervals(fasta, arguments, message):
    with pytest.raises(ValueError, match=message):
        genome.fetch_one_hot(fasta, *arguments)


def test_fetch_one_hot_names_an_unknown_letter(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(">chr1\nACGT5\n")
    assert fetch(path, "chr1", 0, 4) == "ACGT"
    with pytest.raises(ValueError, match=rf"^{path}: chr1:0-5 cannot be read \(.* '5' at 4"):
        genome.fetch_one_hot(path, "chr1", 0, 5)


BGZIP = b"\x1f\x8b\x08\x04"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("targets.txt", b"index\tidentifier\n0\tx\n", "before the first sequence"),
        ("empty.fa", b"", "no|not contain a valid sequence"),
        ("train-0.tfr", bytes(range(256)) * 8, "not a plain"),
        ("ragged.fa", b">chr1\nAC\nACGT\nACGTA\n", "'chr1' has empty lines or lines of diff"),
        ("blank.fa", b">chr1\n\n\n>chr2\nAC\n", "'chr1' has empty lines or lines of diff"),
        ("last_blank.fa", b">chr1\nAC\n>chr2\n\n\n", "'chr2' has empty lines"),
        ("trailing.fa", b">chr1\nACGT \nACGT \n", "lines of sequence 'chr1'"),
        ("repeated.fa", b">chr1\nAC\n>chr1\nAC\n", "Duplicate"),
        ("cr.fa", b">chr1\rACGT\rAC\r", "carriage returns alone, expected line feeds"),
        ("one_cr.fa", b">chr1\nACGT\nAC\rG\n", "carriage returns alone"),
        ("cr_cr_lf.fa", b">chr1\r\r\nACGT\r\r\n", "carriage returns alone"),
        ("gzip.fa", gzip.compress(b">chr1\nACGT\n"), "compressed by gzip, .*decompress it"),
        ("gzip.fa.gz", gzip.compress(b">chr1\nACGT\n"), "compressed by gzip, .*decompress it"),
        ("bzip2.fa", bz2.compress(b">chr1\nACGT\n"), "compressed by bzip2, .*decompress it"),
        ("bgzip.fa", BGZIP + bytes(30), "compressed by bgzip, expected a name that ends with .gz"),
        ("plain.fa.gz", b">chr1\nACGT\n", "not compressed by bgzip, expected a name without .gz"),
        ("truncated.fa.gz", BGZIP + bytes(30), "not a plain or bgzipped FASTA"),
    ],
)
def test_open_fasta_refuses_other_files(tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(ValueError, match=rf"^{path}: .*({reason})") as error:
            genome.open_fasta(path)
        assert "\n" not in str(error.value) and "report" not in str(error.value)
    assert list(tmp_path.iterdir()) == [path]  # no index


def test_open_fasta_names_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.fa: no such FASTA"):
        genome.open_fasta(tmp_path / "absent.fa")


def test_open_fasta_reads_sequences_without_bases(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(">chr1\n>chr2\nGATTACA\n>chr3\n")
    with genome.open_fasta(path) as opened:
        assert [len(opened[name]) for name in ("chr1", "chr2", "chr3")] == [0, 7, 0]
        assert fetch(opened, "chr2", 0, 8) == "GATTACA."


# --------------------------------------------------------------------------------------- the index


def test_index_is_written_once(fasta):
    genome.open_fasta(fasta).close()
    index = Path(f"{fasta}.fai")
    written = index.stat().st_mtime_ns
    assert fetch(fasta, "chr3", 0, 7) == "GATTACA"
    assert index.stat().st_mtime_ns == written


def test_index_is_rebuilt_if_older(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(TEXT)
    genome.open_fasta(path).close()
    path.write_text(TEXT.replace("ACGTN\n", "ACGTNN\n", 1).replace("acgtn", "acgtna"))
    os.utime(path, (time.time() + 1, time.time() + 1))
    assert fetch(path, "chr3", 0, 7) == "GATTACA"


def test_index_works_for_one_line_sequences(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(">chr1\n" + "ACGT" * 50_000 + "\n>chr2\n\n>chr3\nGATTACA")
    assert fetch(path, "chr1", 100_000, 100_004) == "ACGT"
    assert fetch(path, "chr3", 0, 7) == "GATTACA"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("chr2\t4\t", "chr2\t5\t"),
        ("chr2\t4\t", "chr2\t3\t"),
        ("chr3\t7\t", "chr3\t6\t"),
        ("chr1\t12\t16\t5\t6", "chr1\t12\t16\t4\t5"),
        ("chr1\t12\t16\t5\t6", "chr1\t12\t17\t5\t6"),
        ("chr2", "chrX"),
        ("chr2\t4\t37\t4\t5\n", ""),
        ("chr3\t7\t49\t7\t8\n", ""),
        ("chr1\t12", "chr1\tmany"),
        ("chr1\t12\t16\t5\t6", "chr1\t12\t16\t0\t6"),
    ],
)
def test_index_of_another_fasta_is_refused(fasta, old, new):
    genome.open_fasta(fasta).close()
    index = Path(f"{fasta}.fai")
    assert old in index.read_text()
    index.write_text(index.read_text().replace(old, new))
    with pytest.raises(ValueError, match=rf"^{index}.*: not the index of .*; delete it") as error:
        genome.open_fasta(fasta)
    assert "\n" not in str(error.value)


def test_index_of_blocks_is_checked(tmp_path):
    path = write_compressed(tmp_path / "genome.fa.gz")
    genome.open_fasta(path).close()
    gzi = Path(f"{path}.gzi")
    gzi.write_bytes(gzi.read_bytes()[:-1] + b"\1")
    with pytest.raises(ValueError, match=rf"{gzi}: not the index of .* \(no block at"):
        genome.open_fasta(path)


def test_index_of_a_read_only_folder_is_temporary(tmp_path):
    source, folder = tmp_path / "writable", tmp_path / "read_only"
    source.mkdir()
    folder.mkdir()
    (source / "genome.fa").write_text(TEXT)
    commands = (["--bind", str(source), str(folder)], ["-o", "remount,ro,bind", str(folder)])
    for options in commands:  # not even root can write to a read-only mount
        if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
            pytest.skip("this system does not let a test mount a folder")
    try:
        assert fetch(folder / "genome.fa", "chr1", 0, 4) == "ACGT"
        assert fetch(folder / "genome.fa", "chr3", 0, 3) == "GAT"
        assert [file.name for file in folder.iterdir()] == ["genome.fa"]
    finally:
        subprocess.run(["umount", str(folder)], check=True)
