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
# How far does a change of one base reach, and from how far does a model take what it predicts? The
# study says that a change of any base changes the prediction of every bin, in both models. That it
# can says little of whether a model has learnt to use what lies far away.

# %% tags=["parameters"]
parameters = {}  # values that differ from the defaults of ReceptiveFieldParameters

# %%
import pandas as pd
from IPython.display import Markdown, display

from senformer.config import preset
from senformer.experiments import answers, run_data
from senformer.experiments.finetuning import ablation_runs
from senformer.experiments.parameters import ReceptiveFieldParameters
from senformer.experiments.receptive_field import (
    attention_shares,
    curves,
    effects_in_reach,
    enhancer_distance,
    input_length,
    judgement,
    passes,
    pattern,
    scan,
)
from senformer.experiments.workspace import Workspace
from senformer.report import tables
from senformer.report.figures import distance as distance_figures
from senformer.report.figures import reach as figures
from senformer.study import comparability, published, reanalysis, verdicts
from senformer.workflow import notebooks

notebooks.enter_folder()
p = ReceptiveFieldParameters(**parameters)
workspace = Workspace(p)
enformer = workspace.enformer()
senformer = workspace.senformer().model
models = {"Enformer": enformer, "S-Enformer": senformer}

# %%
scan_plan = {
    "sequence_length_bp": p.sequence_length_bp,
    "positions_bp": scan.mutation_positions_bp(p.sequence_length_bp, p.num_positions),
    "num_sequences": p.num_sequences,
    "seed": p.seed,
}
effects, floors = [], []
for name, model in models.items():
    predict = passes.spliced_passes(model, run_data.HEAD, batch_size=p.batch_size)
    effects.append(scan.mutation_effects(predict, **scan_plan).assign(model=name))
    floors.append(scan.noise_floor(predict, **scan_plan).assign(model=name))
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
compared = (p.compared_attention, p.compared_lengths_bp, plans)
held_out = run.held_out_accuracy()
scores = input_length.scores_by_length(
    input_length.variants_by_length(*compared, block_size=p.compared_block_size), run, held_out
)
scores_elsewhere = input_length.scores_by_length(
    input_length.variants_by_length(
        *compared, block_size=p.compared_block_size, trained_length_bp=p.compared_length_bp
    ),
    run,
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
        "receptive_field_use", input_length.use_by_distance(scores, held_out.promoters, run)
    )

# %%
unlike = comparability.unlike_the_study(
    senformer.config,
    attention=preset("senformer").attention,
    sequence_length_bp=p.sequence_length_bp,
    num_finetuning_examples=p.senformer_steps * p.batch_size,
    num_random_sequences=p.num_sequences,
    published_weights=bool(p.enformer_checkpoint),
)
judged = judgement.judge_claims(changes, noise, unlike=unlike)
claims = workspace.save_table("receptive_field_claims", judged)

# %% tags=["answer"]
if used is None:
    sentence = input_length.what_length_buys(by_length, regulation)
else:
    sentence = answers.distance(used[used["sequence_length_bp"] == p.compared_length_bp])
answers.at_the_top(sentence, judged, "receptive_field")

# %%
of_transcription = input_length.of_transcription(by_length)
(
    distance_figures.accuracy_by_length(of_transcription)
    if used is None
    else distance_figures.use_by_distance(used)
)

# %%
if used is not None:
    display(Markdown(enhancer_distance.HOW_IT_IS_MEASURED))

# %% [markdown]
# ## What it means for you
#
# - **You choose a number of layers.** With self-attention one layer sees the whole input. With
#   BigBird's pattern take two or more: with one, most bases of the right half are out of reach of
#   most bins.
# - **You study an element far from its gene.** That a change reaches a bin says little: look at how
#   large it is beside a change at the bin itself, and beside rounding.
# - **You place a sequence in a sparse model's input.** The ends, and with the study's draw the
#   first blocks, are seen by far more heads than the rest. Two copies of an element at other places
#   in the input need not have the same effect.
# - **You choose a length.** A longer input pays only where the attention uses what it adds: compare
#   the lines with the best possible. More keys make every one harder to find, for exact attention
#   too, and where training is short that can cost more than the keys bring.
# - **You want to know what a bin depends on.** One gradient shows it for all bases; mutations
#   confirm it base by base.
#
# ## How it was measured
#
# Models of one size, with the trunk and heads of the run's Enformer, have their attention trained
# at several lengths of the input, exact and sparse alike; they predict the same bins. What a longer
# input adds is what lies farther away: the study's reason for it, which it does not test.
#
# For the study's own question one base of a random sequence is replaced, and the change of the
# prediction recorded in every bin: its absolute value, averaged over tracks and sequences. Each
# scan has a control on the same sequences: a nudge of the same base, too small to mean anything,
# shows by how much float32 rounding alone moves a prediction. The two models are those of the
# [fine-tuning page](finetuning.ipynb).

# %% [markdown] tags=["folded"]
# (what-a-longer-input-buys)=
# ## What a longer input buys

# %%
Markdown(input_length.what_length_buys(by_length, regulation))

# %% tags=["tab: Trained at each length"]
distance_figures.accuracy_by_length(of_transcription)

# %% tags=["tab: Trained at one length"]
distance_figures.accuracy_by_length(input_length.of_transcription(longer_than_trained))

# %% [markdown]
# Pearson's r on held-out sequences, by the length of the input, beside the best possible prediction
# from an input of that length and the best that knows no enhancer; for real records neither is
# known. The models of the second tab were all trained at one length and are asked at others,
# shorter and longer. Whiskers are 95 % intervals over sequences and seeds.

# %%
Markdown(input_length.what_was_lost_elsewhere(by_length, longer_than_trained, regulation))

# %% [markdown] tags=["folded"]
# ## How far a change of one base reaches
#
# The study's Figure 8. One panel per position; the vertical line marks the base that was replaced.
# Positions are spread evenly over the input, its first and last base included. A change that does
# not stand clear of its model's rounding is no effect.

# %%
with_noise = pd.concat([changes, noise.assign(model=noise["model"] + ", rounding alone")])
with_noise.attrs = changes.attrs
figures.receptive_field(with_noise)

# %% [markdown]
# The share of predicted bins that a change reached: those where it is at least ten times what
# rounding did there.

# %%
figures.share_reached(scan.share_reached(changes, noise))

# %% [markdown]
# How high the curves are, how uneven (standard deviation over mean; 0 is flat), and how peaked:

# %%
tables.show(judgement.shape_of_curves(changes), digits=4)

# %% [markdown] tags=["folded"]
# ## Which bases a bin depends on
#
# Mutations show all bins for a few bases, gradients all bases for a few bins: the first, the
# central and the last. The gradient of a bin tells, to first order, what replacing any base would
# do to it. Lines are gradients, averaged over the 128 bases of a token; marks are mutations, of one
# base each. Both are of the mean over tracks, so a change that raises some tracks and lowers others
# is small here.

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
# The pattern alone bounds a receptive field: outside of it a change is zero whatever the weights
# are. This is one layer at the study's size, with the study's draw. Every block sees the two ends
# and is seen by them, and sees its neighbours; its random blocks are drawn from the first
# {published}`receptive_field.code_leading_blocks` only. So those are seen by many heads of every
# block, and the others, but for the last, by their neighbours and the two ends alone. The tokens of
# a block have the same paths to a base: that is why the study's curves step at the edges of blocks.

# %%
allowed = pattern.pattern_of_layer(preset("senformer"), 0, published.SEQUENCE_LENGTH_BP)
figures.attention_pattern(workspace.save_table("receptive_field_pattern", allowed))

# %% [markdown]
# Share of the predicted bins that a base can reach at the study's size, by the number of attention
# layers: `dense` is self-attention, `bigbird` the study's sparse attention.

# %%
shares = pattern.allowed_shares(
    [preset("enformer"), preset("senformer")],
    sequence_length_bp=published.SEQUENCE_LENGTH_BP,
    positions_bp=scan.mutation_positions_bp(published.SEQUENCE_LENGTH_BP, p.num_positions),
    num_layers=[1, 2],
)
figures.share_reached(workspace.save_table("receptive_field_allowed", shares))

# %% [markdown] tags=["folded"]
# ## What a pattern keeps of attention
#
# How much of the attention of the Enformer above, trained with exact attention, falls on keys that
# the sparse pattern keeps: by layer, head and distance, beside the share of keys that it keeps.

# %%
sparse_config = enformer.config.replace(
    attention="bigbird_relative", block_size=p.compared_block_size, random_block_seed=p.seed
)
sequences = run_data.held_out_sequences(
    workspace.human,
    sequence_length_bp=p.compared_length_bp,
    target_length=p.target_length,
    num_sequences=p.num_sequences,
)
kept = attention_shares.attention_kept(enformer, sparse_config, sequences)
distance_figures.attention_kept(workspace.save_table("receptive_field_attention_kept", kept))

# %% [markdown]
# A mark above the line is a head whose attention the pattern keeps better than chance would; its
# size is how much of the head's attention falls in that band.

# %%
if held_out.promoters is not None:
    in_reach = effects_in_reach.effects_in_reach(
        held_out.promoters, sparse_config, p.compared_length_bp
    )
    best = effects_in_reach.accuracy_in_reach(held_out.promoters, in_reach, held_out.levels)
    best = workspace.save_table("receptive_field_effects_in_reach", best)
    display(Markdown(effects_in_reach.WHAT_REACHES_HOLD))
    display(tables.show(effects_in_reach.table_of_reaches(best)))

# %% [markdown] tags=["folded"]
# ## What the study found
#
# With {published}`receptive_field.num_positions` positions and
# {published}`receptive_field.num_sequences` sequences each, the study found that a change of any
# base changes the prediction of every bin, in both models. From the ends of the input S-Enformer's
# predictions moved more, and more evenly, than Enformer's; from near the middle both had a peak,
# off which S-Enformer fell faster. It had no control for rounding. Its code replaces a base by one
# of {published}`receptive_field.code_two_bases` others; here all three are drawn.

# %% [markdown] tags=["folded"]
# ## The study's stored results, drawn again

# %%
of_the_study = published.read_receptive_field()
Markdown(reanalysis.where_it_reaches(of_the_study))

# %% tags=["tab: Curves"]
figures.receptive_field(of_the_study, block_bp=curves.BLOCK_BP)

# %% tags=["tab: By position"]
figures.effect_by_position(curves.effect_by_position(of_the_study))

# %% tags=["tab: Steps"]
tables.show(curves.greatest_steps(of_the_study), digits=1)

# %% [markdown]
# The study's Figure 8 once more, from the curves that it stored
# (`senformer/study/tables/`): its models at their full size, of which nothing was run
# here. The fine lines stand every 8,192 bp, where blocks of tokens meet. A step is the median of
# eight bins over that of the eight before, or the reverse, beyond what the convolutions reach.
#
# The study reads off it that S-Enformer is the more affected by changes towards the ends of the
# input. That holds for the first and the last base alone, which lie in the two blocks that every
# token sees; one position further in, Enformer's effect is the greater. And where Enformer's curves
# fall smoothly with the distance, S-Enformer's fall at the edges of the window of blocks: two bins
# side by side can differ as much as two that are far apart.

# %% [markdown] tags=["folded"]
# (verdicts-receptive_field)=
# ## Do they agree?
#
# What the curves look like is judged by trained models of the study's size and input alone, and by
# the curves that the study stored.

# %% tags=["claims"]
both = [reanalysis.judge_receptive_field_claims(of_the_study), claims]
tables.show(verdicts.side_by_side(pd.concat(both)))
