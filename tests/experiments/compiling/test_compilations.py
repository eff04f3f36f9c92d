"""Rows of compiled steps, with a compiler that says what it is told to say."""

import dataclasses
import json
import sys

import pandas as pd
import pytest

from senformer.experiments.compiling import cards, compilations
from senformer.experiments.memory_and_time.grid import Measurement

STEP = Measurement(
    attention="dense", num_transformer_layers=1, channels=256, sequence_length_bp=2_048, steps=3
)
PROGRAM = "ENTRY %main (a: f32[4]) -> f32[4] {\n  %a = f32[4]{0} parameter(0)\n}\n"


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """A Python that notes each call and answers with a peak of 30 GB, or fails."""
    calls = tmp_path / "calls"
    answer = {"peak_bytes": 30e9, "argument_bytes": 2e9, "temporary_bytes": 1e9, "compiler": "x"}
    script = tmp_path / "python"
    script.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, sys\n"
        f"with open({str(calls)!r}, 'a') as file: file.write('call\\n')\n"
        f"if pathlib.Path({str(tmp_path / 'broken')!r}).exists(): sys.exit('it broke')\n"
        f"pathlib.Path(sys.argv[4]).write_text({PROGRAM!r})\n"
        f"print({json.dumps(answer)!r})\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv(compilations.COMPILER, str(script))
    monkeypatch.setattr(compilations, "_export_in_a_new_process", lambda step, program: "")
    return tmp_path


def num_calls(folder):
    path = folder / "calls"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_a_row_is_of_one_step_and_card_and_is_kept(compiler, tmp_path):
    wanted = [cards.load("rtx6000"), cards.load("a100")]
    frame = compilations.compile_all([STEP], wanted, tmp_path / "rows")
    assert list(frame["device"]) == ["rtx6000", "a100"]
    assert list(frame["status"]) == ["out_of_memory", "compiled"]  # 30 GB of 25, of 42
    assert list(frame["device_label"]) == ["Quadro RTX 6000 (24 GB)", "A100 (40 GB)"]
    assert (frame["peak_memory_gb"] == 30).all()
    assert frame["message"].iloc[0] == "30.0 GB, Quadro RTX 6000 (24 GB) has 25.43"
    again = compilations.compile_all([STEP], wanted, tmp_path / "rows")
    pd.testing.assert_frame_equal(frame, again)
    assert num_calls(compiler) == 2


def test_how_often_a_step_would_be_timed_makes_no_other_row(compiler, tmp_path):
    for steps, budget_gb in ((0, None), (5, 24.0)):
        step = dataclasses.replace(STEP, steps=steps, budget_gb=budget_gb)
        compilations.compile_once(step, [cards.load("h100")], tmp_path)
    assert num_calls(compiler) == 1


def test_a_failure_is_a_row_and_is_tried_again(compiler, tmp_path):
    (compiler / "broken").touch()
    [row] = compilations.compile_once(STEP, [cards.load("h100")], tmp_path)
    assert (row["status"], row["message"]) == ("failed", "it broke")
    assert row["peak_memory_gb"] is None
    (compiler / "broken").unlink()
    [row] = compilations.compile_once(STEP, [cards.load("h100")], tmp_path)
    assert row["status"] == "compiled"


def test_the_least_time_is_the_longest_of_three():
    card = dataclasses.replace(
        cards.load("rtx6000"), tflops={"float32": 2.0}, bandwidth_gb_per_second=100.0
    )
    row = {"status": "compiled", "compute_dtype": "float32"}
    row |= {"kernels": 1000, "operations": 4e12, "bytes_moved": 300e9}
    assert compilations.least_times(row, card) == {
        "operations_seconds": 2,
        "bytes_seconds": 3,
        "launches_seconds": pytest.approx(4e-3),
        "least_seconds": 3,
    }


def test_a_rate_that_is_put_right_needs_no_compiler(compiler, tmp_path):
    slow = cards.load("h100")
    fast = dataclasses.replace(slow, bandwidth_gb_per_second=2 * slow.bandwidth_gb_per_second)
    [before], [after] = (compilations.compile_once(STEP, [c], tmp_path) for c in (slow, fast))
    assert num_calls(compiler) == 1
    assert after["bytes_seconds"] == before["bytes_seconds"] / 2


def test_without_a_compiler_one_line_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv(compilations.COMPILER, str(tmp_path / "nothing"))
    with pytest.raises(FileNotFoundError, match="`make gpu-compiler` installs it"):
        compilations.compile_once(STEP, [cards.load("h100")], tmp_path)


def test_of_no_card_there_are_no_rows_and_all_columns(tmp_path):
    frame = compilations.compile_all([STEP], [], tmp_path)
    assert frame.empty
    assert {"attention", "peak_memory_gb", "device_label"} <= set(frame)
