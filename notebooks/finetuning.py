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
# How close to Enformer does a sparse model come if only its attention is trained, and how much
# accuracy does each ablation lose? The study replaces Enformer's attention by BigBird's, which
# starts at random, and trains only that. A sparse model need not start at random: attention with
# Enformer's own parameters can start with all of Enformer's weights.

# %% tags=["parameters"]
parameters = {}  # values that differ from the defaults of FinetuningParameters

# %%
import pandas as pd
from IPython.display import Markdown, display

from senformer.experiments import answers, run_data
from senformer.experiments.finetuning import ablation_runs, ablations, accuracy_drops, curves
from senformer.experiments.held_out import HeldOutAccuracy
from senformer.experiments.parameters import FinetuningParameters
from senformer.experiments.receptive_field import attention_shares, pattern
from senformer.experiments.workspace import Workspace
from senformer.report import tables
from senformer.report.figures import ablation_accuracy as ablation_figures
from senformer.report.figures import accuracy as figures
from senformer.report.row_labels import ENFORMER, NEW_ATTENTION, WARM_START
from senformer.study import comparability, judges, verdicts
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
held_out = curves.measure_held_out_accuracy(
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
plans = ablation_runs.training_plans(workspace.human, p)
measures = HeldOutAccuracy(workspace.human, p.target_length, p.num_test_sequences)
config = enformer.config.replace(block_size=p.compared_block_size)
path_to_senformer = ablations.steps_to_senformer(config)
further = {name: ablations.further_ablations(name, config) for name in ablations.FURTHER_ABLATIONS}
compared = path_to_senformer + [one for group in p.compared_further for one in further[group]]
measured = accuracy_drops.measure_accuracy_drops(compared, plans, workspace, measures)
drops = workspace.save_table("finetuning_ablations", measured)
regulation = drops["measure"].iloc[-1]
on_the_path = accuracy_drops.select_ablations(drops, path_to_senformer)

# %%
difference = comparability.describe_differences(
    new.model.config,
    uses_published_weights=bool(p.enformer_checkpoint),
    attention=new.model.config.attention,
    num_finetuning_examples=p.senformer_steps * p.batch_size,
)
slopes = curves.fit_final_slopes(during_training, NEW_ATTENTION)
evidence = {"accuracy": accuracy, "slopes": slopes, "num_steps": p.senformer_steps}
judged = judges.judge_claims("finetuning", evidence, difference)
verdict_table = workspace.save_table("finetuning_claims", judged)

# %% tags=["answer"]
share_kept = pattern.share_of_keys_kept(warm.model.config, p.sequence_length_bp)
sentence = curves.summarize_starts(accuracy, p.sequence_length_bp, share_kept)
answers.show_answer(f"{sentence} {answers.answer_finetuning(drops)}", judged, "finetuning")

# %% tags=["tab: After the last step"]
is_last = accuracy["step"] == accuracy.groupby("model")["step"].transform("max")
figures.finetuned(accuracy[is_last].reset_index(drop=True))

# %% tags=["tab: During training"]
figures.finetuning(during_training)

# %% [markdown]
# These are the study's Figures 5a, after training, and 5b, during training. Accuracy is r of each
# track over all bins of sequences that no model was trained on, averaged over the tracks of a
# type. After training it is measured on test sequences, during training on validation sequences.
# Whiskers are 95 % intervals over sequences. The dashed line is Enformer, which is not trained
# further.
#
# The next figure shows each step to S-Enformer separately, for distant regulation:

# %%
ablation_figures.accuracy_of_ablations(on_the_path[on_the_path["measure"] == regulation])

# %% [markdown]
# Each row differs from the one above in one respect, so the drops of the steps add up to the drop
# of S-Enformer. Whiskers are intervals over held-out sequences and seeds. *Over promoters* is r at
# promoters, each in its own biosample. Most bins contain no promoter, so over all bins a model
# gets most of its r for separating promoters from the rest.
#
# ## What it means for you
#
# - **You have a trained Enformer and want it to need less memory.** Use a warm start, and look at
#   its accuracy before any step, before you plan a training. New attention layers discard what
#   Enformer's had learnt, and after equal training they are still less accurate.
# - **Your question is about distant regulation.** Judge a pattern by CAGE over promoters.
#   Accessibility, binding and histone marks are decided next to a bin and need no attention; r
#   over all bins hides most of the accuracy that a pattern costs.
# - **You choose a pattern.** Compare its parts [below](fewer-keys): the size of the blocks, the
#   number of random blocks, and where they are drawn from. Then look at their
#   [memory](memory.ipynb) and [time](runtime.ipynb).
# - **You choose another kind of attention.** Before training, none of them equals Enformer's
#   attention. Here they learn from simulated records, in which the kind of an enhancer matters
#   most and its exact distance little: that favours attention without positions.
#
# ## How it was measured
#
# The run begins with an Enformer: with the published weights if `enformer_checkpoint` names them,
# otherwise trained here on the records in `data`, or on simulated records if there is no such
# folder. Two S-Enformers follow, which keep everything of Enformer except the attention. The
# study's model has new attention layers of BigBird's kind, which start at random. The warm
# start keeps Enformer's attention weights and removes the keys that BigBird's pattern does not
# contain. A step is a batch of human records, then a batch of mouse records.
#
# The ablations are models with the trunk and the heads of the run's Enformer.
# Their attention is trained under one protocol, from several seeds, on human records with
# flanking sequence from the genome. Their blocks are small, so that the input has more blocks
# than the study's and each query block attends to a smaller share of them.

# %% [markdown] tags=["folded"]
# ## Before and after training
#
# Before any step, a model with new attention has only its convolutions and the rest of the
# transformer. The warm start is Enformer with a sparse pattern and no training: its difference
# from Enformer is the effect of the removed keys.

# %%
tables.show(curves.format_before_after(accuracy))

# %%
ceilings = run_data.ceilings_by_track_type(workspace.human)
if ceilings is not None:
    display(Markdown(run_data.CEILING_NOTE), tables.show(ceilings))

# %% [markdown] tags=["folded"]
# (fewer-keys)=
# ## Every ablation, by every measure

# %%
Markdown(accuracy_drops.summarize_drops(on_the_path, regulation))

# %% tags=["tab: From Enformer to S-Enformer"]
ablation_figures.accuracy_of_ablations(on_the_path)

# %% tags=["tab: Fewer keys"]
with_fewer_keys = accuracy_drops.select_ablations(drops, further["fewer keys"])
ablation_figures.accuracy_of_ablations(with_fewer_keys)

# %% tags=["tab: Other attentions"]
ablation_figures.accuracy_of_ablations(
    accuracy_drops.select_ablations(drops, further["other attentions"])
)

# %%
Markdown(accuracy_drops.summarize_drops(with_fewer_keys, regulation))

# %% [markdown]
# Before training, a model with new attention consists of trunk, heads and random attention. The
# interval of a step's drop, on hover and in the text, is narrower than the whiskers, because both
# models predict the same sequences. The second tab removes keys until no distant ones remain. The
# third changes the size of the blocks or the kind of attention; Performer, linear attention and
# Reformer start with those of Enformer's weights that they have variables for.

# %% [markdown] tags=["folded"]
# ## Why: the attention that a pattern removes
#
# A warm start loses the attention that Enformer paid to keys outside the pattern. This share can
# be computed for any trained model, without training and without targets. If it predicts the
# accuracy drop of a pattern, the marks rise to the right.

# %%
sequences = run_data.read_held_out_sequences(
    workspace.human,
    sequence_length_bp=p.compared_length_bp,
    target_length=p.target_length,
    num_sequences=8,
)
patterns = ablations.select_patterns(compared, p.seeds, enformer.config)
lost = attention_shares.attention_lost(enformer, patterns, sequences)
before = drops[(drops["when"] == "before") & (drops["measure"] == regulation)]
lost_and_drops = workspace.save_table("finetuning_attention_lost", lost.merge(before))
ablation_figures.drop_by_attention_lost(lost_and_drops)

# %% [markdown] tags=["folded"]
# ## What the study found
#
# It trained new attention layers for {published}`finetuning.num_steps`, each with a human and a
# mouse batch, which took {published}`finetuning.days`. The accuracy stayed below Enformer's for
# every track type and was still rising at the end.

# %% [markdown] tags=["folded"]
# (verdicts-finetuning)=
# ## Do they agree?
#
# S-Enformer is less accurate than Enformer if the interval of their difference is below zero. It
# is still improving if the slope of its accuracy over the last half of the training differs
# significantly from zero.

# %% tags=["claims"]
tables.show(verdicts.compare_with_claims(verdict_table))
