"""Claims about the receptive field are judged by the curves of both models."""

from __future__ import annotations

import pandas as pd
from scanned_models import effects

from senformer.experiments.receptive_field.judgement import judge_claims
from senformer.report import published


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
        frame = judge_claims(changes, noise, num_sequences=100, unlike=unlike)
        return frame.set_index("key")

    def test_every_claim_is_judged(self):
        table = self.judge(*self.tables())
        keys = [claim.key for claim in published.CLAIMS if claim.key.startswith("receptive_field.")]
        assert sorted(table.index) == sorted(keys)
        assert table.loc["receptive_field.full", "agrees"] == "yes"
        assert table.loc["receptive_field.shape", "agrees"] == "yes"
        assert table.loc["receptive_field.num_sequences", "agrees"] == "yes"
        assert table.loc["receptive_field.code_leading_blocks", "agrees"] == "yes"

    def test_a_bin_in_the_noise_and_a_flat_middle_disagree(self):
        changes, noise = self.tables()
        noise.loc[0, "abs_change"] = 1.0
        changes.loc[changes["model"] == "S-Enformer", "abs_change"] = 3.0
        table = self.judge(changes, noise)
        assert table.loc["receptive_field.full", "agrees"] == "no"
        assert "Enformer: 91.7% of bins" in table.loc["receptive_field.full", "measured"]
        assert table.loc["receptive_field.shape", "agrees"] == "no"

    def test_a_run_unlike_the_study_is_measured_but_not_judged(self):
        table = self.judge(*self.tables(), unlike="here 2 layers instead of 11.")
        for key in ("receptive_field.full", "receptive_field.shape"):
            assert table.loc[key, "agrees"] == "not comparable: here 2 layers instead of 11."
        assert table.loc["receptive_field.num_sequences", "agrees"] == "yes"
