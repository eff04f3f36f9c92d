import pytest

from senformer.workflow.plain_yaml import LARGEST, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-1.0e-5", -1e-5),
        (".inf", float("inf")),
        ("1e-3", "1e-3"),
        ("[a, 'b']", ["a", "b"]),
        ("- {a: null}\r\n- true\r\n", [{"a": None}, True]),
        ("", None),
        *((text, text) for text in ("no", "010", "0x10", "1_0", "1:30", "2020-01-01", "<<", "=")),
    ],
)
def test_parse_yaml_reads_plain_values(text, value):
    assert parse_yaml(text, "-p x") == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *(
            (text, "line 1 has a tag, an anchor or an alias")
            for text in (
                "!!bool maybe",
                "!!timestamp x",
                "!!map [1]",
                "!!set [a]",
                "!!binary a",
                "!!python/name:os.system x",
                "!own 3",
                "! 3",
                "[&a [1, 1], *a]",
            )
        ),
        ("a: 1\nb: &x {c: 1}", "line 2 has a tag"),
        ("{a: 1, 'a': 2}", "'a' is set twice"),
        ("{1: a, 1.0: b}", "'1' is set twice"),
        ("{[1]: a}", "unhashable key"),
        ("[" * 10_000, "nested deeper than 20 levels"),
        ("9" * 5000, "Exceeds the limit"),
        ("x" * (LARGEST + 1), "100,001 characters, expected at most 100,000"),
        ("---\n1\n---\n2", "expected a single document"),
        (r'"\ud800"', "surrogates not allowed"),
        ("\0", "unacceptable character"),
        ("[1", "not YAML"),
    ],
)
def test_parse_yaml_refuses_everything_else(text, message):
    with pytest.raises(ValueError, match=message) as error:
        parse_yaml(text, "-p x")
    assert str(error.value).startswith("-p x: ")
    assert "\n" not in str(error.value) and len(str(error.value)) < 500
