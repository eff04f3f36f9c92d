import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from full_disk import largest_file

from senformer.storage import atomic_files

BEFORE = b"earlier content"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "kept.bin"
    path.write_bytes(BEFORE)
    return path


def test_replace_file_replaces_when_complete(path):
    with atomic_files.replace_file(path) as unfinished:
        unfinished.write_bytes(b"new")
        assert path.read_bytes() == BEFORE
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_replace_file_sets_the_usual_mode(path):
    before = os.umask(0o027)
    try:
        with atomic_files.replace_file(path) as unfinished:
            unfinished.touch(mode=0o600)  # the mode of some libraries' files
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_replace_file_keeps_the_file_on_errors(path):
    with pytest.raises(RuntimeError), atomic_files.replace_file(path) as file:
        file.write_bytes(b"half")
        raise RuntimeError("interrupted")
    with (
        largest_file(1000),
        pytest.raises(OSError, match=r"kept.bin: not written, an earlier file is") as error,
        atomic_files.replace_file(path) as file,
    ):
        file.write_bytes(b"x" * 1001)
    assert os.strerror(errno.EFBIG) in str(error.value)
    assert "\n" not in str(error.value)
    assert path.read_bytes() == BEFORE
    assert list(path.parent.iterdir()) == [path]


def test_replace_folder_replaces_when_complete(tmp_path):
    folder = tmp_path / "model"
    for content in ("old", "new"):
        with atomic_files.replace_folder(folder) as unfinished:
            (unfinished / content).write_text(content)
            assert not (folder / content).exists()
        assert [file.name for file in folder.iterdir()] == [content]
    with pytest.raises(RuntimeError), atomic_files.replace_folder(folder) as unfinished:
        (unfinished / "half").write_text("")
        raise RuntimeError("interrupted")
    assert sorted(tmp_path.rglob("*")) == [folder, folder / "new"]


# Replace a folder by one of a higher number; every kill leaves a complete one.
REPLACE = """
import sys
from pathlib import Path
from kill_at_every_step import kill_at_every_step
from senformer.storage import atomic_files

folder = Path(sys.argv[1])

def replace():
    with atomic_files.replace_folder(folder) as unfinished:
        for name in ("a", "b"):
            (unfinished / name).write_text(str(int((folder / name).read_text()) + 1))

def check():
    atomic_files.repair_folder(folder)
    a, b = (int((folder / name).read_text()) for name in ("a", "b"))
    assert a == b, (a, b)
    assert {path.name for path in folder.parent.iterdir()} <= {folder.name, ".model.lock"}
    with atomic_files.lock(folder):
        pass

print(kill_at_every_step(replace, check, folder.parent))
"""


def test_replace_folder_survives_every_kill(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_text("0")
    search = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", REPLACE, str(folder)],
        env={**os.environ, "PYTHONPATH": search},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) > 15
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("name", ["file", "link", "dangling", "loop"])
def test_replace_folder_replaces_only_folders(name, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(BEFORE)
    for link, target in (("link", "folder"), ("dangling", "nowhere"), ("loop", "loop")):
        (tmp_path / link).symlink_to(target)
    before = sorted(tmp_path.iterdir())
    message = rf"{name}: is a file or a link, expected a folder or a new name"
    with (
        pytest.raises(FileExistsError, match=message),
        atomic_files.replace_folder(tmp_path / name),
    ):
        pytest.fail("did work")
    assert sorted(tmp_path.iterdir()) == before


def test_work_folder_needs_a_name():
    with (
        pytest.raises(ValueError, match="/: expected the name"),
        atomic_files.work_folder(Path("/")),
    ):
        pytest.fail("did work")


def test_check_free_space_names_both_sizes(tmp_path):
    atomic_files.check_free_space(tmp_path / "not/there/yet", 1)
    with pytest.raises(OSError, match=r"there/yet: needs 1e\+09 GB, but only .* GB are free"):
        atomic_files.check_free_space(tmp_path / "not/there/yet", 10**18)


# Increase the number in a file many times.
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

# Write half of a file and wait.
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


@pytest.fixture
def holder(path):
    """Start a process that holds the path while it writes."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()


def test_lock_excludes_other_processes(path):
    path.write_text("0")
    counting = [subprocess.Popen([sys.executable, "-c", COUNT, str(path)]) for _ in range(3)]
    assert [process.wait() for process in counting] == [0] * 3
    assert path.read_text() == "150"
    assert list(path.parent.iterdir()) == [path]


def test_lock_prints_a_message_while_waiting(path, holder, monkeypatch, capfd):
    monkeypatch.setattr(atomic_files, "_SECONDS_BEFORE_MESSAGE", 0.05)
    threading.Timer(0.5, holder.kill).start()
    with atomic_files.lock(path):
        holder.wait()
    assert f"{path}: waiting for the process that uses it" in capfd.readouterr().err


def test_remove_leftover_of_a_killed_process(path, holder):
    holder.kill()
    holder.wait()
    assert path.read_bytes() == BEFORE
    assert (path.parent / atomic_files.UNFINISHED).exists()
    with atomic_files.lock(path):
        atomic_files.remove_leftover(path.parent)
    assert list(path.parent.iterdir()) == [path]


def test_remove_leftover_waits_for_a_writer(path):
    with atomic_files.replace_file(path) as unfinished:
        unfinished.write_bytes(b"new")
        other = threading.Thread(target=atomic_files.remove_leftover, args=[path.parent])
        other.start()
        time.sleep(0.2)
        assert unfinished.exists()
    other.join()
    assert path.read_bytes() == b"new"
