"""The tutorial's code runs unchanged."""

import re
import subprocess
import sys

import pytest

from senformer.workflow import site


@pytest.mark.slow
def test_tutorial_code_compares_both_models(tmp_path):
    page = (site.BOOK / "tutorial.md").read_text()
    program = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.findall(r"^(dense|sparse)$", done.stdout, re.M) == ["dense", "sparse"]
    assert len(re.findall(r"^\d+ +[\w/ ]+ +0\.\d+", done.stdout, re.M)) == 8
    measured = re.findall(r"^(dense|bigbird_relative) ([\d.]+) GB, ([\d.]+) s$", done.stdout, re.M)
    assert [attention for attention, *_ in measured] == ["dense", "bigbird_relative"]
