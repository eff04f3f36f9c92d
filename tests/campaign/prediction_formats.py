"""Damage the regions of a prediction."""

from pathlib import Path

import damages
from formats import Format

from senformer.prediction.regions import BinRange, read_regions

LENGTHS_BP = {"chr1": 90_000, "chr2": 40_000, "chrX": 5_001}


def regions(folder: Path) -> Format:
    file = folder / "regions.bed"
    file.write_text(
        "track name=genes\n"
        "chr1\t0\t300\tfirst\t0\t+\n"
        "chr1\t300\t4000\tsecond\t1\t-\n"
        "chr2\t128\t256\tthird\t0\t+\n"
        "chr2\t39000\t40000\tfourth\t0\t+\n"
        "chrX\t5000\t5001\tfifth\t0\t+\n"
    )
    damage = damages.of_table(file.read_bytes(), "\t", 1)
    return Format(file, lambda: read_regions(file, LENGTHS_BP), damage, _are_other_regions)


def _are_other_regions(done: str, damaged: bytes, found: list[BinRange]) -> bool:
    """Accept other regions of the genome, if their bins are as written."""
    expected = set()
    for line in damaged.decode("utf-8-sig").splitlines():
        if not line.strip() or line.startswith(("#", "track", "browser")):
            continue
        chromosome, start, end = line.split("\t")[:3]
        if not 0 <= int(start) < int(end) <= LENGTHS_BP[chromosome]:
            return False
        expected |= {(chromosome, i) for i in range(int(start) // 128, (int(end) - 1) // 128 + 1)}
    return expected == {
        (bins.chromosome, i) for bins in found for i in range(bins.first_bin, bins.end_bin)
    }
