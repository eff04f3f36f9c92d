import shutil
import subprocess

import pytest

from senformer.workflow import notebooks


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the repository's files, without a run."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=notebooks.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    copy = tmp_path_factory.mktemp("project")
    for name in listed.stdout.splitlines():
        if (notebooks.ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(notebooks.ROOT / name, copy / name)
    return copy
