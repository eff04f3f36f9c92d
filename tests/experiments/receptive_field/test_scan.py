"""The mutation experiment finds the reach that a model is known to have; attention bounds it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from senformer.config import preset
from senformer.experiments.receptive_field import scan
from senformer.experiments.receptive_field.scan import (
    Variants,
    full_passes,
    gradient_effects,
    mutation_effects,
    noise_floor,
    reachable_bins,
    reachable_blocks,
    spliced_passes,
)
from senformer.model import ops, trunk
from senformer.model.attention.bigbird import random_blocks
from senformer.model.enformer import Enformer
from senformer.report import published

LENGTH = 8 * 128
BINS = 4  # the central ones of 8
WEIGHTS = np.array([1.0, 2.0, 4.0, 8.0], np.float32)


def local(sequence: np.ndarray) -> np.ndarray:
    """Predict from each bin's own bases alone: two tracks, one the negative double of the other."""
    scores = sequence.reshape(len(sequence), 8, 128, 4)[:, 2:6].sum(axis=2) @ WEIGHTS
    return np.stack([scores, -2 * scores], axis=-1)  # [batch, bins, tracks]


ARGUMENTS = {
    "sequence_length_bp": LENGTH,
    "positions_bp": [0, 300, 639],
    "num_sequences": 5,
    "seed": 1,
}


def effects(predict=local, batch_size=1, **changed):
    return mutation_effects(full_passes(predict, batch_size=batch_size), **{**ARGUMENTS, **changed})


def model_of(kind: str, num_layers: int = 2, **changed) -> Enformer:
    """A tiny model whose attention is not its zero start, so that bases reach far."""
    config = preset(
        "enformer_tiny",
        attention=kind,
        num_transformer_layers=num_layers,
        target_length=8,
        tracks={"human": 3, "mouse": 2},
    ).replace(**changed)
    model = Enformer(config)
    generator = tf.random.Generator.from_seed(1)
    for block in model.transformer:
        block.attention.output.w.assign(generator.normal(block.attention.output.w.shape) * 0.2)
    return model


def predictor(model: Enformer):
    return lambda sequence: model.predict_on_batch(sequence)["human"].numpy()


def variants_of(tokens: int, positions: list[int]) -> Variants:
    bases = np.random.default_rng(tokens).integers(4, size=tokens * 128)
    sequence = np.eye(4, dtype=np.float32)[bases]
    return Variants(sequence, np.array(positions), np.roll(sequence[positions], 1, axis=-1))


class TestPositions:
    def test_nine_on_enformers_input_are_those_of_the_study(self, shared):
        import pandas as pd

        study = pd.read_csv(shared / "published" / "receptive_field.csv")
        expected = sorted(study["mutation_position_bp"].unique())
        assert scan.mutation_positions_bp(196_608).tolist() == expected

    def test_first_and_last_base_are_included(self):
        assert scan.mutation_positions_bp(10, 3).tolist() == [0, 4, 9]

    @pytest.mark.parametrize("number", [1, 11])
    def test_too_few_or_too_many_are_refused(self, number):
        with pytest.raises(ValueError, match=f"num_positions={number}: expected 2 to"):
            scan.mutation_positions_bp(10, number)


class TestMutationEffects:
    def test_only_the_mutated_bin_changes_and_by_the_change_of_its_bases(self):
        frame = effects(num_sequences=400)
        change = frame.pivot(index="mutation_position_bp", columns="bin", values="abs_change")
        assert change.loc[0].eq(0).all()  # before the bins that are predicted
        assert (change.loc[300] > 0).tolist() == [True, False, False, False]
        assert (change.loc[639] > 0).tolist() == [False, False, True, False]
        # |difference| of two different bases, over all pairs, times the mean over tracks of 1 and 2
        pairs = [abs(a - b) for a in WEIGHTS for b in WEIGHTS if a != b]
        assert change.loc[300, 0] == pytest.approx(1.5 * np.mean(pairs), rel=0.1)

    def test_tracks_that_move_apart_cancel_in_the_change_of_their_mean(self):
        frame = effects()  # the tracks move by 1 and -2 times the same
        np.testing.assert_allclose(frame["abs_change_of_mean"], frame["abs_change"] / 3, rtol=1e-6)

    def test_bins_are_placed_in_the_input(self):
        frame = effects()
        assert list(frame.columns) == [
            "mutation_position_bp",
            "bin",
            "bin_start_bp",
            "abs_change",
            "abs_change_of_mean",
        ]
        assert frame["bin"].tolist() == [0, 1, 2, 3] * 3
        assert frame["bin_start_bp"].tolist() == [256, 384, 512, 640] * 3

    def test_every_mutation_replaces_one_base_by_another_and_all_three_occur(self):
        seen = []

        def watch(sequence):
            seen.append(sequence)
            return local(sequence)

        effects(watch, num_sequences=60, batch_size=4)
        shifts = set()
        for original, *mutants in _groups(seen):
            np.testing.assert_array_equal(original.sum(axis=-1), 1)
            for mutant, position in zip(mutants, [0, 300, 639], strict=True):
                changed = np.flatnonzero((original != mutant).any(axis=-1))
                assert changed.tolist() == [position]
                np.testing.assert_array_equal(np.sort(mutant[position]), [0, 0, 0, 1])
                shifts.add(int(mutant[position].argmax() - original[position].argmax()) % 4)
        assert shifts == {1, 2, 3}

    def test_the_batch_size_does_not_matter(self):
        one, many = effects(batch_size=1), effects(batch_size=3)
        np.testing.assert_allclose(one["abs_change"], many["abs_change"], rtol=1e-6)

    def test_sequences_come_from_the_seed_alone(self):
        assert effects().equals(effects())
        assert not effects().equals(effects(seed=2))

    def test_more_sequences_keep_the_first_ones(self):
        seen: list[np.ndarray] = []
        effects(lambda s: (seen.append(s), local(s))[1], num_sequences=1)
        few = np.concatenate(seen)
        seen.clear()
        effects(lambda s: (seen.append(s), local(s))[1], num_sequences=3)
        np.testing.assert_array_equal(np.concatenate(seen)[: len(few)], few)

    @pytest.mark.parametrize("position", [-1, LENGTH])
    def test_a_position_outside_is_named(self, position):
        with pytest.raises(ValueError, match=f"position {position} bp: expected 0 to 1023"):
            effects(positions_bp=[0, position])

    @pytest.mark.parametrize("name", ["num_sequences", "batch_size"])
    def test_numbers_must_be_positive(self, name):
        with pytest.raises(ValueError, match=f"{name}=0: expected at least 1"):
            effects(**{name: 0})


def _groups(batches: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(batches).reshape(-1, 4, LENGTH, 4)


class TestNoiseFloor:
    def test_is_far_below_an_effect_and_zero_where_nothing_is_read(self):
        floor = noise_floor(full_passes(local), **ARGUMENTS)
        effect = effects()
        places = ["mutation_position_bp", "bin", "bin_start_bp"]
        assert floor[places].equals(effect[places])
        reached = effect["abs_change"] > 0
        assert (floor["abs_change"][reached] < 1e-3 * effect["abs_change"][reached]).all()
        assert floor["abs_change"][~reached].eq(0).all()

    def test_shows_the_rounding_of_a_model_that_loses_digits(self):
        def rounding(sequence: np.ndarray) -> np.ndarray:
            far = np.float32(1e6) + local(sequence)  # float32 near a million: steps of 1/16
            return far + np.float32(1e3) * local(sequence).sum(axis=1, keepdims=True)

        arguments = {**ARGUMENTS, "positions_bp": [300], "num_sequences": 20}
        floor = noise_floor(full_passes(rounding), **arguments)
        assert floor["abs_change"].max() > 1e-3

    def test_a_change_reaches_a_bin_where_it_stands_clear_of_the_noise_there(self):
        changes = effects().assign(model="Enformer", abs_change=2e-5)
        noise = changes.assign(abs_change=np.tile([1e-6, 1e-5, 1e-4, 0.0], 3))
        reached = scan.is_reached(changes, noise.sample(frac=1, random_state=0))
        assert reached.tolist() == [True, False, False, True] * 3

    def test_noise_that_was_not_measured_is_named(self):
        changes = effects().assign(model="Enformer")
        with pytest.raises(ValueError, match=r"no noise measured for .*'model': 'Enformer'"):
            scan.is_reached(changes, changes.assign(model="S-Enformer"))


class TestSplicedPasses:
    ENDS_AND_SEAMS = (0, 1, 127, 128, 390, 640, 1000)

    @pytest.mark.parametrize("kind", ["dense", "bigbird"])
    @pytest.mark.parametrize("tokens", [8, 13, 32])
    def test_equal_full_passes_from_the_first_base_to_the_last(self, kind, tokens):
        if kind == "bigbird" and tokens < 32:
            pytest.skip("too few blocks")
        model = model_of(kind, block_size=4)
        from_left = [position for position in self.ENDS_AND_SEAMS if position < tokens * 128]
        positions = from_left + [tokens * 128 - 1 - position for position in from_left]
        variants = variants_of(tokens, positions)
        expected = full_passes(predictor(model))(variants)
        spliced = spliced_passes(model, "human", batch_size=4)(variants)
        atol = 4e-6 * np.abs(expected).max()
        np.testing.assert_allclose(spliced, expected, rtol=0, atol=atol)
        change = np.abs(expected[1:] - expected[0]).max(axis=(1, 2))
        assert (change > 10 * atol).all()  # so that equality means something

    @pytest.mark.parametrize("pooling", ["attention", "max"])
    def test_every_base_of_a_token_is_spliced_right(self, pooling):
        model = model_of("dense", pooling=pooling)
        variants = variants_of(20, list(range(1280, 1408, 9)))
        expected = full_passes(predictor(model), batch_size=8)(variants)
        spliced = spliced_passes(model, "human", batch_size=8)(variants)
        np.testing.assert_allclose(spliced, expected, rtol=0, atol=4e-6 * np.abs(expected).max())

    def test_one_token_less_would_not_do(self, monkeypatch):
        model = model_of("dense")
        variants = variants_of(20, [1280, 1407])
        expected = full_passes(predictor(model))(variants)
        monkeypatch.setattr(scan, "_CHANGED_TOKENS", 3)
        spliced = spliced_passes(model, "human")(variants)
        assert np.abs(spliced - expected).max() > 2e-5 * np.abs(expected).max()

    def test_a_bin_out_of_reach_does_not_change_at_all(self):
        model = model_of("bigbird", num_layers=1, block_size=4, num_random_blocks=0)
        arguments = {**ARGUMENTS, "sequence_length_bp": 32 * 128, "positions_bp": [1100, 3000]}
        frame = mutation_effects(spliced_passes(model, "human"), **arguments)
        allowed = reachable_bins(
            model.config, sequence_length_bp=32 * 128, positions_bp=[1100, 3000], num_layers=1
        ).reshape(-1)
        assert 0 < allowed.sum() < len(frame)
        assert frame["abs_change"][~allowed].eq(0).all()
        assert frame["abs_change"][allowed].gt(0).all()

    def test_an_unknown_head_is_named(self):
        with pytest.raises(ValueError, match="head='rat', expected one of human, mouse"):
            spliced_passes(model_of("dense"), "rat")

    @pytest.mark.slow
    def test_equal_full_passes_where_the_trunk_is_windowed_and_channels_are_many(self):
        model = model_of("dense", channels=768, num_heads=8, num_transformer_layers=4)
        positions = scan.mutation_positions_bp(300 * 128).tolist()
        variants = variants_of(300, positions)
        expected = full_passes(predictor(model))(variants)
        spliced = spliced_passes(model, "human")(variants)
        np.testing.assert_allclose(spliced, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


class TestGradients:
    def test_of_a_linear_model_are_what_its_mutations_do(self):
        def linear(sequence: tf.Tensor) -> tf.Tensor:
            return tf.convert_to_tensor(self.scores(sequence))

        arguments = {**ARGUMENTS, "num_sequences": 300}
        del arguments["positions_bp"]
        gradients = gradient_effects(linear, bins=[0, 3], **arguments)
        assert gradients["bin_start_bp"].unique().tolist() == [256, 640]
        own = gradients["position_bp"] == gradients["bin_start_bp"] + 64
        assert gradients["abs_change_of_mean"][~own].eq(0).all()
        pairs = [abs(a - b) for a in WEIGHTS for b in WEIGHTS if a != b]
        expected = 0.5 * np.mean(pairs)  # the mean of tracks 1 and -2
        np.testing.assert_allclose(gradients["abs_change_of_mean"][own], expected, rtol=0.02)

    def scores(self, sequence: tf.Tensor) -> tf.Tensor:
        by_base = tf.linalg.matvec(sequence, WEIGHTS)
        scores = tf.reduce_sum(tf.reshape(by_base, [1, 8, 128]), axis=-1)[:, 2:6]
        return tf.stack([scores, -2 * scores], axis=-1)

    def test_are_zero_where_the_pattern_lets_nothing_through(self):
        model = model_of("bigbird", num_layers=1, block_size=4, num_random_blocks=0)
        gradients = gradient_effects(
            lambda sequence: model(sequence)["human"],
            sequence_length_bp=32 * 128,
            bins=[4],
            num_sequences=1,
            seed=0,
        )
        middles = gradients["position_bp"].tolist()
        arguments = {"sequence_length_bp": 32 * 128, "num_layers": 1}
        starts = np.array([middle - 64 for middle in middles])
        first = reachable_bins(model.config, positions_bp=starts, **arguments)[:, 4]
        last = reachable_bins(model.config, positions_bp=starts + 127, **arguments)[:, 4]
        is_zero = gradients["abs_change_of_mean"].eq(0).to_numpy()
        np.testing.assert_array_equal(is_zero, ~(first | last))

    def test_a_bin_that_is_not_predicted_is_named(self):
        arguments = {**ARGUMENTS, "bins": [4]}
        del arguments["positions_bp"]
        with pytest.raises(ValueError, match="bin 4: expected 0 to 3"):
            gradient_effects(self.scores, **arguments)


class TestPattern:
    def blocks(self, blocks: int = 24, **changed) -> np.ndarray:
        return random_blocks(blocks * 64, num_heads=8, **changed)

    def test_bigbird_sees_global_window_and_random_blocks(self):
        drawn = self.blocks()
        pattern = scan.bigbird_pattern(drawn)
        assert pattern.shape == (24, 24)
        assert pattern[[0, -1]].all()
        assert pattern[:, [0, -1]].all()
        for row in range(1, 23):
            expected = {0, 23, row - 1, row, row + 1, *np.ravel(drawn[:, row - 1]).tolist()}
            assert set(np.flatnonzero(pattern[row])) == expected

    def test_bigbird_reaches_everywhere_from_two_layers_on_but_not_from_one(self):
        pattern = scan.bigbird_pattern(self.blocks())
        assert not reachable_blocks(pattern, 1).all()
        assert reachable_blocks(pattern, 2).all()

    def test_without_global_blocks_the_window_reaches_one_block_per_layer(self):
        index = np.arange(9)
        window = np.abs(index[:, None] - index) <= 1
        for num_layers in range(5):
            reached = reachable_blocks(window, num_layers)
            np.testing.assert_array_equal(reached, np.abs(index[:, None] - index) <= num_layers)

    def test_no_layer_reaches_nothing_else_and_dense_reaches_all_from_one(self):
        np.testing.assert_array_equal(reachable_blocks(np.ones((5, 5)), 0), np.eye(5, dtype=bool))
        assert reachable_blocks(np.ones((5, 5)), 1).all()

    def test_layers_that_differ_are_composed_input_first(self):
        first = np.zeros((3, 3), bool)
        first[1, 0] = True  # block 1 reads block 0
        second = np.zeros((3, 3), bool)
        second[2, 1] = True  # then block 2 reads block 1
        assert reachable_blocks([first, second], 2)[2, 0]
        assert not reachable_blocks([second, first], 2)[2, 0]

    def test_is_what_a_product_of_masked_layers_shows(self):
        random = np.random.default_rng(0)
        patterns = random.random((3, 12, 12)) < 0.15
        weights = [np.eye(12) + p * random.random((12, 12)) for p in patterns]
        product = weights[2] @ weights[1] @ weights[0]
        np.testing.assert_array_equal(reachable_blocks(patterns, 3), product > 0)

    def test_a_pattern_that_is_not_square_or_not_per_layer_is_refused(self):
        with pytest.raises(ValueError, match=r"pattern of shape \(2, 3, 4\)"):
            reachable_blocks(np.ones((3, 4)), 2)
        with pytest.raises(ValueError, match=r"expected num_layers=3"):
            reachable_blocks(np.ones((2, 4, 4)), 3)

    def test_heads_are_counted_that_draw_a_block(self):
        drawn = np.array([[[3], [0], [0]], [[3], [4], [1]]])  # 2 heads, 5 blocks
        heads = scan.bigbird_heads(drawn)
        assert heads[1, 3] == 2
        assert heads[3, 1] == 1
        assert heads[2].tolist() == [2, 2, 2, 2, 2]


STUDY = {
    "sequence_length_bp": published.SEQUENCE_LENGTH_BP,
    "positions_bp": scan.mutation_positions_bp(published.SEQUENCE_LENGTH_BP),
}


class TestReachableBins:
    def test_dense_attention_reaches_all_from_one_layer(self):
        config = preset("enformer_tiny")
        reached = [reachable_bins(config, num_layers=n, **STUDY) for n in (0, 1)]
        assert reached[0].shape == (9, 896)
        assert reached[0].sum(axis=1).max() == 6  # the trunk's 259 bp on either side of a base
        assert reached[1].all()

    def test_the_studys_reaches_all_from_two_layers_but_not_from_one(self):
        config = preset("senformer")
        assert not reachable_bins(config, num_layers=1, **STUDY).all()
        assert reachable_bins(config, num_layers=2, **STUDY).all()

    def test_the_trunk_carries_a_base_over_the_edge_of_a_block(self):
        config = preset("senformer_tiny", num_random_blocks=0)
        first_of_block = 100 * 16 * 128 // 4
        before, after = reachable_bins(
            config.replace(target_length=896),
            sequence_length_bp=196_608,
            positions_bp=[first_of_block - 260, first_of_block - 259],
            num_layers=1,
        )
        assert after.sum() == before.sum() + 16

    def test_shares_are_tabulated_by_model_and_number_of_layers(self):
        configs = [preset("enformer"), preset("senformer")]
        table = scan.allowed_shares(configs, num_layers=[1, 2], **STUDY)
        assert list(table) == [
            "mutation_position_bp",
            *(f"{kind}, {n}" for kind in ("dense", "bigbird") for n in ("1 layer", "2 layers")),
        ]
        assert (table["dense, 1 layer"] == 1).all() and (table["bigbird, 2 layers"] == 1).all()
        one = reachable_bins(preset("senformer"), num_layers=1, **STUDY).mean(axis=1)
        np.testing.assert_array_equal(table["bigbird, 1 layer"], one)

    def test_the_studys_random_blocks_are_among_the_leading_ones(self):
        table = scan.pattern_of_layer(preset("senformer"), 0, 196_608)
        heads = table.pivot(index="query_block", columns="key_block", values="num_heads")
        query, key = np.indices(heads.shape)
        is_fixed = (abs(query - key) <= 1) | np.isin(query, [0, 23]) | np.isin(key, [0, 23])
        seen = heads.to_numpy()
        assert (seen[is_fixed] == 8).all()
        assert (seen[~is_fixed & (key >= 11)] == 0).all()
        assert seen[~is_fixed & (key < 11)].any()

    def test_a_pattern_of_self_attention_is_refused(self):
        with pytest.raises(ValueError, match="attention='dense': expected bigbird or"):
            scan.pattern_of_layer(preset("enformer"), 0, 196_608)

    def test_more_layers_than_the_model_has_are_refused(self):
        with pytest.raises(ValueError, match="num_layers=3: expected 0 to 2"):
            reachable_bins(preset("senformer_tiny"), num_layers=3, **STUDY)


class TestCost:
    """Counts equal the products of the graphs that are run."""

    TOKENS = 20

    @pytest.mark.parametrize("pooling", ["attention", "max"])
    def test_of_a_full_pass(self, pooling):
        model = model_of("dense", pooling=pooling)
        counted = flops_of_graph(pass_written_out(model), [1, self.TOKENS * 128, 4])
        assert counted == scan.flops_of_pass(model.config, "human", self.TOKENS * 128)

    def test_of_a_spliced_pass(self):
        model = model_of("dense")
        in_window = flops_of_graph(
            lambda x: trunk.embed(model.trunk_in_evaluation(), x), [1, 13 * 128, 4]
        )
        after = flops_of_graph(
            lambda x: model.predict_head("human", model.transform(x)), [1, self.TOKENS, 256]
        )
        expected = scan.flops_of_spliced_pass(model.config, "human", self.TOKENS * 128)
        assert in_window + after == expected

    def test_of_bigbird_attention(self):
        model = model_of("bigbird", num_layers=1, block_size=4)
        counted = flops_of_graph(pass_written_out(model), [1, 32 * 128, 4], trips=4)
        assert counted == scan.flops_of_pass(model.config, "human", 32 * 128)

    def test_a_scan_of_the_study_falls_below_a_fifth_at_enformers_size(self):
        for name in ("enformer", "senformer"):
            cost = scan.cost_of_scan(
                preset(name), "human", sequence_length_bp=196_608, num_positions=9
            )
            assert cost["share_of_study"].iloc[0] == 1
            assert cost["share_of_study"].iloc[1] == pytest.approx(10 / 18)
            assert cost["share_of_study"].iloc[2] < 0.2

    def test_other_attention_is_refused(self):
        with pytest.raises(ValueError, match="attention='tiled': expected dense or bigbird"):
            scan.flops_of_pass(preset("enformer", attention="tiled"), "human", 196_608)


def pass_written_out(model):
    """A prediction that takes every product that the published one takes."""

    def run(sequence):
        x = trunk.embed(model.trunk_in_evaluation(), sequence)
        for block in model.transformer:
            x = block(x)
        x = model.final_pointwise(ops.crop(x, model.config.target_length), False)
        return model.predict_head("human", ops.gelu(x))

    return run


def flops_of_graph(function, shape, trips: int = 0) -> int:
    """Two per multiply-add of every product in a graph, a loop's body counted `trips` times."""
    graph = tf.function(function).get_concrete_function(tf.TensorSpec(shape)).graph
    return _flops(graph, trips)


def _flops(graph, trips: int) -> int:
    total = 0
    for operation in graph.get_operations():
        if operation.type in ("MatMul", "BatchMatMulV2"):
            name = "transpose_a" if operation.type == "MatMul" else "adj_x"
            inner = operation.inputs[0].shape[-2 if operation.get_attr(name) else -1]
            total += 2 * inner * int(np.prod(operation.outputs[0].shape))
        elif operation.type == "Conv2D":
            weights = tuple(operation.inputs[1].shape)
            total += 2 * int(np.prod(weights[:3])) * int(np.prod(operation.outputs[0].shape))
        elif operation.type in ("While", "StatelessWhile"):
            body = operation.graph._get_function(operation.get_attr("body").name)
            total += trips * _flops(body.graph, trips)
        elif operation.type.endswith("PartitionedCall"):
            called = operation.graph._get_function(operation.get_attr("f").name)
            total += _flops(called.graph, trips)
    return total


class TestComparison:
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

    def compare(self, changes, noise, name="senformer", length=196_608, num_sequences=100):
        frame = scan.compare_with_study(
            changes,
            noise,
            config=preset(name),
            sequence_length_bp=length,
            num_sequences=num_sequences,
        )
        return frame.set_index("key")

    def test_every_claim_is_judged(self):
        table = self.compare(*self.tables())
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
        table = self.compare(changes, noise)
        assert table.loc["receptive_field.full", "agrees"] == "no"
        assert "Enformer: 91.7% of bins" in table.loc["receptive_field.full", "measured"]
        assert table.loc["receptive_field.shape", "agrees"] == "no"

    def test_another_size_is_measured_but_not_judged(self):
        by_length = self.compare(*self.tables(), length=32_768)
        by_model = self.compare(*self.tables(), name="senformer_tiny")
        for table, why in ((by_length, "32,768 bp"), (by_model, "256 channels, 2 layers")):
            agrees = table.loc["receptive_field.full", "agrees"]
            assert agrees.startswith("not comparable") and why in agrees
