import pytest
from slow_cases import slow_but_for

from senformer.config import preset
from senformer.experiments import workspace
from senformer.experiments.finetuning import ablations
from senformer.experiments.receptive_field import pattern
from senformer.model.enformer import Enformer
from senformer.report.row_labels import ENFORMER

CONFIG = preset("enformer_tiny", tracks={"human": 3}, target_length=64)


def test_path_ends_at_the_studys_model():
    path = ablations.steps_to_senformer(CONFIG)
    last = CONFIG.replace(**path[-1].config_fields)
    assert last == preset("senformer_tiny", tracks=last.tracks, target_length=64)
    names = [ENFORMER, *(ablation.name for ablation in path)]
    assert [ablation.compared_with for ablation in path] == names[:-1]


@pytest.mark.parametrize("group", slow_but_for(["fewer keys"], ablations.FURTHER_ABLATIONS))
def test_further_ablations_start_from_enformer(group):
    enformer = Enformer(CONFIG, seed=0)
    known = {ENFORMER, ablations.PATTERN}
    for ablation in ablations.further_ablations(group, CONFIG):
        assert ablation.compared_with in known
        known.add(ablation.name)
        config = CONFIG.replace(**ablation.config_fields)
        workspace.started_from(enformer, config, ablation.start, seed=0)


def test_fewer_keys_ends_with_neighbouring_tokens():
    """Elements are at least 6 tokens apart; the trunk sees less than 3 tokens to either side."""
    group = ablations.further_ablations("fewer keys", CONFIG)
    models = [CONFIG.replace(**ablation.config_fields) for ablation in group]
    shares = [pattern.attention_patterns(model, 20_480).mean() for model in models]
    assert shares == sorted(shares, reverse=True)
    assert 2 * models[-1].block_size - 1 < 6 - 1


def test_select_patterns_keeps_fixed_patterns_only():
    every = ablations.steps_to_senformer(CONFIG)
    for group in ablations.FURTHER_ABLATIONS:
        every += ablations.further_ablations(group, CONFIG)
    patterns = ablations.select_patterns(every, [0, 1], CONFIG)
    assert {"Performer", "Reformer", "no positions"}.isdisjoint(patterns)
    assert {ablations.PATTERN, "window alone", "blocks of twice the size"} < set(patterns)
    seeds = [config.random_block_seed for config in patterns[ablations.PATTERN]]
    assert seeds == [0, 1]
