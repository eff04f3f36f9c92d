"""An index is used where it is the FASTA's own, made where there is none, refused otherwise."""

import os
import subprocess
from pathlib import Path

import pytest
from Bio import bgzf

from senformer.data import genome, genome_index

TEXT = ">chr1 the first\nACGTN\nacgtn\nRY\n>chr2\nTTTT\n\n>chr3\nGATTACA\n"


@pytest.fixture(params=["plain", "compressed"])
def fasta(request, tmp_path):
    """A FASTA with its index, the compressed one in blocks of some ten bases."""
    if request.param == "plain":
        path = tmp_path / "genome.fa"
        path.write_text(TEXT)
    else:
        path = tmp_path / "genome.fa.gz"
        with bgzf.BgzfWriter(str(path)) as writer:
            for start in range(0, len(TEXT), 20):
                writer.write(TEXT[start : start + 20])
                writer.flush()
    genome.open_fasta(path).close()
    return path


def letters(path: Path, *interval) -> str:
    encoded = genome.fetch_one_hot(path, *interval)
    return "".join("ACGT"[row.argmax()] if row.any() else "." for row in encoded)


def test_an_index_is_written_beside_its_fasta_and_used_again(fasta):
    index = Path(f"{fasta}.fai")
    written = index.stat().st_mtime_ns
    assert letters(fasta, "chr1", 2, 9) == "GT.ACGT"
    assert letters(fasta, "chr3", 0, 7) == "GATTACA"
    assert index.stat().st_mtime_ns == written


def test_an_older_index_that_fits_is_used(fasta):
    os.utime(f"{fasta}.fai", (0, 0))
    assert letters(fasta, "chr2", 0, 4) == "TTTT"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("chr2\t4\t", "chr2\t5\t"),  # a base more
        ("chr2\t4\t", "chr2\t3\t"),  # a base less
        ("chr3\t7\t", "chr3\t6\t"),
        ("chr1\t12\t16\t5\t6", "chr1\t12\t16\t4\t5"),  # other lines
        ("chr1\t12\t16\t5\t6", "chr1\t12\t17\t5\t6"),  # another place
        ("chr2", "chrX"),
        ("chr2\t4\t37\t4\t5\n", ""),
        ("chr3\t7\t49\t7\t8\n", ""),
        ("chr1\t12", "chr1\tmany"),
        ("chr1\t12\t16\t5\t6", "chr1\t12\t16\t0\t6"),
    ],
)
def test_an_index_of_another_fasta_is_refused(fasta, old, new):
    index = Path(f"{fasta}.fai")
    assert old in index.read_text()
    index.write_text(index.read_text().replace(old, new))
    with pytest.raises(ValueError, match=rf"^{index}: .*delete it to have it made anew") as error:
        genome.open_fasta(fasta)
    assert "\n" not in str(error.value)


def test_a_fasta_that_changed_after_its_index_was_made_is_refused(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(TEXT)
    genome.open_fasta(path).close()
    path.write_text(TEXT.replace("ACGTN\n", "ACGTNN\n", 1))
    with pytest.raises(ValueError, match=rf"^{path}\.fai: .* expected the index of genome.fa"):
        genome.open_fasta(path)


def test_a_damaged_index_of_blocks_is_refused(tmp_path):
    path = tmp_path / "genome.fa.gz"
    with bgzf.BgzfWriter(str(path)) as writer:
        writer.write(TEXT)
    genome.open_fasta(path).close()
    gzi = Path(f"{path}.gzi")
    gzi.write_bytes(gzi.read_bytes()[:-1] + b"\1")
    with pytest.raises(ValueError, match=rf"^{gzi}: its blocks lie elsewhere"):
        genome.open_fasta(path)


def test_a_truncated_compressed_fasta_is_refused(tmp_path):
    path = tmp_path / "genome.fa.gz"
    with bgzf.BgzfWriter(str(path)) as writer:
        writer.write(TEXT)
    genome.open_fasta(path).close()
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=rf"^{path}: not a plain or bgzipped FASTA"):
        genome.open_fasta(path)


def test_a_letter_of_no_nucleotide_is_named_where_it_is_read(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(">chr1\nACGT5\n")
    assert letters(path, "chr1", 0, 4) == "ACGT"
    with pytest.raises(ValueError, match=rf"^{path}: chr1:0-5 holds '5', expected letters of nuc"):
        genome.fetch_one_hot(path, "chr1", 0, 5)


@pytest.fixture
def read_only(tmp_path):
    """A folder that not even root can write: mounted so, where the system lets a test do that."""
    source, folder = tmp_path / "writable", tmp_path / "read_only"
    source.mkdir()
    folder.mkdir()
    (source / "genome.fa").write_text(TEXT)
    commands = (["--bind", str(source), str(folder)], ["-o", "remount,ro,bind", str(folder)])
    for options in commands:
        if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
            pytest.skip("this system does not let a test mount a folder")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_the_index_of_a_fasta_in_a_folder_that_cannot_be_written_lies_elsewhere(read_only):
    path = read_only / "genome.fa"
    with pytest.raises(OSError, match="Read-only"):
        (read_only / "x").touch()
    assert letters(path, "chr1", 0, 4) == "ACGT"
    assert letters(path, "chr3", 0, 3) == "GAT"
    assert [file.name for file in read_only.iterdir()] == ["genome.fa"]


def test_an_index_that_cannot_be_kept_beside_its_fasta_leaves_nothing_there(tmp_path, monkeypatch):
    path = tmp_path / "genome.fa"
    path.write_text(TEXT)

    def refuse(source, destination):
        raise PermissionError(13, "Permission denied", str(destination))

    monkeypatch.setattr(genome_index.shutil, "copyfile", refuse)
    assert letters(path, "chr1", 0, 4) == "ACGT"
    assert letters(path, "chr3", 0, 3) == "GAT"
    assert [file.name for file in tmp_path.iterdir()] == ["genome.fa"]
