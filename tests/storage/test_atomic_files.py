import errno
import os
import subprocess
import sys
import threading
import time

import pytest
from full_disk import largest_file

from senformer.storage import atomic_files

BEFORE = b"what was there"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "kept.bin"
    path.write_bytes(BEFORE)
    return path


def test_a_file_is_there_when_it_is_whole_and_nothing_beside_it(path):
    with atomic_files.replace_file(path) as unfinished:
        unfinished.write_bytes(b"new")
        assert path.read_bytes() == BEFORE
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_as_readable_as_any_whatever_wrote_it(path):
    before = os.umask(0o027)
    try:
        with atomic_files.replace_file(path) as unfinished:
            unfinished.touch(mode=0o600)  # as some libraries make theirs
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_fails_while_it_is_written_leaves_what_was_there(path):
    with pytest.raises(RuntimeError, match="interrupted"), atomic_files.replace_file(path) as file:
        file.write_bytes(b"half")
        raise RuntimeError("interrupted")
    assert path.read_bytes() == BEFORE
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_said_in_one_line_that_names_the_file(path):
    with (
        largest_file(1000),
        pytest.raises(OSError, match=r"kept.bin: not written, what was there is as it was") as full,
        atomic_files.replace_file(path) as file,
    ):
        file.write_bytes(b"x" * 1001)
    assert os.strerror(errno.EFBIG) in str(full.value)
    assert "\n" not in str(full.value)
    assert path.read_bytes() == BEFORE
    assert list(path.parent.iterdir()) == [path]


def test_more_than_the_disk_has_room_for_is_refused_with_both_sizes(tmp_path):
    atomic_files.check_free_space(tmp_path / "not/there/yet", 1)
    with pytest.raises(OSError, match=r"there/yet: 1e\+09 GB to write, expected .* GB are free"):
        atomic_files.check_free_space(tmp_path / "not/there/yet", 10**18)


# Adds one to the number in a file, many times, each time reading what another has left.
COUNT = """
import sys
from pathlib import Path
from senformer.storage import atomic_files

path = Path(sys.argv[1])
for _ in range(50):
    with atomic_files.lock(path):
        number = int(path.read_text()) + 1
        with atomic_files.replace_file(path) as unfinished:
            unfinished.write_text(str(number))
"""


def test_processes_that_hold_a_path_in_turn_lose_nothing_of_each_other(path):
    path.write_text("0")
    counting = [subprocess.Popen([sys.executable, "-c", COUNT, str(path)]) for _ in range(3)]
    assert [process.wait() for process in counting] == [0] * 3
    assert path.read_text() == "150"
    assert list(path.parent.iterdir()) == [path]


HOLD = """
import sys, time
from pathlib import Path
from senformer.storage import atomic_files

path = Path(sys.argv[1])
with atomic_files.lock(path), atomic_files.replace_file(path) as unfinished:
    unfinished.write_text("half")
    print("writing", flush=True)
    time.sleep(600)
"""


def test_what_a_killed_process_left_stops_nobody_and_is_removed(path):
    killed = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    killed.stdout.readline()
    killed.kill()
    killed.wait()
    assert path.read_bytes() == BEFORE
    assert (path.parent / atomic_files.UNFINISHED).exists()
    with atomic_files.lock(path):
        atomic_files.remove_leftover(path.parent)
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_is_being_written_is_no_leftover(path):
    with atomic_files.replace_file(path) as unfinished:
        unfinished.write_bytes(b"new")
        other = threading.Thread(target=atomic_files.remove_leftover, args=[path.parent])
        other.start()
        time.sleep(0.2)
        assert unfinished.exists()
    other.join()
    assert path.read_bytes() == b"new"


def test_one_that_waits_for_long_says_so(path, monkeypatch, capfd):
    monkeypatch.setattr(atomic_files, "_SECONDS_UNTIL_IT_SAYS_SO", 0.05)
    holding = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    holding.stdout.readline()
    threading.Timer(0.5, holding.kill).start()
    with atomic_files.lock(path):
        holding.wait()
    assert f"{path}: waiting for the process that is at it" in capfd.readouterr().err


def test_a_folder_is_there_when_it_is_filled_and_replaces_what_was_there(tmp_path):
    folder = tmp_path / "model"
    for content in ("old", "new"):
        with atomic_files.replace_folder(folder) as unfinished:
            (unfinished / content).write_text(content)
            assert not (folder / content).exists()
        assert [file.name for file in folder.iterdir()] == [content]
    with pytest.raises(RuntimeError), atomic_files.replace_folder(folder) as unfinished:
        (unfinished / "half").write_text("")
        raise RuntimeError("interrupted")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == [
        "model",
        "model/new",
    ]
