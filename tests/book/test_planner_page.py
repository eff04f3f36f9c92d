"""The memory planner's page in a browser."""

import re

import pytest
from demo_run import compiled_memory, measured_memory

from senformer.attention_kinds import attention_kind
from senformer.experiments.memory_and_time import planner


def ask(page, *, device="cpu", budget_gb, length, layers, trainable="attention"):
    """Fill the planner's form and return the cells of its table by attention."""
    page.locator("select[name=device]").select_option(device)
    page.locator("select[name=trainable]").select_option(trainable)
    page.get_by_role("spinbutton", name="Memory of the device").fill(str(budget_gb))
    page.get_by_role("spinbutton", name="Input length").fill(str(length))
    page.get_by_role("spinbutton", name="Transformer layers").fill(str(layers))
    rows = page.locator("form.memory-planner tbody tr").all()
    cells = [
        [cell.replace("\N{NO-BREAK SPACE}", " ") for cell in r.locator("td").all_inner_texts()]
        for r in rows
    ]
    return {label: tuple(rest) for label, *rest in cells}


def test_planner_agrees_with_the_package(demo_site, desktop):
    page = desktop.open(demo_site / "planner.html")
    model = planner.fit_memory(measured_memory())
    longest_measured = measured_memory()["sequence_length_bp"].max()
    for layers, budget_gb, length in ((3, 8, 131_072), (16, 2, 8192)):
        answers = ask(page, budget_gb=budget_gb, length=length, layers=layers)
        for attention in ("dense", "bigbird"):
            asked = {"attention": attention, "trainable": "attention", "channels": 256}
            asked |= {"num_transformer_layers": layers}
            verdict, peak_text, reach = answers[attention_kind(attention).label]
            step = planner.PlannedStep(sequence_length_bp=length, **asked)
            peak = planner.predict_peak_gb(model, step)
            error = model[attention, "attention"].largest_error
            assert float(re.match(r"[\d.]+", peak_text)[0]) == pytest.approx(peak, rel=5e-3)
            assert (verdict == "fits") == (peak * (1 + error) <= budget_gb)
            assert (verdict == "does not fit") == (peak * (1 - error) > budget_gb)
            longest = planner.longest_sequence_bp(model, step, budget_gb=budget_gb)
            expected = f"{longest:,} bp" if longest < 2 * longest_measured else "or more"
            assert expected in reach


def test_planner_explains_unanswerable_questions(demo_site, desktop):
    page = desktop.open(demo_site / "planner.html")
    output = page.locator("form.memory-planner output")
    longest = int(measured_memory()["sequence_length_bp"].max())
    answers = ask(page, budget_gb=1000, length=2 * longest + 8192, layers=4)
    assert {verdict for verdict, *_ in answers.values()} == {"cannot be said"}
    assert ask(page, budget_gb=8, length=100_000, layers=4) == {}
    assert "ask for 98,304 bp or 106,496 bp" in output.inner_text().replace(
        "\N{NO-BREAK SPACE}", " "
    )
    assert ask(page, budget_gb=8, length=131_072, layers=99) == {}
    assert "The layers are at least 1 and at most 16" in output.inner_text()


def test_planner_gives_a_cards_compiled_peaks(demo_site, desktop):
    page = desktop.open(demo_site / "planner.html")
    assert page.get_by_role("spinbutton", name="Memory of the device").input_value() == "1"
    for row in compiled_memory().itertuples():
        asked = {"device": row.device, "budget_gb": row.device_memory_gb}
        asked |= {"length": row.sequence_length_bp, "layers": row.num_transformer_layers}
        verdict, peak_text, _ = ask(page, **asked)[attention_kind(row.attention).label]
        assert float(peak_text.removesuffix(" GB (compiled)")) == pytest.approx(
            row.peak_memory_gb, rel=5e-3
        )
        assert verdict == ("fits" if row.status == "compiled" else "does not fit")
    page.locator("select[name=device]").select_option("cpu")
    page.locator("select[name=device]").select_option("card")
    assert page.get_by_role("spinbutton", name="Memory of the device").input_value() == "1"


def test_planner_draws_its_answers(demo_site, desktop):
    page = desktop.open(demo_site / "planner.html")
    model = planner.fit_memory(measured_memory())
    asked = "document.querySelector('.js-plotly-plot').data.at(-1).y[0]"
    ask(page, budget_gb=3, length=65_536, layers=4)
    page.wait_for_function(f"{asked} !== null")
    drawn = page.evaluate(
        "document.querySelector('.js-plotly-plot').data.map(({x, y, meta}) => ({x, y, ...meta}))"
    )
    curves = {(curve["part"], curve["attention"]): curve for curve in drawn}
    step = {"trainable": "attention", "channels": 256, "num_transformer_layers": 4}
    for kind in ("dense", "bigbird"):
        fit, beyond, known = (curves[part, kind] for part in ("fit", "beyond", "known"))
        for curve in (fit, beyond):
            steps = [planner.PlannedStep(kind, sequence_length_bp=x, **step) for x in curve["x"]]
            peaks = [planner.predict_peak_gb(model, planned) for planned in steps]
            assert curve["y"] == pytest.approx(peaks)
        points = measured_memory().query("attention == @kind and num_transformer_layers == 4")
        assert known["x"] == list(points["sequence_length_bp"])
        assert known["y"] == pytest.approx(list(points["peak_memory_gb"]))
        assert fit["x"][-1] == beyond["x"][0] and max(beyond["x"]) <= 2 * max(known["x"])
    assert set(curves["budget", ""]["y"]) == {3}
    assert set(curves["asked", ""]["x"]) == {65_536}
    assert len(curves["asked", ""]["y"]) == len(model)
    ask(page, budget_gb=3, length=100_000, layers=4)
    page.wait_for_function(f"{asked} === null")
