"""Damage a profile and a table of results."""

import math
import re
from pathlib import Path
from typing import Any
from unittest.mock import patch

import damages
import numpy as np
import pandas as pd
from formats import Format
from provenance_example import PROVENANCE

from senformer.experiments.parameters import FinetuningParameters
from senformer.report import results
from senformer.workflow import notebooks


def profile(folder: Path) -> Format:
    (folder / "mine").mkdir()
    file = folder / "mine" / "finetuning.yaml"
    file.write_text(
        "# A comment.\nenformer_preset: enformer_tiny\nenformer_steps: 30\n"
        "enformer_learning_rate: 1.0e-3\nsequence_length_bp: 32768\ntarget_length: 192\n"
        "senformer_steps: 40\nnum_evaluations: 3\nnum_validation_sequences: 8\n"
    )
    damage = damages.of_table(file.read_bytes(), ": ", 1)

    def read() -> dict[str, Any]:
        with patch.object(notebooks, "PROFILES", folder):
            values = notebooks.profile_parameters("mine", "finetuning")
        try:
            parameters = FinetuningParameters(**values)
        except ValueError as error:  # it names the parameter
            raise ValueError(f"{file}: {error}") from None
        return parameters.model_dump(include=set(values))

    called = ("profile 'mine'", "profiles/mine/finetuning.yaml")
    return Format(file, read, damage, _are_other_parameters, called=called)


def _are_other_parameters(done: str, damaged: bytes, found: dict[str, Any]) -> bool:
    """Accept missing parameters, and possible values that are as written."""
    written = {}
    for line in damaged.decode("utf-8-sig").splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if line:
            name, value = re.fullmatch(r"\"?'?(\w+)\"?'?\s*:(?:\s+(\S+))?", line).groups("")
            written[name] = value.strip("\"'")
    is_as_written = set(written) == set(found) and all(
        found[name] == written[name]
        if isinstance(found[name], str)
        else found[name] is None
        if written[name] in ("", "null", "~")
        else float(written[name]) == float(found[name])
        for name in written
    )
    lengths = {"sequence_length_bp": 32_768, "target_length": 192, **found}
    return (
        is_as_written
        and all(0 <= value < math.inf for value in found.values() if isinstance(value, int | float))
        and lengths["sequence_length_bp"] % 2048 == 0
        and 1 <= lengths["target_length"] <= lengths["sequence_length_bp"] // 128
        and found.get("enformer_preset", "enformer") in ("enformer", "enformer_tiny")
    )


def result_table(folder: Path) -> Format:
    rows = {"track_type": ["CAGE", "RNA", "Other"], "pearson_r": [0.1 + 0.2, np.nan, -1.0]}
    frame = pd.DataFrame({**rows, "num_tracks": [1, 2, 3]})
    file = results.write(frame, folder / "table.csv", PROVENANCE)
    damage = damages.of_table(file.read_bytes(), ",", 2)
    return Format(file, lambda: results.read(file), damage)
