"""Whatever no parameter can be is refused by its name, before any work."""

import pytest

from senformer.workflow import notebooks, parameters
from senformer.workflow.parameters import RULES


def test_every_parameter_of_every_notebook_has_a_rule():
    of_notebooks = {name for notebook in notebooks.ORDER for name in default(notebook)}
    assert set(RULES) == of_notebooks


def default(notebook):
    return notebooks.default_parameters(notebook)


def notebook_of(name):
    return next(notebook for notebook in notebooks.ORDER if name in default(notebook))


def refused(name, value, message, notebook=None, **others):
    with pytest.raises(ValueError, match=message) as error:
        notebooks.parameters_for(
            notebook or notebook_of(name), profile="demo", parameters={name: value, **others}
        )
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_value_of_another_kind_is_refused_by_name(name):
    rule = RULES[name]
    for wrong in (-1, 2.5, float("nan"), "", "1e-3", [], {}, True, [None], "x"):
        is_allowed = {
            parameters.Number: wrong == 2.5,
            parameters.Text: isinstance(wrong, str) and not getattr(rule, "choices", ()),
            parameters.ListOf: wrong == [] and getattr(rule, "may_be_empty", False),
            parameters.PartOf: wrong == {},
            parameters.Whole: False,
        }[type(rule)]
        if is_allowed and (wrong != "" or rule.may_be_empty):
            rule.expect(name, wrong)
        else:
            with pytest.raises(ValueError, match=rf"^{name}.*=.*, expected"):
                rule.expect(name, wrong)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("steps", "1e-3", "steps='1e-3', expected a whole number"),
        ("channels", "256", "channels='256', expected a whole number"),
        ("channels", 200, "channels=200, expected a multiple of 128"),
        ("attention", ["dense", "dense"], r"attention\[1\]='dense', expected each once"),
        ("attention", "dense", r"attention='dense', expected a list, such as \[dense\]"),
        ("attention", [], r"attention=\[\], expected a list of at least one"),
        ("sequence_lengths_bp", [1000], "sequence_length_bp=1000 must be a multiple of 128"),
        ("more", [{"lenght": 1}], r"more\[0\]: unknown parameter 'lenght', expected one of atten"),
        ("more", [{"steps": -1}], r"more\[0\]: steps=-1, expected at least 0"),
        ("budget_gb", 0, "budget_gb=0, expected more than 0"),
        ("num_evaluations", 0, "num_evaluations=0, expected at least 1"),
        (
            "enformer_learning_rate",
            -1e-3,
            "enformer_learning_rate=-0.001, expected a finite number",
        ),
        ("seed", 2**31, "seed=2147483648, expected at most 2147483646"),
        ("enformer_steps", 10**20, "enformer_steps=1.*0, expected at most 2147483647"),
        ("num_positions", 1, "num_positions=1, expected at least 2"),
        ("enformer_preset", "senformer", "enformer_preset='senformer', expected one of enformer,"),
        ("target_length", 300, "is 256 tokens, expected at least 300"),
        ("target_length", 191, "target_length=191, expected an even number: strands are averaged"),
        ("context_length_bp", 65_536, "expected at most sequence_length_bp=32768"),
        ("context_length_bp", 24_000, "context_length_bp, as .*must be a multiple of 128"),
        ("shown_tracks", [1.5], r"shown_tracks\[0\]=1.5, expected a text"),
    ],
)
def test_what_makes_no_sense_is_refused(name, value, message):
    refused(name, value, message)


def test_a_length_that_sparse_attention_does_not_take_is_refused():
    refused("sequence_length_bp", 32_896, "must be a multiple of 2048 bp for bigbird", "finetuning")


def test_cards_that_are_not_there_and_steps_that_are_half_asked_for_are_refused():
    refused(
        "compiled_for",
        ["k80"],
        "compiled_for: device='k80', expected one of",
        compiled={"steps": 0},
    )
    with pytest.raises(ValueError, match=r"compiled=\{'steps': 0\}, expected attention among it"):
        notebooks.parameters_for(
            "memory",
            profile="demo",
            parameters={"compiled_for": ["a100"], "compiled": {"steps": 0}},
        )


def test_a_parameter_without_a_rule_is_refused():
    with pytest.raises(ValueError, match="divisor=1: no rule says what it may be"):
        parameters.expect_parameters({"divisor": 1})


def test_a_number_in_a_profile_may_be_written_as_in_python(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "shared.yaml").write_text("enformer_learning_rate: 1e-3\nseed: 010\n")
    monkeypatch.setattr(notebooks, "PROFILES", tmp_path)
    values = notebooks.parameters_for("finetuning", profile="mine")
    assert (values["enformer_learning_rate"], values["seed"]) == (1e-3, 10)
    (tmp_path / "mine" / "shared.yaml").write_text("seed: 1\nseed: 2\n")
    with pytest.raises(ValueError, match=r"shared\.yaml: not YAML \('seed' stands twice\)"):
        notebooks.parameters_for("finetuning", profile="mine")
