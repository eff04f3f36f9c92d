import pytest

from senformer.workflow import yaml_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1.0e-3", 0.001),
        ("010", 10),
        ("32_768", 32_768),
        ("1:30", "1:30"),
        ("no", "no"),
        ("true", True),
        ("null", None),
        ("", None),
        ("[a, '1e5', 1e5]", ["a", "1e5", 1e5]),
        ("{a: {b: [1, 2.5]}}", {"a": {"b": [1, 2.5]}}),
    ],
)
def test_a_value_is_what_it_looks_like(text, value):
    loaded = yaml_text.load(text, "memory.yaml")
    assert loaded == value and type(loaded) is type(value)
    assert yaml_text.load(yaml_text.dump([value]), "memory.yaml") == [value]


@pytest.mark.parametrize("text", ["1e5", "010", "1:30", "no", "null", "", "a: b", "#", "'", "[x]"])
def test_a_text_stays_one(text):
    assert yaml_text.load(yaml_text.dump([text]), "memory.yaml") == [text]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\nb: 2\na: 3", "'a' stands twice"),
        ("1: 2", "1 is no name"),
        ("[1, 2", "expected ',' or ']'"),
        ("!!python/object:os.system x", "could not determine a constructor"),
        ("a: \x07", "special characters are not allowed"),
    ],
)
def test_what_is_not_yaml_is_refused_in_one_line_that_names_the_file(text, reason):
    with pytest.raises(ValueError, match=r"^memory\.yaml: not YAML \(") as error:
        yaml_text.load(text, "memory.yaml")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
