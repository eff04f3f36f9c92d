# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Receptive field
#
# A base can matter to a prediction far away only if a layer carries it there. In self-attention
# every token sees every other; in BigBird's a token sees its neighbours, the two ends and a few
# random blocks. Does the sparse model still see the whole sequence?

# %% tags=["parameters"]
output_folder = "../runs/interactive"
data = ""
seed = 0
enformer_preset = "enformer_tiny"
enformer_checkpoint = ""
enformer_steps = 60
enformer_learning_rate = 1e-3
senformer_preset = "senformer_tiny"
senformer_steps = 60
senformer_learning_rate = 1e-3
num_evaluations = 6
num_validation_sequences = None
sequence_length_bp = 32_768
target_length = 192
batch_size = 1
num_positions = 9
num_sequences = 3

# %% [markdown]
# The two models are those of the fine-tuning page, trained here if they were not yet.

# %%
from pathlib import Path

import numpy as np
import pandas as pd

from senformer import comparison, experiments, figures, notebooks, results, tables
from senformer import receptive_field as reach
from senformer.attention import bigbird

folders = experiments.open_data(data, output_folder, seed=seed)
recipe = experiments.SenformerRecipe.from_parameters(globals())
enformer = experiments.trained_enformer(recipe, folders, output_folder)
senformer = experiments.finetuned_senformer(recipe, folders, output_folder).model

# %% [markdown]
# One base of a random sequence is changed, and the change of the prediction is recorded in every
# bin: its absolute value, averaged over tracks and sequences. Positions are spread evenly over the
# input, its first and last base included; both models get the same sequences.

# %%
positions_bp = reach.mutation_positions_bp(sequence_length_bp, num_positions)
curves = [
    reach.mutation_effects(
        comparison.predictor(model, experiments.HEAD),
        sequence_length_bp=sequence_length_bp,
        positions_bp=positions_bp,
        num_sequences=num_sequences,
        seed=seed,
    ).assign(model=name)
    for name, model in {"Enformer": enformer, "S-Enformer": senformer}.items()
]

# %% [markdown]
# Sums of float32 numbers round differently when their terms move a little, so a change that is not
# zero need not be an effect. How large that noise is, is measured on the same sequences with a
# nudge of a base that is too small to mean anything.

# %%
noise = reach.noise_floor(
    comparison.predictor(enformer, experiments.HEAD),
    sequence_length_bp=sequence_length_bp,
    positions_bp=positions_bp,
    num_sequences=num_sequences,
    seed=seed,
).assign(model="noise floor")

# %%
parameters = notebooks.parameters_of_this_run("receptive_field", globals())
provenance = results.provenance(
    parameters=parameters, seed=seed, data=experiments.name_of_data(data)
)
measured = pd.concat([*curves, noise], ignore_index=True)
path = results.write(measured, Path(output_folder) / "receptive_field.csv", provenance)
changes = results.read(path)

# %% [markdown]
# One panel per position; the dotted line marks the base that was changed.

# %%
figures.receptive_field(changes)

# %% [markdown]
# A bin counts as reached where the change is more than ten times the noise at that bin. The table
# gives the share of predicted bins that a change reaches, by its position.

# %%
keys = ["mutation_position_bp", "bin"]
by_model = changes.pivot(index=keys, columns="model", values="abs_change")
reached = by_model[["Enformer", "S-Enformer"]].gt(10 * by_model["noise floor"], axis=0)
tables.show(reached.groupby("mutation_position_bp").mean().reset_index())

# %% [markdown]
# ## What the pattern allows
#
# The pattern of blocks alone says how far information can travel. Every block sees the first and
# the last one and is seen by them, so two layers connect every block with every other. The table
# gives the share of pairs of blocks that are connected after a number of layers.

# %%
tokens = senformer.config.num_tokens(sequence_length_bp)
patterns = np.stack(
    [
        reach.bigbird_pattern(bigbird.layer_random_blocks(senformer.config, layer, tokens))
        for layer in range(senformer.config.num_transformer_layers)
    ]
)
layers = range(1, len(patterns) + 1)
shares = [reach.reachable_blocks(patterns[:n], n).mean() for n in layers]
allowed = pd.DataFrame({"num_transformer_layers": layers, "share_of_block_pairs": shares})
allowed_path = Path(output_folder) / "receptive_field_allowed.csv"
tables.show(results.read(results.write(allowed, allowed_path, provenance)))
