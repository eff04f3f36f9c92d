"""Rows of compiled steps, from a stand-in for the compiler."""

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
    """A Python that records each call and reports a peak of 30 GB, or fails."""
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
    monkeypatch.setattr(compilations, "_export_in_child", lambda step, program: "")
    return tmp_path


def num_calls(folder):
    return len((folder / "calls").read_text().splitlines())


def test_compile_all_keeps_a_row_per_card(compiler, tmp_path):
    names = ["rtx6000", "a100"]
    frame = compilations.compile_all([STEP], names, tmp_path / "rows")
    assert list(frame["device"]) == names
    assert list(frame["status"]) == ["out_of_memory", "compiled"]  # 30 GB of 25, of 42
    assert list(frame["device_label"]) == ["Quadro RTX 6000 (24 GB)", "A100 (40 GB)"]
    assert (frame["peak_memory_gb"] == 30).all()
    assert frame["message"].iloc[0] == "30.0 GB, Quadro RTX 6000 (24 GB) has 25.43"
    again = compilations.compile_all([STEP], names, tmp_path / "rows")
    pd.testing.assert_frame_equal(frame, again)
    assert num_calls(compiler) == 2


def test_compile_once_ignores_timing_and_budget(compiler, tmp_path):
    for steps, budget_gb in ((0, None), (5, 24.0)):
        step = STEP.replace(steps=steps, budget_gb=budget_gb)
        compilations.compile_once(step, [cards.load_card("h100")], tmp_path)
    assert num_calls(compiler) == 1


def test_compile_once_repeats_a_failed_step(compiler, tmp_path):
    (compiler / "broken").touch()
    [row] = compilations.compile_once(STEP, [cards.load_card("h100")], tmp_path)
    assert (row["status"], row["message"]) == ("failed", "it broke")
    assert row["peak_memory_gb"] is None
    (compiler / "broken").unlink()
    [row] = compilations.compile_once(STEP, [cards.load_card("h100")], tmp_path)
    assert row["status"] == "compiled"


def test_least_times_follow_the_data_sheet():
    card = cards.load_card("rtx6000").replace(
        tflops={"float32": 2.0}, bandwidth_gb_per_second=100.0
    )
    row = {"status": "compiled", "compute_dtype": "float32"}
    row |= {"kernels": 1000, "operations": 4e12, "bytes_moved": 300e9}
    assert compilations.least_times(row, card) == {
        "operations_seconds": 2,
        "bytes_seconds": 3,
        "launches_seconds": pytest.approx(4e-3),
        "least_seconds": 3,
    }


def test_corrected_rates_need_no_compiler(compiler, tmp_path):
    slow = cards.load_card("h100")
    fast = slow.replace(bandwidth_gb_per_second=2 * slow.bandwidth_gb_per_second)
    [before], [after] = (compilations.compile_once(STEP, [c], tmp_path) for c in (slow, fast))
    assert num_calls(compiler) == 1
    assert after["bytes_seconds"] == before["bytes_seconds"] / 2


def test_missing_compiler_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setenv(compilations.COMPILER, str(tmp_path / "nothing"))
    with pytest.raises(FileNotFoundError, match="`make gpu-compiler` installs it"):
        compilations.compile_once(STEP, [cards.load_card("h100")], tmp_path)


def test_compile_all_without_cards_has_all_columns(tmp_path):
    frame = compilations.compile_all([STEP], [], tmp_path)
    assert frame.empty
    assert {"attention", "peak_memory_gb", "device_label"} <= set(frame)
