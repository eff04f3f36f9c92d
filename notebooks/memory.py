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
# A training step has to hold the weights, the optimiser's averages, and everything of the forward
# pass that the backward pass needs. Self-attention adds scores for every pair of tokens, which grow
# with the square of the sequence; BigBird scores a fixed number of keys per token. How much memory
# does a step need at its peak, and at which length does the kind of attention begin to matter?

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

# %% [markdown]
# Every measurement is a process of its own that trains one model on a random sequence for a few
# steps. TensorFlow's allocator counts what it gives out, on a CPU as on a GPU; a measurement that
# runs out of its budget ends alone and becomes a row that says so. `trainable` names what is
# trained: with `attention`, the study's choice, the convolutions are frozen and keep nothing for
# a gradient, so the peak is far below that of training `all`.

# %%
from pathlib import Path

import pandas as pd

from senformer import figures, notebooks, profiling, published, results, tables

measurements = profiling.grid(
    attention=attention,
    num_transformer_layers=num_transformer_layers,
    channels=channels,
    sequence_lengths_bp=sequence_lengths_bp,
    trainable=trainable,
    steps=steps,
    budget_gb=budget_gb,
    batch_size=batch_size,
    num_heads=num_heads,
    block_size=block_size,
)
measured = profiling.measure_all(measurements, Path(output_folder) / "measurements")

# %% [markdown]
# The rows go to a file, with what produced them in its first line. All that follows is read from
# that file.

# %%
parameters = notebooks.parameters_of_this_run("memory", globals())
provenance = results.provenance(parameters=parameters, seed=0, data="random sequence")
path = results.write(measured, Path(output_folder) / "memory.csv", provenance)
memory = results.read(path)

# %% [markdown]
# Published values stand in the figure where they are of models of this size.

# %%
published_points = published.memory().query("channels == @channels")
shown = pd.concat([memory.assign(origin="measured"), published_points], ignore_index=True)
shown.attrs = memory.attrs
figures.memory(shown)

# %% [markdown]
# Each point is the peak of one process, weights and optimiser included. A step that did not fit is
# a mark in a strip above the others. The table divides each kind's peak by that of self-attention:
# below 1 it needed less.

# %%
tables.show(profiling.ratios(memory, "peak_memory_gb"), digits=2)

# %% [markdown]
# Part of a peak is there before the step begins: weights, and two averages per trained weight. What
# the step itself adds is the rest, and only that part grows with the sequence.

# %%
columns = ["attention", "num_transformer_layers", "sequence_length_bp", "trainable", "status"]
beyond = memory["peak_memory_gb"] - memory["resident_memory_gb"]
memory = memory[[*columns, "peak_memory_gb", "resident_memory_gb"]]
tables.show(memory.assign(step_memory_gb=beyond))
