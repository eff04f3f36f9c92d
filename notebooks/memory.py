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
# # Memory
#
# How much memory does a training step need, and from which length of the input on does sparse
# attention need less? The study says that with self-attention a step no longer fits a card of
# {published}`memory.budget_gb` at {published}`memory.dense_out_of_memory_bp`, that with sparse
# attention it still does at {published}`memory.bigbird_trains_bp`, and that below about
# {published}`memory.crossover_bp` self-attention needs less.

# %% tags=["parameters"]
parameters = {}  # values that differ from the defaults of MeasuringParameters

# %%
import pandas as pd
from IPython.display import Markdown

from senformer.experiments import answers
from senformer.experiments.compiling import compilations
from senformer.experiments.memory_and_time import judgement, measurements, scaling
from senformer.experiments.parameters import MeasuringParameters
from senformer.experiments.workspace import ResultFolder
from senformer.report import benchmark_tables, gpu_steps, tables
from senformer.report.figures import cost as figures
from senformer.report.figures import gpu_cost as gpu_figures
from senformer.report.figures import ratios as ratio_figures
from senformer.study import published, verdicts
from senformer.workflow import notebooks

notebooks.enter_folder()
p = MeasuringParameters(**parameters)
run = ResultFolder(p)
compiled = compilations.compile_grid(p.compiled_for, p.compiled, run.folder / "compiled")
measured = measurements.measure_all(p.measurements, run.folder / "measurements")
on_cards = run.save_table("memory_compiled", compiled, data="compiled, not run")
of_both_types = run.save_table("memory", measured)
memory = scaling.in_float32(of_both_types)

# %%
benchmarks = notebooks.ROOT / "benchmarks" / "results"
published_code = benchmark_tables.read(benchmarks / "published_on_gpu.csv")
on_gpu = gpu_steps.add_published_code(on_cards, published_code)
judged = judgement.judge_memory_claims(memory, on_cards, published_code)
claims = run.save_table("memory_claims", judged)

# %% tags=["answer"]
if len(on_cards):
    card = on_cards[on_cards["device"] == on_cards["device"].iloc[0]]
    sentence = answers.memory(card, f"{card['device_label'].iloc[0]}, compiled and not run")
else:
    sentence = answers.memory(memory, f"Run on {memory['device'].iloc[0]}")
answers.at_the_top(sentence, judged, "memory")

# %%
published_points = published.memory().query("channels == @p.channels")
beside_published = pd.concat([memory.assign(origin="measured"), published_points])
beside_published = beside_published.reset_index(drop=True)
beside_published.attrs = memory.attrs
gpu_figures.compiled_memory(on_gpu) if len(on_gpu) else figures.memory(beside_published)

# %% [markdown]
# For the study's Figure 1. Choose a card above the figure where there is a choice. Filled marks are
# this project's code; open ones the study's two formulations, computed as its code ran them, the
# whole sequence at once and every activation kept.
#
# ## What it means for you
#
# - **You have a GPU and look for a length.** The [planner](../planner.md) answers for your card,
#   your layers and every kind of attention side by side.
# - **You have a length and look for a kind of attention.** Compare `dense` with `tiled` before you
#   change the model: both compute the same. Memory alone is a reason for sparse attention only
#   where `tiled` does not fit either.
# - **You plan to train everything.** Training `all` keeps what the convolutions saw at the full
#   length of the sequence, and no kind of attention changes that part.
#
# ## How it was measured
#
# XLA, TensorFlow's compiler, can compile a step for a card that is not there, and says how much of
# the card's memory the program allocates. That is an account and not a run: **compiled, not run**.
# Compiled as a whole, operations are joined and arrays are freed that a run of one operation after
# another holds: so a step that fits here shows that one can, and not that the study's did.
# Steps that were run, on a CPU and on a GPU, stand below, and so does what `bfloat16` saves.
# `trained` names what is trained: with `attention`, the study's choice, the convolutions are frozen
# and keep nothing for a gradient; `all` is training as a whole.

# %% [markdown] tags=["folded"]
# ## What a further layer adds
#
# The study's Figure 2. Trunk and head, the same in all kinds, drop out of the difference between
# a step of many layers and one of a single layer.

# %%
of_layer = gpu_steps.memory_per_layer(on_gpu)
of_layer.attrs = on_gpu.attrs
(
    gpu_figures.layer_memory(of_layer)
    if len(of_layer)
    else Markdown("No step was compiled with two numbers of layers.")
)

# %% [markdown] tags=["folded"]
# ## How far a run is from the compiler's account
#
# Steps that [ran on a GPU](steps-that-ran), beside what had been compiled for the same card without
# it.

# %%
ran = benchmark_tables.read(benchmarks / "steps_on_gpu.csv")
Markdown(gpu_steps.describe_compiled_peak(ran))

# %%
over_compiled = gpu_steps.ratio_to_compiled_peak(
    scaling.in_float32(gpu_steps.steps_of_this_package(ran))
)
ratio_figures.ratios_by_length(over_compiled, title="peak as it ran over the compiled one")

# %% [markdown] tags=["folded"]
# ## On a CPU

# %%
Markdown(scaling.where_measured(memory))

# %%
figures.memory(beside_published)

# %% [markdown]
# Each point is the peak of one process that trains one model on a random sequence for a few steps,
# weights and optimiser included. A step that did not fit is a mark in a strip above the others.
# Both axes are logarithmic. Beside `dense`, each kind takes:

# %%
ratio_figures.ratios_by_length(
    scaling.ratios(memory, "peak_memory_gb"), title="peak over that of dense"
)

# %% [markdown]
# Part of a peak is there before the step begins: weights, and two averages per trained weight. What
# the step itself adds grows with this power of the length; the gradients of the trained weights,
# which are part of it, do not grow.

# %%
step_gb = memory["peak_memory_gb"] - memory["resident_memory_gb"]
grown = scaling.growth(memory.assign(step_memory_gb=step_gb), "step_memory_gb")
(
    ratio_figures.growth(grown, title="power of the length")
    if len(grown)
    else Markdown("Fewer than three lengths were measured.")
)

# %% [markdown]
# Two codes, one model: the study's keeps the whole table of attention weights; here each kind
# computes again what it can ([what a step keeps](what-a-step-keeps)). Peaks of both on a CPU:

# %%
tables.show(
    judgement.code_peaks(memory),
    digits=2,
    if_empty="The models of this run are of another size than those that were measured of both.",
)

# %% [markdown] tags=["folded"]
# ## In bfloat16
#
# Activations and products take half the bytes, while weights, averages, normalisation and attention
# weights stay as they are.

# %%
in_half = scaling.bfloat16_ratios(of_both_types, "peak_memory_gb")
(
    ratio_figures.ratios_by_length(in_half, title="peak over that in float32")
    if len(in_half)
    else Markdown("No step was measured in both types.")
)

# %% [markdown] tags=["folded"]
# ## What the study found
#
# A step has to hold the weights, the optimiser's averages, and everything of the forward pass that
# the backward pass needs. Self-attention adds scores for every pair of tokens, which grow with the
# square of the sequence; BigBird scores a fixed number of keys per token. On one card the study saw
# self-attention run out of memory at {published}`memory.dense_out_of_memory_bp`, and sparse
# attention train at {published}`memory.bigbird_trains_bp`, the longest input that it tried. Sparse
# attention has a price too, so the two meet at about {published}`memory.crossover_bp`.

# %% [markdown] tags=["folded"]
# (verdicts-memory)=
# ## Do they agree?
#
# A claim is judged by models of the study's size alone, at the lengths that it speaks of: by the
# study's own formulations, compiled for its own card.

# %% tags=["claims"]
tables.show(verdicts.side_by_side(claims))
