"""The commands of the page "Use it" run unchanged."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pyBigWig
import pytest

from senformer.config import preset
from senformer.data.simulation import simulate
from senformer.model import checkpoints
from senformer.model.enformer import Enformer
from senformer.workflow import site


@pytest.mark.slow
def test_use_commands_run_on_a_demos_files(tmp_path):
    run = tmp_path / "runs" / "demo"
    splits = {"train": 1, "valid": 1, "test": 4}
    simulate.write_dataset(run / "simulated_0", num_sequences={"human": splits}, flank_bp=0)
    config = preset("enformer_tiny", target_length=192, tracks={"human": 16, "mouse": 10})
    checkpoints.save(Enformer(config), run / "models" / "enformer_tiny-attention-0123.safetensors")
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    page = (site.BOOK / "use.md").read_text()
    for language, program in re.findall(r"```(sh|python)\n(.*?)```", page, re.DOTALL):
        shell = ["bash", "-e", "-c"] if language == "sh" else [sys.executable, "-c"]
        subprocess.run([*shell, program], check=True, cwd=tmp_path, env={**os.environ})
    files = sorted((run / "coverage").glob("*.bw"))
    assert [file.stem for file in files] == ["SIMH000", "SIMH001", "SIMH002", "SIMH014", "SIMH015"]
    with pyBigWig.open(str(files[0])) as coverage:
        assert coverage.header()["nBasesCovered"] == 3 * 32_768
