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
# The study's claim: although sparse attention does fewer multiplications, at many lengths a
# training step takes longer with it than with self-attention.

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

# %%
from pathlib import Path

from IPython.display import Markdown

from senformer.experiments.memory_and_time import judgement, measurements, scaling
from senformer.report import benchmark_tables, claims, published, results, tables
from senformer.report.figures import cost as figures
from senformer.workflow import notebooks

measurements = measurements.grid_of(globals())
measured = measurements.measure_all(measurements, Path(output_folder) / "measurements")

parameters = notebooks.parameters_of_this_run("runtime", globals())
provenance = results.provenance(parameters=parameters, seed=0, data="random sequence")
path = results.write(measured, Path(output_folder) / "runtime.csv", provenance)
of_both_types = results.read(path)
runtime = scaling.in_float32(of_both_types)

# %%
figures.runtime(runtime)

# %% [markdown]
# Each point is the median time of a step: forward, backward and the optimiser's update. The first
# step traces and compiles; it is not counted. A step that ran out of memory is a mark in a strip
# above the others. Both axes are logarithmic: where time is linear in the length, it doubles with
# it. The measurements are those of the [memory page](memory.ipynb), where the parameters agree.
#
# ## What the study found
#
# Blocks of keys have to be gathered, and small products use a processor less well than large ones.
# So the study saw sparse attention slower at many lengths, with one layer as with eleven. It cites
# the Long-Range Arena, where BigBird trained slower than full attention up to about
# {published}`runtime.long_range_arena_tokens`. Its times are means that include the first step's
# tracing, so they are compared here as ratios and not as seconds.

# %% [markdown]
# ## What was measured here

# %%
Markdown(scaling.where_measured(runtime))

# %% [markdown]
# The table divides each kind's time by that of `dense` at the same length: below 1 it was faster.
# Times are of one device; ratios carry over to another better than seconds do, and not always.

# %%
tables.show(scaling.ratios(runtime, "step_seconds"), digits=2)

# %% [markdown]
# How fast the time grows: the power of the length that fits the measured lengths best. 1 is linear,
# 2 quadratic.

# %%
tables.show(scaling.growth(runtime, "step_seconds"), digits=2)

# %% [markdown]
# How much of a difference is noise, the spread of a measurement's steps tells: the longest less the
# shortest, divided by the median.

# %%
tables.show(
    scaling.spread_of_steps(runtime),
    digits=2,
    if_empty="Every measurement here took one step: there is no spread to show.",
)

# %% [markdown]
# All of this is in `float32`. The table divides times in `bfloat16` by those in `float32`: what is
# gained depends on whether a processor has products of that type, and how fast they are.

# %%
tables.show(
    scaling.bfloat16_ratios(of_both_types, "step_seconds"),
    digits=2,
    if_empty="No step was measured in both types.",
)

# %% [markdown]
# What attention costs shows where nothing else runs. The figure gives how many times as fast each
# kind is as the one named beside it, median and quartiles of the rounds of one machine, contenders
# in turn: attention alone, then a whole layer with its projections, whose gradients end at its
# input or are those of its weights too. `baseline` is BigBird written plainly, as the study used
# it, every gradient left to TensorFlow.
#
# Colour is the kind; filled or open says what TensorFlow multiplied with. oneDNN's kernels it takes
# by itself on processors with instructions made for neural networks (VNNI, for instance), its own
# on all others. By itself it then also asks the system for each large array anew, which the largest
# arrays of `dense` pay for, and the published code with them. A dot in the mark, `own_pooled`, is
# with memory that is kept, as it is wherever `senformer` is imported.

# %%
benchmarks = notebooks.ROOT / "benchmarks" / "results"
alone = benchmark_tables.read(benchmarks, "attention_alone")
layer = benchmark_tables.read(benchmarks, "attention_layer")
with_weights = benchmark_tables.read(benchmarks, "attention_layer_and_weights")
figures.speedups(
    benchmark_tables.speedups_of_parts(
        {
            "attention alone": alone,
            "a layer, to its input": layer,
            "a layer, to its weights too": with_weights,
        }
    )
)

# %% [markdown]
# All runs of the figure are `plain`, as the kinds are. The tables add `each at its best`: each in
# the faster of two modes, plain or compiled by XLA, which helps the plain formulation most.
# First attention alone, forward and backward.

# %%
tables.show(benchmark_tables.attention_ratios(alone))

# %% [markdown]
# How much of the machine's rate of plain matrix products attention alone reaches, run plainly and
# counted on the products that its pattern needs: what is computed again for the gradient does not
# count.

# %%
plainly = alone.query("mode == 'plain'").drop(columns="mode")
tables.show(benchmark_tables.by_kernels(benchmark_tables.shares_of_matrix_rate(plainly)))

# %% [markdown]
# A whole layer with its projections, forward and backward to its input, as attention that is not
# trained runs.

# %%
tables.show(benchmark_tables.attention_ratios(layer))

# %% [markdown]
# The same with the gradients of its weights, as attention that is trained runs. Among them is that
# of the relative positions, for which `dense` multiplies twice as many columns as there are keys.

# %%
tables.show(benchmark_tables.attention_ratios(with_weights))

# %% [markdown]
# And the whole model: a training step with the attention trained, then a prediction, against
# Enformer computed as it was published. Everything but attention is the same for all kinds.

# %%
of_step = benchmark_tables.read(benchmarks, "whole_model_train_131072bp_11layers")
tables.show(benchmark_tables.by_kernels(benchmark_tables.contender_ratios(of_step)), digits=2)

# %%
of_prediction = benchmark_tables.read(benchmarks, "whole_model_predict_196608bp_11layers")
tables.show(benchmark_tables.by_kernels(benchmark_tables.contender_ratios(of_prediction)), digits=2)

# %% [markdown]
# Stem and tower alone, as a share of the machine's rate of plain matrix products, counted as they
# are written out: more than 1 is a saving of products.

# %%
trunk = benchmark_tables.read(benchmarks, "whole_model_trunk_131072bp_11layers")
tables.show(benchmark_tables.by_kernels(benchmark_tables.shares_of_matrix_rate(trunk)))

# %% [markdown]
# Why the kernels matter so much to the published form: its pools. A pool weighs the two positions
# of a pair by a softmax, whose logits were written as a product of two rows for each pair, and
# TensorFlow's own kernels read the whole matrix for each. Here is a stem's pool alone, of 192
# channels, forward and backward: as published, as one product over all rows, and as here, where the
# softmax of a pair is the sigmoid of a difference.

# %%
pool = benchmark_tables.read(benchmarks, "pool")
tables.show(benchmark_tables.by_kernels(benchmark_tables.contender_ratios(pool)), digits=2)

# %%
every_benchmark = [alone, layer, with_weights, of_step, of_prediction, trunk, pool]
Markdown(f"Measured by the scripts in `benchmarks/`: {benchmark_tables.caption(every_benchmark)}")

# %% [markdown]
# ## Do they agree?
#
# A claim is judged by models of the study's size alone, at the lengths that it speaks of.

# %%
claims_path = Path(output_folder) / "runtime_claims.csv"
results.write(judgement.runtime_claims(runtime), claims_path, provenance)
tables.show(claims.side_by_side(results.read(claims_path)))

# %% [markdown]
# ## What it means for you
#
# - **You look for a length.** Sparse attention saves time from the length on where its ratio falls
#   below 1. With fewer layers the convolutions, which all kinds share, are more of a step, and the
#   choice matters less.
# - **You look for a device.** Gathering blocks of keys asks for bandwidth, products ask for
#   arithmetic, and devices differ in how much they have of each. Measure both kinds on yours, in
#   alternation.
# - **You plan a training.** The table gives the days that the study's plan,
#   {published}`finetuning.num_steps` of {published}`finetuning.batch_size` sequences, would take at
#   the measured times. The study reports {published}`finetuning.days`, on its card.

# %%
num_sequences = published.value("finetuning.num_steps") * published.value("finetuning.batch_size")
tables.show(scaling.days_of_training(runtime, num_sequences=num_sequences), digits=1)
