import re

import numpy as np
import pandas as pd

from senformer.report import tables


def test_long_sentences_are_not_cut():
    sentence = "word " * 60
    assert sentence.strip() in tables.show(pd.DataFrame({"statement": [sentence.strip()]})).data


def test_numbers_are_written_for_reading():
    frame = pd.DataFrame(
        {
            "sequence_length_bp": [131_072, 786_432],
            "pearson_r": [0.123456, np.nan],
            "tiny": [0.0000321, 0.0],
            "ratio": [1.0, 0.5],
            "measured": [3.0, np.nan],
            "fits": [True, False],
        }
    ).rename_axis(columns="model")
    html = tables.show(frame).data
    assert re.findall("<th>(.*?)</th>", html) == [
        "sequence length bp",
        "pearson r",
        "tiny",
        "ratio",
        "measured",
        "fits",
    ]
    assert re.findall("<td>(.*?)</td>", html) == [
        *["131,072", "0.123", "3.2e-05", "1.000", "3", "True"],
        *["786,432", "–", "0.000", "0.500", "–", "False"],
    ]


def test_a_table_without_rows_says_why_where_it_is_told():
    frame = pd.DataFrame({"sequence_length_bp": []})
    assert tables.show(frame, if_empty="Nothing < 1 bp.").data == "<p>Nothing &lt; 1 bp.</p>"
    assert "sequence length bp" in tables.show(frame).data
    assert "<p>" not in tables.show(pd.DataFrame({"a": [1]}), if_empty="Nothing.").data


def test_quartiles_stay_on_one_line_and_sentences_do_not():
    frame = pd.DataFrame(
        {"ratio": ["1.5 (1.2 – 1.8)"], "why": ["x (as the study, all of it, did)"]}
    )
    shown = tables.show(frame).data
    assert "1.5 (1.2\u00a0–\u2060\u00a01.8)" in shown
    assert "x (as the study, all of it, did)" in shown
