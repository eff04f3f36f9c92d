import pandas as pd
import pytest

from senformer.report import results
from senformer.workflow import publication

PROVENANCE = dict.fromkeys(results.PROVENANCE_KEYS, "x")


def write(folder, name, commit_of_table, time_utc="2026-01-01", **columns):
    provenance = PROVENANCE | {"commit": commit_of_table, "time_utc": time_utc}
    results.write(pd.DataFrame({"value": [1, 2], **columns}), folder / f"{name}.csv", provenance)


def test_one_clean_commit_is_accepted(tmp_path):
    write(tmp_path, "memory", "a" * 40, commit=["a" * 40, None])
    write(tmp_path, "runtime", "a" * 40)
    publication.expect_one_clean_commit(tmp_path)


@pytest.mark.parametrize(
    ("commits", "found"),
    [
        (("a" * 40, "b" * 40), "results of aaaaaaa, bbbbbbb, expected one clean commit"),
        (("a" * 40 + "-dirty",) * 2, "results of aaaaaaa-dirty, expected one clean commit"),
    ],
)
def test_mixed_commits_are_refused(tmp_path, commits, found):
    for name, commit in zip(("memory", "runtime"), commits, strict=True):
        write(tmp_path, name, commit)
    with pytest.raises(ValueError, match=found):
        publication.expect_one_clean_commit(tmp_path)


def test_commits_of_rows_are_compared(tmp_path):
    write(tmp_path, "memory", "a" * 40, commit=["a" * 40, "b" * 40])
    with pytest.raises(ValueError, match="aaaaaaa, bbbbbbb"):
        publication.expect_one_clean_commit(tmp_path)


def test_newest_commit_depends_on_time(tmp_path):
    write(tmp_path, "memory", "a" * 40, "2026-01-02")
    write(tmp_path, "runtime", "b" * 40, "2026-01-01")
    assert publication.newest_commit(tmp_path) == "a" * 40
    with pytest.raises(FileNotFoundError, match="no table of results"):
        publication.newest_commit(tmp_path / "nowhere")
