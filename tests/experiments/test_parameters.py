"""Values that no parameter accepts are refused by name, before any work."""

import pytest

from senformer.experiments.parameters import PARAMETERS

ALL = {name: kind for kind in PARAMETERS.values() for name in kind.model_fields}


@pytest.mark.parametrize("name", PARAMETERS)
def test_defaults_are_accepted(name):
    parameters = PARAMETERS[name]()
    assert parameters.output_folder == "../runs/interactive"


@pytest.mark.parametrize("name", sorted(ALL))
def test_parameter_names_values_of_wrong_type(name):
    for value in (-1, float("nan"), [None], object):
        with pytest.raises(ValueError, match=name.partition("_")[0]) as error:
            ALL[name](**{name: value})
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("steps", "1e-3", "steps='1e-3', expected a valid integer"),
        ("steps", True, "steps=True, expected a valid integer"),
        ("channels", 300, "channels=300, expected a multiple of 128"),
        ("attention", ["dense", "dense"], r"attention=.*, expected each value once"),
        ("attention", "dense", r"attention='dense', expected a valid list"),
        ("attention", ["sparse"], r"attention\[0\]='sparse', expected one of dense"),
        ("attention", [], r"attention=\[\], .*at least 1 item"),
        ("sequence_lengths_bp", [1000], "sequence_length_bp=1000 must be a multiple of 128"),
        ("more", [{"lenght": 1}], "unknown option 'lenght', expected one of"),
        ("more", [{"steps": -1}], r"steps=-1, expected at least 0"),
        ("more", [{"sequence_lengths_bp": 3}], r"sequence_lengths_bp=3, expected a list"),
        ("budget_gb", True, "budget_gb=True, expected a number"),
        ("budget_gb", float("inf"), "budget_gb=inf, expected a finite number"),
        ("data", ["x" * 10**6], r"^data=\['xxx.{50,200}$"),
        ("budget_gb", 0, "budget_gb=0.*, expected greater than 0"),
        ("compiled_for", ["k80"], r"compiled_for\[0\]='k80', device='k80', expected one of"),
        ("num_evaluations", 0, "num_evaluations=0, expected at least 1"),
        ("enformer_learning_rate", -1e-3, "enformer_learning_rate=-0.001, expected at least 0"),
        ("seed", 2**31 - 1, "seed=2147483647, expected less than 2147483647"),
        ("enformer_steps", 10**20, "enformer_steps=1.*0, expected at most 2147483647"),
        ("num_positions", 1, "num_positions=1, expected at least 2"),
        ("enformer_preset", "senformer", "enformer_preset='senformer', expected one of enformer,"),
        ("target_length", 300, "is 256 tokens, expected at least 300"),
        ("shown_tracks", [1.5], r"shown_tracks\[0\]=1.5, expected a valid string"),
    ],
)
def test_parameter_names_bad_values(name, value, message):
    with pytest.raises(ValueError, match=message):
        ALL[name](**{name: value})


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("reproduction", {"target_length": 191}, "target_length=191, expected an even number"),
        ("reproduction", {"context_length_bp": 65_536}, "at most sequence_length_bp=32768"),
        ("reproduction", {"context_length_bp": 24_000}, "context_length_bp: .*multiple of 128"),
        ("finetuning", {"sequence_length_bp": 32_896}, "a multiple of 2048 bp for bigbird"),
        ("finetuning", {"compared_length_bp": 2048}, "compared models: .* in blocks of 16 tokens"),
        ("receptive_field", {"compared_lengths_bp": [128]}, "compared models: "),
        ("memory", {"compiled_for": ["a100"], "compiled": {"steps": 0}}, "compiled_steps: .*miss"),
    ],
)
def test_parameters_name_impossible_combinations(name, values, message):
    with pytest.raises(ValueError, match=message):
        PARAMETERS[name](**values)


def test_rates_accept_scientific_notation_of_yaml():
    parameters = PARAMETERS["finetuning"](enformer_learning_rate="1e-3")
    assert parameters.enformer_learning_rate == 1e-3


def test_longest_input_includes_comparisons():
    field = PARAMETERS["receptive_field"]
    assert field().longest_input_bp == 65_536
    assert field(compared_lengths_bp=[32_768, 131_072]).longest_input_bp == 131_072
