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
# A sparse model need not be trained from nothing, and it need not even be trained anew: with
# attention of the kind that has Enformer's own parameters, all of Enformer's weights are its start.

# %% tags=["parameters"]
output_folder = "../runs/interactive"
data = ""
seed = 0
enformer_preset = "enformer_tiny"
enformer_checkpoint = ""
enformer_steps = 60
enformer_learning_rate = 1e-3
enformer_attention_steps = 100
enformer_attention_learning_rate = 1e-3
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
# that is trained here on the records in `data`, or on simulated ones where no folder is given. Then
# S-Enformer twice, with everything but attention taken from Enformer and left as it is. The study's
# way puts new attention layers of BigBird's kind in place, random at first. The warm start keeps
# Enformer's attention weights and takes away the keys that BigBird's pattern does not name.

# %%
import dataclasses
from pathlib import Path

import pandas as pd
from IPython.display import Markdown

from senformer.config import preset
from senformer.experiments import comparable, finetuning, run_data, run_models
from senformer.experiments.accuracy import accuracy_by_track_type
from senformer.experiments.finetuning import ENFORMER, NEW_ATTENTION, WARM_START
from senformer.experiments.provenance import describe_run
from senformer.report import claims, results, tables
from senformer.report.figures import accuracy as figures

folders = run_data.open_data(data, output_folder, seed=seed)
recipe = run_models.SenformerRecipe(
    enformer_preset=enformer_preset,
    enformer_checkpoint=enformer_checkpoint,
    enformer_steps=enformer_steps,
    enformer_learning_rate=enformer_learning_rate,
    enformer_attention_steps=enformer_attention_steps,
    enformer_attention_learning_rate=enformer_attention_learning_rate,
    senformer_preset=senformer_preset,
    senformer_steps=senformer_steps,
    senformer_learning_rate=senformer_learning_rate,
    num_evaluations=num_evaluations,
    num_validation_sequences=num_validation_sequences,
    sequence_length_bp=sequence_length_bp,
    target_length=target_length,
    batch_size=batch_size,
    seed=seed,
)
enformer = run_models.trained_enformer(recipe, folders, output_folder)
enformer_accuracy = accuracy_by_track_type(
    enformer,
    folders[run_data.HEAD],
    run_data.VALIDATION_SPLIT,
    sequence_length_bp=sequence_length_bp,
    num_sequences=num_validation_sequences,
)

# %%
senformer = run_models.finetuned_senformer(recipe, folders, output_folder)
warm = run_models.finetuned_senformer(recipe, folders, output_folder, start="warm start")
measured = pd.concat(
    [
        enformer_accuracy.assign(model=ENFORMER, step=0),
        senformer.accuracy.assign(model=NEW_ATTENTION),
        warm.accuracy.assign(model=WARM_START),
    ],
    ignore_index=True,
)
parameters = {
    "output_folder": output_folder,
    "data": data,
    **dataclasses.asdict(recipe),
}
provenance = describe_run(parameters=parameters, seed=seed, data=run_data.name_of_data(data))
path = results.write(measured, Path(output_folder) / "finetuning.csv", provenance)
accuracy = results.read(path)

# %%
is_last = accuracy.groupby("model")["step"].transform("max") == accuracy["step"]
last = accuracy[is_last].reset_index(drop=True)
last.attrs = accuracy.attrs

# %% tags=["tab: During training"]
figures.finetuning(accuracy)

# %% tags=["tab: After the last step"]
figures.finetuned(last)

# %% [markdown]
# The study's Figures 5b, during training, and 5a, after it. Accuracy is r of each track over all
# bins of sequences that no model was trained on, averaged over the tracks of a type. The dashed
# line is Enformer, which is not trained further. One step is a batch of human and a batch of mouse
# records in turn; attention alone is trained.
#
# ## What the study found
#
# It trained new attention layers for {published}`finetuning.num_steps`, which took
# {published}`finetuning.days`, and stayed below Enformer for every track type; accuracy was still
# rising when it stopped.
#
# ## What was measured here

# %%
Markdown(finetuning.what_was_found(accuracy))

# %% [markdown]
# The first point of new attention is what the convolutions and the rest of the transformer do on
# their own. The first point of the warm start is Enformer with a sparse pattern and no training at
# all: its distance from the dashed line is what the keys that were taken away are worth to it.

# %%
tables.show(finetuning.at_the_ends(accuracy).pipe(finetuning.with_one_header))

# %% [markdown]
# On simulated records the best possible accuracy is known, and so is the best without any enhancer
# farther away than a token's surroundings. A model above the second column has learnt to look far.

# %%
ceilings = run_data.ceilings_by_track_type(folders[run_data.HEAD])
tables.show(ceilings) if ceilings is not None else Markdown("These records are not simulated.")

# %% [markdown]
# ## Do they agree?

# %% tags=["claims"]
claims_path = Path(output_folder) / "finetuning_claims.csv"
unlike = comparable.unlike_the_study(
    senformer.model.config,
    attention=preset("senformer").attention,
    num_finetuning_examples=senformer_steps * batch_size,
)
judged = finetuning.judge_claims(accuracy, num_steps=senformer_steps, unlike=unlike)
results.write(judged, claims_path, provenance)
tables.show(claims.side_by_side(results.read(claims_path)))

# %% [markdown]
# ## What it means for you
#
# If you have a trained Enformer and want it on longer inputs or in less memory, start warm: read
# the first point of `warm start` before you plan any training, and train only if its distance from
# the dashed line matters to you. New attention layers throw away what Enformer's had learnt.
