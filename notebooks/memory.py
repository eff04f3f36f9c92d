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
# The study's claim: with self-attention a training step no longer fits a card of
# {published}`memory.budget_gb` at {published}`memory.dense_out_of_memory_bp`; with sparse attention
# it still does at {published}`memory.bigbird_trains_bp`. Below about
# {published}`memory.crossover_bp`, self-attention needs less.

# %% tags=["parameters"]
output_folder = "../runs/interactive"
attention = ["dense", "bigbird"]
num_transformer_layers = [1, 2]
channels = 256
num_heads = 4
block_size = 16
sequence_lengths_bp = [16_384, 32_768, 65_536]
trainable = ["attention"]
batch_size = 1
steps = 3
budget_gb = None
more = [{"compute_dtype": "bfloat16", "sequence_lengths_bp": [65_536]}]
compiled_for = []
compiled = {}

# %%
from pathlib import Path

import pandas as pd
from IPython.display import Markdown

from senformer.experiments.compiling import compilations
from senformer.experiments.memory_and_time import judgement, measurements, planner, scaling
from senformer.experiments.memory_and_time.grid import grid
from senformer.experiments.provenance import describe_run
from senformer.report import benchmark_tables, claims, gpu_runs, published, results, tables
from senformer.report.figures import cost as figures
from senformer.report.figures import on_gpu as gpu_figures
from senformer.workflow import notebooks

notebooks.enter_folder()
asked = {
    "attention": attention,
    "num_transformer_layers": num_transformer_layers,
    "channels": channels,
    "num_heads": num_heads,
    "block_size": block_size,
    "sequence_lengths_bp": sequence_lengths_bp,
    "trainable": trainable,
    "batch_size": batch_size,
    "steps": steps,
    "budget_gb": budget_gb,
    "more": more,
}
on_cards = compilations.compile_grid(compiled_for, compiled, Path(output_folder) / "compiled")
measured = measurements.measure_all(grid(**asked), Path(output_folder) / "measurements")

parameters = {
    "output_folder": output_folder,
    **asked,
    "compiled_for": compiled_for,
    "compiled": compiled,
}
provenance = describe_run(parameters=parameters, seed=0, data="random sequence")
path = results.write(measured, Path(output_folder) / "memory.csv", provenance)
of_both_types = results.read(path)
memory = scaling.in_float32(of_both_types)
path = results.write(
    on_cards,
    Path(output_folder) / "memory_compiled.csv",
    {**provenance, "data": "compiled, not run"},
)
published_code = benchmark_tables.read(
    notebooks.ROOT / "benchmarks" / "results" / "published_on_gpu.csv"
)
on_gpu = gpu_figures.beside_published(results.read(path), published_code)

# %%
published_points = published.memory().query("channels == @channels")
shown = pd.concat([memory.assign(origin="measured"), published_points], ignore_index=True)
shown.attrs = memory.attrs
figures.memory(shown)

# %% [markdown]
# The study's Figure 1. Each point is the peak of one process that trains one model on a random
# sequence for a few steps, weights and optimiser included. A step that did not fit is a mark in a
# strip above the others.
# Both axes are logarithmic. `trained` names what is trained: with `attention`, the study's choice,
# the convolutions are frozen and keep nothing for a gradient; `all` is training as a whole.
# Published values stand in the figure where they are of models of this size.
#
# ## On a GPU
#
# XLA, TensorFlow's compiler, can compile a step for a card that is not there and say how much of
# the card's memory the program allocates. That is an account and not a run: **compiled, not run**.
# Choose a card above the figure.

# %%
gpu_figures.memory(on_gpu) if len(on_gpu) else Markdown(gpu_figures.NOTHING)

# %% [markdown]
# Filled marks are this package's code, open ones, for the study's own card, the study's two
# formulations as its code ran them: the whole sequence at once, every activation kept. Compiled as
# a whole, operations are joined and arrays are freed that a run of one operation after another
# holds. So a step that does not fit here did not fit the study's card, and one that fits here may
# not have.
#
# What a further layer adds, which the study drew as its Figure 2: the trunk and the head, the same
# in all kinds, drop out of the difference.

# %%
of_layer = gpu_figures.memory_of_a_layer(on_gpu)
of_layer.attrs = on_gpu.attrs
(
    gpu_figures.layer_memory(of_layer)
    if len(of_layer)
    else Markdown("No step was compiled with two numbers of layers.")
)

# %% [markdown]
# How far such an account is from a run, the steps tell that [ran on a GPU](steps-that-ran),
# compiled for the same card without it.

# %%
ran = benchmark_tables.read(notebooks.ROOT / "benchmarks" / "results" / "steps_on_gpu.csv")
Markdown(gpu_runs.beside_the_compiled_peak(ran))

# %% tags=["tab: Peak as it ran (GB)"]
own = scaling.in_float32(gpu_runs.of_this_package(ran))
of_one_model = ["trainable", "num_transformer_layers"]
tables.show(scaling.by_attention(own, "peak_memory_gb").drop(columns=of_one_model), digits=1)

# %% tags=["tab: Over the compiled peak"]
over_compiled = own.assign(ratio=own["peak_memory_gb"] / own["compiled_peak_gb"])
tables.show(scaling.by_attention(over_compiled, "ratio").drop(columns=of_one_model), digits=2)

# %% [markdown]
# ## What the study found
#
# A step has to hold the weights, the optimiser's averages, and everything of the forward pass that
# the backward pass needs. Self-attention adds scores for every pair of tokens, which grow with the
# square of the sequence; BigBird scores a fixed number of keys per token. On one card the study saw
# self-attention run out of memory at {published}`memory.dense_out_of_memory_bp`, and sparse
# attention train at {published}`memory.bigbird_trains_bp`, the longest input that it tried. Sparse
# attention has a price too, so the two meet at about {published}`memory.crossover_bp`.

# %% [markdown]
# ## What was measured here

# %%
Markdown(scaling.where_measured(memory))

# %% [markdown]
# Two models, two codes: the study's kept the whole table of attention weights; here each kind
# computes again what it can ([what a step keeps](what-a-step-keeps)). `dense` and `bigbird` are the
# study's two kinds; `tiled` is self-attention computed in pieces, `bigbird_relative` is sparse
# attention with Enformer's own parameters. The table divides each kind's peak by that of `dense`:
# below 1 it needed less.

# %%
tables.show(scaling.ratios(memory, "peak_memory_gb"), digits=2)

# %% [markdown]
# Part of a peak is there before the step begins: weights, and two averages per trained weight. What
# the step itself adds is the rest, in GB, and only that part grows with the sequence.

# %%
step_gb = memory["peak_memory_gb"] - memory["resident_memory_gb"]
of_step = memory.assign(step_memory_gb=step_gb)
tables.show(scaling.by_attention(of_step, "step_memory_gb"))

# %% [markdown]
# How fast that part grows: the power of the length that fits the measured lengths best. 1 is
# linear, 2 quadratic; part of it, the gradients of the trained weights, does not grow at all.

# %%
tables.show(scaling.growth(of_step, "step_memory_gb"), digits=2)

# %% [markdown]
# All of this is in `float32`. With `bfloat16` activations and products take half the bytes, while
# weights, averages, normalisation and attention weights stay as they are. The table divides peaks
# in `bfloat16` by those in `float32`.

# %%
tables.show(
    scaling.bfloat16_ratios(of_both_types, "peak_memory_gb"),
    digits=2,
    if_empty="No step was measured in both types.",
)

# %% [markdown]
# ## Do they agree?
#
# A claim is judged by models of the study's size alone, at the lengths that it speaks of: by the
# study's own formulations, compiled for its own card, where this run is of its size.

# %% tags=["claims"]
claims_path = Path(output_folder) / "memory_claims.csv"
on_studys_card = judgement.studys_code_on_its_card(published_code, channels=channels)
judged = judgement.judge_memory_claims(memory, on_studys_card)
results.write(judged, claims_path, provenance)
tables.show(claims.side_by_side(results.read(claims_path)))

# %% [markdown]
# ## What it means for you
#
# - **You have a GPU and look for a length.** The table gives the longest measured input whose peak
#   stays within a card's memory, with the most layers measured. The [planner](../planner.md)
#   answers for sizes and layers in between.
# - **You have a length and look for a kind of attention.** Compare `dense` with `tiled` before you
#   change the model: where both compute the same, memory alone is no reason for sparse attention.
# - **You plan a training.** Training `all` keeps what the convolutions saw at the full length of
#   the sequence. No kind of attention changes that part.

# %%
card_sizes_gb = [8, 16, 24, 40, 80]
deepest = memory.query("num_transformer_layers == num_transformer_layers.max()")
tables.show(scaling.longest_measured_bp(deepest, card_sizes_gb))

# %% [markdown]
# On a card like the study's, of {published}`memory.budget_gb`: the longest input that was measured
# and fits, and how far the [planner's](../planner.md) fit goes beyond it.

# %%
tables.show(planner.longest_sequences(memory, published.value("memory.budget_gb")), digits=1)
