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
# # Reproduction
#
# The study evaluated Enformer's published weights and got less than Enformer's paper reports: by up
# to 0.129 in Pearson's r for transcription factors, by 0.021 for CAGE. Others had the same trouble.
# "Pearson's r" leaves much open: what surrounds the stored sequence, over what r is taken, on which
# scale, and which tracks belong together. What is each choice worth?

# %% tags=["parameters"]
output_folder = "../runs/interactive"
data = ""
seed = 0
enformer_preset = "enformer_tiny"
enformer_checkpoint = ""
enformer_steps = 60
enformer_learning_rate = 1e-3
sequence_length_bp = 32_768
context_length_bp = 24_576
target_length = 192
batch_size = 1
num_test_sequences = None

# %% [markdown]
# The model is an Enformer: its published weights where `enformer_checkpoint` names them, otherwise
# one that is trained here on the records in `data`, or on simulated ones where no folder is given.
# One model is enough, since only the measuring changes.

# %%
from pathlib import Path

from senformer import (
    experiments,
    figures,
    notebooks,
    reproduction,
    results,
    tables,
)

folders = experiments.open_data(data, output_folder, seed=seed)
human = folders[experiments.HEAD]
recipe = experiments.EnformerRecipe.from_parameters(globals())
enformer = experiments.trained_enformer(recipe, folders, output_folder)

# %% [markdown]
# The reference is what Enformer's paper did: real flanks around the central part of the input, r of
# each track over all bins of all test sequences, then the mean over the tracks of a type. Each
# other protocol changes one choice, but for the study's as its code has it, which changes two:
# zeros for flanks, and one r over all tracks of a type together.

# %%
measured = reproduction.accuracy(
    enformer,
    human,
    sequence_length_bp=sequence_length_bp,
    context_length_bp=context_length_bp,
    num_sequences=num_test_sequences,
    fasta=experiments.genome_of(human),
).assign(model="Enformer")

# %%
parameters = notebooks.parameters_of_this_run("reproduction", globals())
provenance = results.provenance(
    parameters=parameters, seed=seed, data=experiments.name_of_data(data)
)
path = results.write(measured, Path(output_folder) / "reproduction.csv", provenance)
accuracy = results.read(path)

# %% [markdown]
# One panel per type of track; the dotted line is the reference.

# %%
figures.reproduction(accuracy)

# %% [markdown]
# The table gives the change of r from the reference. What is far from zero is a choice that has to
# be stated before two values of r can be compared.

# %%
change = accuracy.pivot(index="protocol", columns="track_type", values="change")
change = change.loc[accuracy["protocol"].unique(), accuracy["track_type"].unique()]
tables.show(change.reset_index())

# %% [markdown]
# A track whose experiment or prediction never changes has no r. Such tracks are left out of a mean
# and counted.

# %%
reference = accuracy[accuracy["protocol"] == reproduction.REFERENCE]
tables.show(reference[["track_type", "pearson_r", "num_tracks", "num_constant"]])
