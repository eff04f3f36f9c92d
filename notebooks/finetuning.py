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
parameters = {}  # values that differ from the defaults of FinetuningParameters

# %%
import pandas as pd
from IPython.display import Markdown, display

from senformer.config import preset
from senformer.experiments import answers, run_data
from senformer.experiments.finetuning import ablation_runs, ablations, accuracy_drops, curves
from senformer.experiments.finetuning.curves import ENFORMER, NEW_ATTENTION, WARM_START
from senformer.experiments.parameters import FinetuningParameters
from senformer.experiments.receptive_field import attention_shares, pattern
from senformer.experiments.workspace import Workspace
from senformer.report import tables
from senformer.report.figures import ablation_accuracy as ablation_figures
from senformer.report.figures import accuracy as figures
from senformer.study import comparability, verdicts
from senformer.workflow import notebooks

notebooks.enter_folder()
p = FinetuningParameters(**parameters)
workspace = Workspace(p)
enformer = workspace.enformer()
new = workspace.senformer("new attention")
warm = workspace.senformer("warm start")
by_step = pd.concat(
    [
        workspace.validation_accuracy(enformer).assign(model=ENFORMER, step=0),
        new.accuracy.assign(model=NEW_ATTENTION),
        warm.accuracy.assign(model=WARM_START),
    ],
    ignore_index=True,
)
during_training = workspace.save_table("finetuning", by_step)

# %%
held_out = curves.held_out_accuracy(
    {
        (ENFORMER, 0): enformer,
        (NEW_ATTENTION, 0): workspace.untrained_senformer("new attention"),
        (NEW_ATTENTION, p.senformer_steps): new.model,
        (WARM_START, 0): workspace.untrained_senformer("warm start"),
        (WARM_START, p.senformer_steps): warm.model,
    },
    workspace.human,
    sequence_length_bp=p.sequence_length_bp,
    num_sequences=p.num_test_sequences,
)
accuracy = workspace.save_table("finetuning_held_out", held_out)

# %%
run = ablation_runs.Run(
    enformer=enformer,
    folders=workspace.records,
    output_folder=workspace.folder,
    num_test_sequences=p.num_test_sequences,
    largest_trunk_cache_gb=p.largest_trunk_cache_gb,
)
plans = run.plans(
    sequence_length_bp=p.compared_length_bp,
    steps=p.compared_steps,
    learning_rate=p.compared_learning_rate,
    batch_size=p.batch_size,
    seeds=p.seeds,
)
config = enformer.config.replace(block_size=p.compared_block_size)
path_to_senformer = ablations.steps_to_senformer(config)
further = {name: ablations.further_changes(name, config) for name in ablations.FURTHER}
compared = path_to_senformer + [one for name in p.compared_further for one in further[name]]
costs = workspace.save_table(
    "finetuning_causes", accuracy_drops.cost_of_changes(compared, plans, run)
)
regulation = costs["measure"].iloc[-1]
on_the_path = accuracy_drops.compared_with_enformer(costs, path_to_senformer)

# %%
unlike = comparability.unlike_the_study(
    new.model.config,
    attention=preset("senformer").attention,
    num_finetuning_examples=p.senformer_steps * p.batch_size,
    published_weights=bool(p.enformer_checkpoint),
)
judged = curves.judge_claims(accuracy, during_training, num_steps=p.senformer_steps, unlike=unlike)
claims = workspace.save_table("finetuning_claims", judged)

# %% tags=["answer"]
share_kept = pattern.share_of_keys_kept(warm.model.config, p.sequence_length_bp)
sentence = curves.what_was_found(accuracy, p.sequence_length_bp, share_kept)
answers.at_the_top(f"{sentence} {answers.accuracy(costs)}", judged, "finetuning")

# %% tags=["tab: After the last step"]
is_last = accuracy["step"] == accuracy.groupby("model")["step"].transform("max")
figures.finetuned(accuracy[is_last].reset_index(drop=True))

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
ceilings = run_data.ceilings_by_track_type(workspace.human)
if ceilings is not None:
    display(Markdown(run_data.CEILING_NOTE), tables.show(ceilings))

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
    workspace.human,
    sequence_length_bp=p.compared_length_bp,
    target_length=p.target_length,
    num_sequences=8,
)
patterns = ablations.patterns_of(compared, p.seeds, enformer.config)
lost = attention_shares.attention_lost(enformer, patterns, sequences)
before = costs[(costs["when"] == "before") & (costs["measure"] == regulation)]
lost_and_cost = workspace.save_table("finetuning_attention_lost", lost.merge(before))
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
tables.show(verdicts.side_by_side(claims))
