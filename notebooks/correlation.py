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
# # Correlation
#
# A mean over all test sequences can hide that a model gained on some and lost on others. So both
# models are compared with the experiment, and with each other, one sequence at a time: where
# Enformer does well, does S-Enformer too?

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
num_test_sequences = None
shown_sequence = 0
shown_tracks = []

# %% [markdown]
# The two models are those of the fine-tuning page, trained here if they were not yet.

# %%
from pathlib import Path

from senformer import (
    comparison,
    evaluation,
    experiments,
    figures,
    notebooks,
    published,
    results,
    tables,
)

folders = experiments.open_data(data, output_folder, seed=seed)
human = folders[experiments.HEAD]
recipe = experiments.SenformerRecipe.from_parameters(globals())
enformer = experiments.trained_enformer(recipe, folders, output_folder)
senformer = experiments.finetuned_senformer(recipe, folders, output_folder).model

# %% [markdown]
# For each test sequence and track, r over its bins; then the mean over the tracks of a type. Tracks
# that are constant within a sequence have no r there and are left out.

# %%
measured = comparison.compare_per_sequence(
    {"enformer": enformer, "senformer": senformer},
    human,
    sequence_length_bp=sequence_length_bp,
    num_sequences=num_test_sequences,
)
parameters = notebooks.parameters_of_this_run("correlation", globals())
provenance = results.provenance(
    parameters=parameters, seed=seed, data=experiments.name_of_data(data)
)
path = results.write(measured, Path(output_folder) / "correlation.csv", provenance)
per_sequence = results.read(path)

# %% [markdown]
# Each mark is a sequence; on the dashed line both models do equally well on it.

# %%
figures.correlation(per_sequence)

# %% [markdown]
# r between the models says whether they succeed and fail on the same sequences; its interval is
# from resampling the sequences 1,000 times. `share_senformer_ahead` is the fraction of sequences
# above the dashed line. Few sequences make wide intervals.

# %%
tables.show(evaluation.compare_per_sequence(per_sequence))

# %% [markdown]
# The study's values, from its 1,413 stored sequences:

# %%
tables.show(published.per_sequence_comparison())

# %% [markdown]
# ## Along a sequence
#
# What r sums up, seen: the experiment and both predictions along one test sequence. Without names
# in `shown_tracks`, one track of each type is drawn at random, by the seed.

# %%
tracks = comparison.choose_tracks(human, shown_tracks, seed=seed)
profiles = comparison.track_profiles(
    {"Enformer": enformer, "S-Enformer": senformer},
    human,
    tracks,
    sequence=shown_sequence,
    sequence_length_bp=sequence_length_bp,
)
path = results.write(profiles, Path(output_folder) / "correlation_tracks.csv", provenance)
figures.track_profiles(results.read(path))

# %% [markdown]
# All three stand on one scale per track, so that a peak that is missed or made too high is seen as
# such: r would not show the latter. The means of what is drawn say whether a model predicts too
# much or too little here.

# %%
means = results.read(path).groupby(["track", "source"], sort=False)["value"].mean()
tables.show(means.unstack("source").reset_index())
