import re

import numpy as np
import pandas as pd
import pytest

from senformer.report import tables


def cells(shown, tag):
    return re.findall(f'<{tag} class="(.*?)">(.*?)</{tag}>', shown.data)


def test_show_cuts_no_text():
    sentence = ("word " * 60).strip()
    shown = tables.show(pd.DataFrame({"statement": [sentence]})).data
    assert sentence in shown
    assert 'class="dataframe sentences"' in shown


def test_show_formats_headings_and_numbers():
    frame = pd.DataFrame(
        {
            "sequence_length_bp": [131_072, 786_432],
            "pearson_r": [0.123456, np.nan],
            "tiny": [0.0000321, 0.0],
            "measured": [3.0, np.nan],
            "fits": [True, False],
            "dense, 1 layer": ["a < b", "c"],
        }
    ).rename_axis(columns="model")
    shown = tables.show(frame)
    assert cells(shown, "th") == [
        ("number", "Input length (bp)"),
        ("number", "Pearson&#x27;s r"),
        ("number", "Tiny"),
        ("number", "Measured"),
        ("text", "Fits"),
        ("text", "Dense, 1 layer"),
    ]
    assert [text for _, text in cells(shown, "td")] == [
        *["131,072", "0.123", "3.2e-05", "3", "True", "a &lt; b"],
        *["786,432", "–", "0.000", "–", "False", "c"],
    ]


def test_show_names_a_key_without_a_heading():
    with pytest.raises(ValueError, match=r"column 'raw_key' has no heading; add one"):
        tables.show(pd.DataFrame({"raw_key": [1]}))


def test_show_explains_an_empty_table():
    frame = pd.DataFrame({"sequence_length_bp": []})
    assert tables.show(frame, if_empty="Nothing < 1 bp.").data == "<p>Nothing &lt; 1 bp.</p>"
    assert "Input length (bp)" in tables.show(frame).data
    assert "<p>" not in tables.show(pd.DataFrame({"a": [1]}), if_empty="Nothing.").data


def test_show_breaks_no_line_within_short_brackets():
    frame = pd.DataFrame({"between": ["1.5 (1.2 – 1.8)"], "why": ["x (as the study, all of it)"]})
    shown = tables.show(frame).data
    assert "1.5 (1.2\u00a0–\u2060\u00a01.8)" in shown
    assert "x (as the study, all of it)" in shown
