import os
from pathlib import Path

import pytest

from senformer.storage.output_paths import check_output


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", r"output '\.': expected the name of a new file or folder"),
        (".", r"output '\.': expected the name"),
        ("/", r"output '/': expected the name"),
        ("folder/..", r"output 'folder/\.\.': expected the name"),
        ("dangling", "dangling: a link to nothing, expected a new file or folder"),
        ("loop", "loop: a link to nothing"),
        ("pipe", "pipe: neither a file nor a folder, expected a new name"),
        ("file/x/y", r"cannot be written in .*file \(Not a directory\)"),
        ("n" * 254, r"cannot be written in .* \(File name too long\)"),
        ("/proc/predictions", r"cannot be written in /proc \("),
    ],
)
def test_check_output_names_the_problem(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for link, target in (("dangling", "nowhere"), ("loop", "loop")):
        (tmp_path / link).symlink_to(target)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises((ValueError, OSError), match=message):
        check_output(Path(name))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["new", "folder", "file", "link", "a/b/c"])
def test_check_output_accepts_new_and_existing(name, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("folder")
    before = sorted(tmp_path.rglob("*"))
    check_output(tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before
