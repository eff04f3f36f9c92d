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
# How close does a sparse model come when only its attention is trained, and which change costs
# what? The study replaces Enformer's attention by BigBird's, random at first, and trains that
# alone. A sparse model need not be trained from nothing: attention of the kind that has Enformer's
# own parameters can begin with all of Enformer's weights.

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
largest_trunk_cache_gb = 4.0
compared_length_bp = 65_536
compared_block_size = 16
compared_steps = 60
compared_learning_rate = 1e-3
num_seeds = 1
num_test_sequences = None
compared_further = ["fewer keys"]

# %%
import dataclasses
from pathlib import Path

import pandas as pd
from IPython.display import Markdown, display

from senformer.config import preset
from senformer.experiments import answers, run_data, workspace
from senformer.experiments.finetuning import ablation_runs, ablations, accuracy_drops, curves
from senformer.experiments.finetuning.curves import ENFORMER, NEW_ATTENTION, WARM_START
from senformer.experiments.provenance import describe_run
from senformer.experiments.receptive_field import attention_shares, pattern
from senformer.experiments.track_accuracy import accuracy_by_track_type
from senformer.report import results, tables
from senformer.report.figures import ablation_accuracy as ablation_figures
from senformer.report.figures import accuracy as figures
from senformer.study import comparability, verdicts
from senformer.workflow import notebooks

notebooks.enter_folder()
folders = run_data.open_data(data, output_folder, seed=seed)
recipe = workspace.SenformerRecipe(
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
    largest_trunk_cache_gb=largest_trunk_cache_gb,
    seed=seed,
)
enformer = workspace.trained_enformer(recipe, folders, output_folder)
enformer_accuracy = accuracy_by_track_type(
    enformer,
    folders[run_data.HEAD],
    run_data.VALIDATION_SPLIT,
    sequence_length_bp=sequence_length_bp,
    num_sequences=num_validation_sequences,
)

# %%
senformer = workspace.finetuned_senformer(recipe, folders, output_folder)
warm = workspace.finetuned_senformer(recipe, folders, output_folder, start="warm start")
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
    "compared_length_bp": compared_length_bp,
    "compared_block_size": compared_block_size,
    "compared_steps": compared_steps,
    "compared_learning_rate": compared_learning_rate,
    "num_seeds": num_seeds,
    "num_test_sequences": num_test_sequences,
    "compared_further": compared_further,
}
provenance = describe_run(parameters=parameters, seed=seed, data=run_data.name_of_data(data))
path = results.write(measured, Path(output_folder) / "finetuning.csv", provenance)
during_training = results.read(path)

# %%
measured = curves.held_out_accuracy(
    {
        (ENFORMER, 0): enformer,
        (NEW_ATTENTION, 0): workspace.with_new_attention(enformer, recipe),
        (NEW_ATTENTION, senformer_steps): senformer.model,
        (WARM_START, 0): workspace.with_sparse_pattern(enformer, recipe),
        (WARM_START, senformer_steps): warm.model,
    },
    folders[run_data.HEAD],
    sequence_length_bp=sequence_length_bp,
    num_sequences=num_test_sequences,
)
path = results.write(measured, Path(output_folder) / "finetuning_held_out.csv", provenance)
accuracy = results.read(path)
is_last = accuracy.groupby("model")["step"].transform("max") == accuracy["step"]
last = accuracy[is_last].reset_index(drop=True)
last.attrs = accuracy.attrs

# %%
run = ablation_runs.Run(
    enformer=enformer,
    folders=folders,
    output_folder=output_folder,
    num_test_sequences=num_test_sequences,
    largest_trunk_cache_gb=largest_trunk_cache_gb,
)
seeds = range(seed, seed + num_seeds)
plans = run.plans(
    sequence_length_bp=compared_length_bp,
    steps=compared_steps,
    learning_rate=compared_learning_rate,
    batch_size=batch_size,
    seeds=seeds,
)
config = enformer.config.replace(block_size=compared_block_size)
path_to_senformer = ablations.steps_to_senformer(config)
further = {name: ablations.further_changes(name, config) for name in ablations.FURTHER}
compared = path_to_senformer + [change for name in compared_further for change in further[name]]
measured_costs = accuracy_drops.cost_of_changes(compared, plans, run)
costs_path = Path(output_folder) / "finetuning_causes.csv"
costs = results.read(results.write(measured_costs, costs_path, provenance))
regulation = costs["measure"].iloc[-1]
on_the_path = accuracy_drops.compared_with_enformer(costs, path_to_senformer)

# %%
unlike = comparability.unlike_the_study(
    senformer.model.config,
    attention=preset("senformer").attention,
    num_finetuning_examples=senformer_steps * batch_size,
    published_weights=bool(enformer_checkpoint),
)
judged = curves.judge_claims(accuracy, during_training, num_steps=senformer_steps, unlike=unlike)
claims_path = results.write(judged, Path(output_folder) / "finetuning_claims.csv", provenance)

# %% tags=["answer"]
share_kept = pattern.share_of_keys_kept(warm.model.config, sequence_length_bp)
sentence = curves.what_was_found(accuracy, sequence_length_bp, share_kept)
answers.at_the_top(f"{sentence} {answers.accuracy(costs)}", judged, "finetuning")

# %% tags=["tab: After the last step"]
figures.finetuned(last)

# %% tags=["tab: During training"]
figures.finetuning(during_training)

# %% [markdown]
# The study's Figures 5a, after training, and 5b, during it. Accuracy is r of each track over all
# bins of sequences that no model was trained on, averaged over the tracks of a type: of test
# sequences after training, of validation sequences during it. Whiskers are 95 % intervals over
# sequences. The dashed line is Enformer, which is not trained further.
#
# Where regulation reaches far, each change by itself:

# %%
ablation_figures.accuracy_of_ablations(accuracy_drops.of_measure(on_the_path, regulation))

# %% [markdown]
# From row to row one thing changes, so what the steps cost adds up to the difference of the ends.
# Whiskers are intervals over held-out sequences and seeds. *Over promoters* is r of what promoters
# make, each in its own biosample: over all bins, most of which hold no promoter, a model gets most
# of its r for telling promoters from the rest.
#
# ## What it means for you
#
# - **You have a trained Enformer and want it in less memory.** Start warm, and read what the warm
#   start is worth before any step, before you plan a training. New attention layers throw away what
#   Enformer's had learnt, and trained for as long they stay behind.
# - **Your question is about regulation that reaches far.** Judge a pattern by CAGE over promoters.
#   Openness, binding and marks are decided next to a bin, which needs no attention; r over all bins
#   hides most of what a pattern costs.
# - **You choose a pattern.** Compare what its parts are worth [below](fewer-keys): the size of the
#   blocks, the number of random blocks, where they are drawn from. Then count what they cost in
#   [memory](memory.ipynb) and [time](runtime.ipynb).
# - **You choose another kind of attention.** Before training none of them is Enformer's attention.
#   What they learn is decided here by simulated records, in which the kind of an enhancer tells
#   most and its exact distance little: attention without positions has it easy.
#
# ## How it was measured
#
# Enformer comes first: its published weights where `enformer_checkpoint` names them, otherwise one
# that is trained here on the records in `data`, or on simulated ones where no folder is given. Then
# S-Enformer twice, with everything but attention taken from Enformer and left as it is. The study's
# way puts new attention layers of BigBird's kind in place, random at first. The warm start keeps
# Enformer's attention weights and takes away the keys that BigBird's pattern does not name. One
# step is a batch of human and a batch of mouse records in turn.
#
# What each change costs is told by models with the trunk and the heads of the run's Enformer, whose
# attention is trained alike, from several seeds, on human records with what lies beside them in the
# genome. Their blocks are small, so that the input has more of them than the study's, and a row
# sees fewer.

# %% [markdown] tags=["folded"]
# ## Before and after training
#
# Before any step new attention is what the convolutions and the rest of the transformer do on their
# own, and the warm start is Enformer with a sparse pattern and no training at all: its distance
# from Enformer is what the keys that were taken away are worth to it.

# %%
tables.show(curves.table_of_ends(accuracy))

# %%
ceilings = run_data.ceilings_by_track_type(folders[run_data.HEAD])
if ceilings is not None:
    display(Markdown(run_data.WHAT_CEILINGS_ARE), tables.show(ceilings))

# %% [markdown] tags=["folded"]
# (fewer-keys)=
# ## Every change, by every measure

# %%
Markdown(accuracy_drops.what_was_found(on_the_path, regulation))

# %% tags=["tab: From Enformer to S-Enformer"]
ablation_figures.accuracy_of_ablations(on_the_path)

# %% tags=["tab: Fewer keys"]
with_fewer_keys = accuracy_drops.compared_with_enformer(costs, further["fewer keys"])
ablation_figures.accuracy_of_ablations(with_fewer_keys)

# %% tags=["tab: Other attentions"]
ablation_figures.accuracy_of_ablations(
    accuracy_drops.compared_with_enformer(costs, further["other attentions"])
)

# %%
Markdown(accuracy_drops.what_was_found(with_fewer_keys, regulation))

# %% [markdown]
# Before training, a model with new attention is trunk and heads, and what random attention adds to
# them. The interval of a step's cost, on hover and in the text, is narrower than the whiskers, for
# both models meet the same sequences. The second tab takes keys away until none is left that lies
# far; the third changes the size of the blocks or the kind of attention, where Performer, linear
# attention and Reformer begin with those of Enformer's weights that they have a place for.

# %% [markdown] tags=["folded"]
# ## Why: the attention that a pattern takes away
#
# A warm start loses the attention that Enformer gave to keys which the pattern does not keep. How
# much that is can be told of any trained model, without training and without targets. If it says
# what a pattern costs, the marks rise to the right.

# %%
sequences = run_data.held_out_sequences(
    run.records,
    sequence_length_bp=compared_length_bp,
    target_length=target_length,
    num_sequences=8,
)
patterns = ablations.patterns_of(compared, seeds, enformer.config)
lost = attention_shares.attention_lost(enformer, patterns, sequences)
before = costs[(costs["when"] == "before") & (costs["measure"] == regulation)]
lost_path = Path(output_folder) / "finetuning_attention_lost.csv"
lost_and_cost = results.read(results.write(lost.merge(before), lost_path, provenance))
ablation_figures.drop_by_attention_lost(lost_and_cost)

# %% [markdown] tags=["folded"]
# ## What the study found
#
# It trained new attention layers for {published}`finetuning.num_steps`, each of a human and a mouse
# batch, which took {published}`finetuning.days`, and stayed below Enformer for every track type;
# accuracy was still rising when it stopped.

# %% [markdown] tags=["folded"]
# (verdicts-finetuning)=
# ## Do they agree?
#
# S-Enformer is below Enformer where the interval of their difference is; it is still improving
# where the slope of its accuracy over the last half of the training is told from none.

# %% tags=["claims"]
tables.show(verdicts.side_by_side(results.read(claims_path)))
