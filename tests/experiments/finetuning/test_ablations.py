import pytest
from slow_cases import slow_but_for

from senformer.config import preset
from senformer.experiments import workspace
from senformer.experiments.finetuning import ablations
from senformer.experiments.receptive_field import pattern
from senformer.model.enformer import Enformer

LENGTH_BP = 20_480
CONFIG = preset("enformer_tiny", tracks={"human": 3}, target_length=64)


@pytest.fixture(scope="module")
def enformer():
    return Enformer(CONFIG, seed=0)


def test_the_path_ends_at_the_study_s_model_one_field_at_a_time():
    path = ablations.steps_to_senformer(CONFIG)
    last = CONFIG.replace(**path[-1].config_fields)
    assert last == preset("senformer_tiny", tracks=last.tracks, target_length=64)
    assert [ablation.compared_with for ablation in path] == [
        ablations.ENFORMER,
        *(c.name for c in path[:-1]),
    ]
    assert len(path) >= 6


@pytest.mark.parametrize("name", slow_but_for(["fewer keys"], ablations.FURTHER_ABLATIONS))
def test_every_further_model_starts_from_enformer_s_weights(enformer, name):
    known = {ablations.ENFORMER, ablations.PATTERN}
    for ablation in ablations.further_ablations(name, CONFIG):
        assert ablation.compared_with in known
        known.add(ablation.name)
        workspace.started_from(
            enformer, CONFIG.replace(**ablation.config_fields), ablation.start, seed=0
        )
    with pytest.raises(ValueError, match="expected one of fewer keys, other attentions"):
        ablations.further_ablations("fewer layers", CONFIG)


def test_keys_are_taken_away_until_no_element_sees_another():
    """Elements stand at least 6 tokens apart; the trunk sees less than 3 tokens to either side."""
    models = [
        CONFIG.replace(**ablation.config_fields)
        for ablation in ablations.steps_to_nearby_keys(CONFIG)
    ]
    shares = [pattern.attention_patterns(model, LENGTH_BP).mean() for model in models]
    assert shares == sorted(shares, reverse=True)
    last = models[-1]
    assert 2 * last.block_size - 1 < 6 - 1


def test_patterns_are_those_whose_loss_the_attention_taken_away_can_tell():
    compared = ablations.steps_to_senformer(CONFIG) + [
        ablation
        for name in ablations.FURTHER_ABLATIONS
        for ablation in ablations.further_ablations(name, CONFIG)
    ]
    patterns = ablations.select_patterns(compared, [0, 1], CONFIG)
    assert {"Performer", "Reformer", "no positions"}.isdisjoint(patterns)
    assert {ablations.PATTERN, "window alone", "blocks of twice the size"} < set(patterns)
    assert [one.random_block_seed for one in patterns[ablations.PATTERN]] == [0, 1]
