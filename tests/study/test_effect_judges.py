"""Judge claims about the receptive field by the curves of both models."""

from __future__ import annotations

import pandas as pd
from scanned_models import effects

from senformer.experiments.receptive_field.scan import is_reached
from senformer.study import claims
from senformer.study.effect_curves import NO_SPREAD
from senformer.study.judges import judge_claims
from senformer.study.verdicts import AGREES, CONTRADICTS, DIFFERS, UNDECIDED


class TestClaims:
    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        changes = pd.concat(
            [
                effects().assign(model=model, abs_change=change)
                for model, change in (
                    ("Enformer", [1.0, 2, 1, 1] * 3),
                    ("S-Enformer", [3.0, 3, 3, 3, 1, 9, 1, 1, 3, 3, 3, 3]),
                )
            ],
            ignore_index=True,
        )
        return changes, changes.assign(abs_change=1e-3)

    def judge(self, changes, noise, unlike=""):
        tables = {"changes": changes.assign(is_reached=is_reached(changes, noise))}
        return judge_claims("receptive_field", tables, unlike).set_index("key")

    def test_every_finding_is_judged(self):
        table = self.judge(*self.tables())
        findings = {
            claim.key
            for claim in claims.CLAIMS
            if claim.key.startswith("receptive_field.") and claim.kind == "finding"
        }
        assert findings <= set(table.index)
        assert table.loc["receptive_field.full", "verdict"] == AGREES
        assert table.loc["receptive_field.shape", "verdict"] == AGREES
        assert table.loc["receptive_field.code_leading_blocks", "verdict"] == AGREES

    def test_noise_and_flat_curves_change_verdicts(self):
        changes, noise = self.tables()
        noise.loc[0, "abs_change"] = 1.0
        changes.loc[changes["model"] == "S-Enformer", "abs_change"] = 3.0
        table = self.judge(changes, noise)
        assert table.loc["receptive_field.full", "verdict"] == UNDECIDED
        assert "Enformer: 91.7% of bins" in table.loc["receptive_field.full", "measured"]
        assert table.loc["receptive_field.shape", "verdict"] == CONTRADICTS

    def test_nearly_equal_curves_leave_shape_open(self):
        changes, noise = self.tables()
        is_enformers = changes["model"] == "Enformer"
        changes.loc[~is_enformers, "abs_change"] = (
            1.05 * changes.loc[is_enformers, "abs_change"].to_numpy()
        )
        row = self.judge(changes, noise).loc["receptive_field.shape"]
        assert (row["verdict"], row["reason"]) == (UNDECIDED, NO_SPREAD)

    def test_other_settings_give_no_verdict(self):
        table = self.judge(*self.tables(), unlike="here 2 layers instead of 11.")
        for key in ("receptive_field.full", "receptive_field.shape"):
            assert table.loc[key, "verdict"] == DIFFERS
            assert table.loc[key, "reason"] == "here 2 layers instead of 11."
