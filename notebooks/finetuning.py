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
# # Fine-tuning
#
# A sparse model need not be trained from nothing. The study kept the convolutions and everything
# else of a trained Enformer, replaced its attention layers by new ones of BigBird's kind, and
# trained those alone. How close does it come to Enformer, and how fast?

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

# %% [markdown]
# Enformer comes first: its published weights where `enformer_checkpoint` names them, otherwise one
# that is trained here on the records in `data`, or on simulated ones where no folder is given. Its
# accuracy on sequences that no model has seen is the line to reach.

# %%
from pathlib import Path

import pandas as pd

from senformer import comparison, experiments, figures, notebooks, results, tables

folders = experiments.open_data(data, output_folder, seed=seed)
recipe = experiments.SenformerRecipe.from_parameters(globals())
enformer = experiments.trained_enformer(recipe, folders, output_folder)
enformer_accuracy = comparison.accuracy_by_track_type(
    enformer,
    folders[experiments.HEAD],
    experiments.VALIDATION_SPLIT,
    sequence_length_bp=sequence_length_bp,
    num_sequences=num_validation_sequences,
)

# %% [markdown]
# S-Enformer starts with Enformer's weights in every layer but attention, and attention at random.
# One step is a batch of human and a batch of mouse records in turn; only attention is trained.

# %%
senformer = experiments.finetuned_senformer(recipe, folders, output_folder)
measured = pd.concat(
    [
        enformer_accuracy.assign(model="Enformer", step=0),
        senformer.accuracy.assign(model="S-Enformer"),
    ],
    ignore_index=True,
)

# %%
parameters = notebooks.parameters_of_this_run("finetuning", globals())
provenance = results.provenance(
    parameters=parameters, seed=seed, data=experiments.name_of_data(data)
)
path = results.write(measured, Path(output_folder) / "finetuning.csv", provenance)
accuracy = results.read(path)

# %%
is_last = accuracy.groupby("model")["step"].transform("max") == accuracy["step"]
last = accuracy[is_last].reset_index(drop=True)
last.attrs = accuracy.attrs

# %% [markdown]
# Accuracy is r of each track over all bins of the validation sequences, averaged over the tracks of
# a type. During training, the dashed line is Enformer, which is not trained further.

# %% tags=["tab: After the last step"]
figures.finetuned(last)

# %% tags=["tab: During training"]
figures.finetuning(accuracy)

# %% [markdown]
# The first point of S-Enformer during training is the model before any step: what the convolutions
# and the rest of the transformer do on their own, with attention at random. The distance from there
# to the dashed line is what Enformer's attention is worth to it.

# %% [markdown]
# After the last step, as a table. A negative difference means that S-Enformer is below Enformer.

# %%
table = last.pivot(index="track_type", columns="model", values="pearson_r")
table = table.loc[last["track_type"].unique()]
table = table.assign(difference=table["S-Enformer"] - table["Enformer"])
tables.show(table.reset_index())
