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
# How far does a change of one base reach, and how distant is the sequence that a prediction
# depends on? The study says that a change of any base changes the prediction of every bin, in
# both models. Such a reach does not show whether a model has learnt to use distant sequence.

# %% tags=["parameters"]
parameters = {}  # values that differ from the defaults of ReceptiveFieldParameters

# %%
import pandas as pd
from IPython.display import Markdown, display

from senformer.config import preset
from senformer.experiments import answers, run_data
from senformer.experiments.finetuning import ablation_runs
from senformer.experiments.held_out import HeldOutAccuracy
from senformer.experiments.parameters import ReceptiveFieldParameters
from senformer.experiments.receptive_field import (
    attention_shares,
    effects_in_reach,
    enhancer_distance,
    input_length,
    passes,
    pattern,
    scan,
)
from senformer.experiments.workspace import Workspace
from senformer.report import tables
from senformer.report.figures import distance as distance_figures
from senformer.report.figures import reach as figures
from senformer.study import (
    claims,
    comparability,
    effect_curves,
    judges,
    published_tables,
    stored_results,
    verdicts,
)
from senformer.workflow import notebooks

notebooks.enter_folder()
p = ReceptiveFieldParameters(**parameters)
workspace = Workspace(p)
enformer = workspace.enformer()
senformer = workspace.senformer().model
models = {"Enformer": enformer, "S-Enformer": senformer}

# %%
scan_plan = scan.ScanPlan(
    sequence_length_bp=p.sequence_length_bp,
    positions_bp=scan.mutation_positions_bp(p.sequence_length_bp, p.num_positions),
    num_sequences=p.num_sequences,
    seed=p.seed,
)
effects, floors = [], []
for name, model in models.items():
    predict = passes.spliced_passes(model, run_data.HEAD, batch_size=p.batch_size)
    effects.append(scan.mutation_effects(predict, scan_plan).assign(model=name))
    floors.append(scan.noise_floor(predict, scan_plan).assign(model=name))
changes = workspace.save_table("receptive_field", pd.concat(effects, ignore_index=True))
noise = workspace.save_table("receptive_field_noise", pd.concat(floors, ignore_index=True))

# %%
slopes = [
    scan.gradient_effects(
        passes.differentiable_pass(model, run_data.HEAD),
        sequence_length_bp=p.sequence_length_bp,
        bins=[0, p.target_length // 2, p.target_length - 1],
        num_sequences=p.num_gradient_sequences,
        seed=p.seed,
    ).assign(model=name)
    for name, model in models.items()
]
gradients = workspace.save_table("receptive_field_gradients", pd.concat(slopes, ignore_index=True))

# %%
plans = ablation_runs.training_plans(workspace.human, p)
compared = (p.compared_attention, p.compared_lengths_bp, plans)
held_out = HeldOutAccuracy(workspace.human, p.target_length, p.num_test_sequences)
scores = input_length.scores_by_length(
    input_length.runs_by_length(*compared, block_size=p.compared_block_size), workspace, held_out
)
scores_elsewhere = input_length.scores_by_length(
    input_length.runs_by_length(
        *compared, block_size=p.compared_block_size, trained_length_bp=p.compared_length_bp
    ),
    workspace,
    held_out,
)
by_length = workspace.save_table(
    "receptive_field_by_length", input_length.accuracy_by_length(scores, held_out)
)
longer_than_trained = workspace.save_table(
    "receptive_field_longer_than_trained",
    input_length.accuracy_by_length(scores_elsewhere, held_out),
)
regulation = held_out.measures[-1]
used = None
if held_out.promoters is not None:  # only simulated records have known enhancer effects
    used = workspace.save_table(
        "receptive_field_use", input_length.use_by_distance(scores, held_out.promoters, workspace)
    )

# %%
difference = comparability.describe_differences(
    senformer.config,
    uses_published_weights=bool(p.enformer_checkpoint),
    attention=senformer.config.attention,
    sequence_length_bp=p.sequence_length_bp,
    num_finetuning_examples=p.senformer_steps * p.batch_size,
    num_random_sequences=p.num_sequences,
)
evidence = {"changes": changes.assign(is_reached=scan.is_reached(changes, noise))}
judged = judges.judge_claims("receptive_field", evidence, difference)
verdict_table = workspace.save_table("receptive_field_claims", judged)

# %% tags=["answer"]
if used is None:
    sentence = input_length.describe_gain_from_length(by_length, regulation)
else:
    sentence = answers.answer_receptive_field(
        used[used["sequence_length_bp"] == p.compared_length_bp]
    )
answers.show_answer(sentence, judged, "receptive_field")

# %%
transcription = input_length.select_transcription(by_length)
(
    distance_figures.accuracy_by_length(transcription)
    if used is None
    else distance_figures.use_by_distance(used)
)

# %%
if used is not None:
    display(Markdown(enhancer_distance.USE_NOTE))

# %% [markdown]
# ## What it means for you
#
# - **You choose a number of layers.** With dense attention one layer sees the whole input. With
#   BigBird's pattern take at least two: with one layer, most bases of the right half are out of
#   reach of most bins.
# - **You study an element far from its gene.** That a mutation reaches a bin means little:
#   compare its effect with that of a mutation at the bin itself, and with rounding.
# - **You place a sequence in a sparse model's input.** Far more heads see the ends, and with the
#   study's random blocks also the first blocks, than the rest. Two copies of an element at
#   different places need not have equal effects.
# - **You choose a length.** A longer input pays only if the attention uses what it adds: compare
#   the lines with the best possible accuracy. More keys make each one harder to find, with dense
#   attention too. After a short training this can cost more than the keys contribute.
# - **You want to know what a bin depends on.** One gradient shows it for all bases; mutations
#   confirm it base by base.
#
# ## How it was measured
#
# Models of one size, with the trunk and the heads of the run's Enformer, have their attention
# trained at several lengths of the input, both dense and sparse. They predict the same bins. A
# longer input adds more distant sequence: this is the study's reason for it, which the study does
# not test.
#
# For the study's own question, one base of a random sequence is replaced, and the change of the
# prediction is recorded in every bin: its absolute value, averaged over tracks and sequences.
# Each scan has a control on the same sequences: a change of the same base that is too small to
# matter shows how much float32 rounding alone changes a prediction. The two models are those of
# the [fine-tuning page](finetuning.ipynb).

# %% [markdown] tags=["folded"]
# (what-a-longer-input-buys)=
# ## What a longer input buys

# %%
Markdown(input_length.describe_gain_from_length(by_length, regulation))

# %% tags=["tab: Trained at each length"]
distance_figures.accuracy_by_length(transcription)

# %% tags=["tab: Trained at one length"]
distance_figures.accuracy_by_length(input_length.select_transcription(longer_than_trained))

# %% [markdown]
# Pearson's r on held-out sequences by the length of the input. For simulated records the figure
# also shows the best possible prediction from an input of that length, and the best without any
# enhancer. The models of the second tab were trained at one length and predict from others,
# shorter and longer. Whiskers are 95 % intervals over sequences and seeds.

# %%
Markdown(input_length.describe_other_training_length(by_length, longer_than_trained, regulation))

# %% [markdown] tags=["folded"]
# ## How far a change of one base reaches
#
# The study's Figure 8, with one panel per position; the vertical line marks the replaced base.
# The positions are spread evenly over the input and include its first and last base. A change
# that is not clearly larger than its model's rounding is no effect.

# %%
with_noise = pd.concat([changes, noise.assign(model=noise["model"] + ", rounding alone")])
with_noise.attrs = changes.attrs
figures.receptive_field(with_noise)

# %% [markdown]
# The share of predicted bins that a change reached: bins where the effect is at least ten times
# that of rounding.

# %%
figures.share_reached(scan.share_reached(changes, noise))

# %% [markdown]
# How high the curves are, how uneven (standard deviation over mean; 0 is flat), and how peaked:

# %%
tables.show(effect_curves.shape_of_curves(changes), digits=4)

# %% [markdown] tags=["folded"]
# ## Which bases a bin depends on
#
# Mutations show all bins for a few bases; gradients show all bases for a few bins: the first, the
# central and the last. The gradient of a bin predicts, to first order, the effect of replacing
# any base. Lines are gradients, averaged over the 128 bases of a token; marks are mutations of
# one base each. Both are of the mean over tracks, so a change that raises some tracks and lowers
# others appears small.

# %%
positions = changes[changes["bin"].isin(gradients["bin"])]
by_both = pd.concat(
    [
        gradients.assign(method="gradient"),
        positions.rename(columns={"mutation_position_bp": "position_bp"}).assign(method="mutation"),
    ]
)
by_both.attrs = gradients.attrs
figures.input_gradients(by_both)

# %% [markdown] tags=["folded"]
# ## What the pattern allows
#
# The pattern alone limits a receptive field: outside of it, an effect is zero for all weights.
# The figure shows one layer at the study's size, with the study's random blocks. Every block
# attends to the first and the last block, is attended by them, and attends to its neighbours. Its
# random blocks come only from the first {published}`receptive_field.code_leading_blocks`. So many
# heads of every block see those blocks. All others, except the last, are seen only by their
# neighbours and by the two global blocks. All tokens of a block have the same paths to a base,
# which explains the steps of the study's curves at the edges of blocks.

# %%
allowed = pattern.pattern_of_layer(preset("senformer"), 0, claims.SEQUENCE_LENGTH_BP)
figures.attention_pattern(workspace.save_table("receptive_field_pattern", allowed))

# %% [markdown]
# Share of the predicted bins that a base can reach at the study's size, by the number of
# attention layers. `dense` is Enformer's attention, `bigbird` the study's sparse attention.

# %%
shares = pattern.allowed_shares(
    [preset("enformer"), preset("senformer")],
    sequence_length_bp=claims.SEQUENCE_LENGTH_BP,
    positions_bp=scan.mutation_positions_bp(claims.SEQUENCE_LENGTH_BP, p.num_positions),
    num_layers=[1, 2],
)
figures.share_reached(workspace.save_table("receptive_field_allowed", shares))

# %% [markdown] tags=["folded"]
# ## What a pattern keeps of attention
#
# How much attention of the Enformer above, trained with dense attention, goes to keys that the
# sparse pattern keeps, by layer, head and distance, compared with the share of keys that it
# keeps.

# %%
sparse_config = enformer.config.replace(
    attention="bigbird_relative", block_size=p.compared_block_size, random_block_seed=p.seed
)
sequences = run_data.read_held_out_sequences(
    workspace.human,
    sequence_length_bp=p.compared_length_bp,
    target_length=p.target_length,
    num_sequences=p.num_sequences,
)
kept = attention_shares.attention_kept(enformer, sparse_config, sequences)
distance_figures.attention_kept(workspace.save_table("receptive_field_attention_kept", kept))

# %% [markdown]
# A mark above the line is a head whose attention the pattern keeps better than by chance. Its
# size is the share of the head's attention in that band.

# %%
if held_out.promoters is not None:
    in_reach = effects_in_reach.effects_in_reach(
        held_out.promoters, sparse_config, p.compared_length_bp
    )
    best = effects_in_reach.accuracy_in_reach(held_out.promoters, in_reach, held_out.levels)
    best = workspace.save_table("receptive_field_effects_in_reach", best)
    display(Markdown(effects_in_reach.REACHES_NOTE))
    display(tables.show(effects_in_reach.table_of_reaches(best)))

# %% [markdown] tags=["folded"]
# ## What the study found
#
# With {published}`receptive_field.num_positions` positions and
# {published}`receptive_field.num_sequences` sequences each, the study found that a change of any
# base changes the prediction of every bin, in both models. Changes at the ends of the input moved
# S-Enformer's predictions more, and more evenly, than Enformer's. Changes near the middle gave a
# peak in both models, and S-Enformer's fell faster on both sides. The study had no control for
# rounding. Its code replaces a base by one of {published}`receptive_field.code_two_bases` others;
# here all three are possible.

# %% [markdown] tags=["folded"]
# ## The study's stored results

# %%
study_scan = published_tables.read_receptive_field()
Markdown(stored_results.describe_receptive_field(study_scan))

# %% tags=["tab: Curves"]
figures.receptive_field(study_scan, block_bp=effect_curves.BLOCK_BP)

# %% tags=["tab: By position"]
figures.effect_by_position(effect_curves.effect_by_position(study_scan))

# %% tags=["tab: Steps"]
tables.show(effect_curves.find_steps(study_scan), digits=1)

# %% [markdown]
# This is the study's Figure 8 from the curves that it stored (`senformer/study/tables/`). Nothing
# was run here: these are the study's models at their full size. Fine lines every 8,192 bp mark
# the edges of blocks of tokens. A step is the median of eight bins divided by that of the eight
# bins before, or the reverse, outside the reach of the convolutions.
#
# The study concludes that changes towards the ends of the input affect S-Enformer more. That is
# true only for the first and the last base, which lie in the two global blocks. One position
# further in, Enformer's effect is larger. And where Enformer's curves fall smoothly with
# distance, S-Enformer's fall at the edges of the window of blocks: two neighbouring bins can
# differ as much as two distant ones.

# %% [markdown] tags=["folded"]
# (verdicts-receptive_field)=
# ## Do they agree?
#
# Only trained models of the study's size and input, and the curves that the study stored, decide
# claims about the curves.

# %% tags=["claims"]
both = [judges.judge_stored_receptive_field(study_scan), verdict_table]
tables.show(verdicts.compare_with_claims(pd.concat(both)))
