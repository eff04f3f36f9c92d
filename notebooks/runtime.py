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
# # Runtime
#
# Sparse attention does fewer multiplications than self-attention. Whether it is also faster depends
# on how it is written: blocks of keys have to be gathered, and small products use a processor less
# well than large ones. How long does a training step take, and from which length on does sparsity
# pay?

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
# The measurements are those of the memory notebook where the parameters agree, and are then taken
# from its files: each a process of its own, on a machine that does nothing else meanwhile. The
# first step traces and compiles; it is reported apart. Of the others the median counts.

# %%
from pathlib import Path

from senformer import figures, notebooks, profiling, results, tables

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

# %%
parameters = notebooks.parameters_of_this_run("runtime", globals())
provenance = results.provenance(parameters=parameters, seed=0, data="random sequence")
path = results.write(measured, Path(output_folder) / "runtime.csv", provenance)
runtime = results.read(path)

# %% [markdown]
# Each point is the median time of a step: forward, backward and the optimiser's update.

# %%
figures.runtime(runtime)

# %% [markdown]
# A step that ran out of memory is a mark in a strip above the others. The table divides each kind's
# time by that of self-attention at the same length: below 1 it was faster. Times are of one device;
# ratios carry over to another better than seconds do.

# %%
tables.show(profiling.ratios(runtime, "step_seconds"), digits=2)

# %% [markdown]
# The spread of the steps tells how much of a difference is noise: two medians whose ranges overlap
# are not told apart by this run.

# %%
columns = ["attention", "num_transformer_layers", "sequence_length_bp", "trainable", "status"]
seconds = ["first_step_seconds", "step_seconds", "step_seconds_min", "step_seconds_max"]
tables.show(runtime[[*columns, *seconds]])
