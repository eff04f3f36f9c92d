import numpy as np
import pandas as pd

from senformer import tables


def test_long_sentences_are_not_cut():
    sentence = "word " * 60
    assert sentence.strip() in tables.show(pd.DataFrame({"statement": [sentence.strip()]})).data


def test_numbers_are_written_for_reading():
    frame = pd.DataFrame(
        {
            "sequence_length_bp": [131_072, 786_432],
            "pearson_r": [0.123456, np.nan],
            "tiny": [0.0000321, 0.0],
            "fits": [True, False],
        }
    )
    html = tables.show(frame).data
    for text in ("sequence length bp", "131,072", "0.123<", "–", "3.2e-05", "True"):
        assert text in html
    assert "0.123456" not in html
