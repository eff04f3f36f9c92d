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
from senformer.experiments.memory_and_time.grid import grid
from senformer.experiments.provenance import describe_run
from senformer.report import benchmark_tables, claims, published, results, tables
from senformer.report.figures import cost as figures
from senformer.workflow import notebooks

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
measured = measurements.measure_all(grid(**asked), Path(output_folder) / "measurements")

parameters = {"output_folder": output_folder, **asked}
provenance = describe_run(parameters=parameters, seed=0, data="random sequence")
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
# ## What it means for you
#
# - **You look for a length.** The table gives, for each kind, the measured length from which on its
#   step takes less time than that of `dense`, and its share of that time at the longest length.
#   With fewer layers the convolutions, which all kinds share, are more of a step, and the choice
#   matters less.

# %%
tables.show(scaling.saves_from(runtime, "step_seconds"), digits=2)

# %% [markdown]
# - **You look for a device.** Gathering blocks of keys asks for bandwidth, products ask for
#   arithmetic, and devices differ in how much they have of each. Measure both kinds on yours, in
#   alternation.
# - **You plan a training.** The table gives the days that the study's plan,
#   {published}`finetuning.num_steps` of {published}`finetuning.batch_size` sequences, would take at
#   the measured times. The study reports {published}`finetuning.days`, on its card.

# %%
num_sequences = published.value("finetuning.num_steps") * published.value("finetuning.batch_size")
deepest = runtime.query("num_transformer_layers == num_transformer_layers.max()")
tables.show(scaling.days_of_training(deepest, num_sequences=num_sequences), digits=1)

# %% [markdown]
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
# ### Attention alone
#
# What attention costs shows where nothing else runs. The table gives how many times as fast each
# kind is as the one named beside it, forward and backward, median and quartiles of the rounds of
# one machine, contenders in turn: attention alone, then a whole layer with its projections, whose
# gradients end at its input, as where attention is not trained, or are those of its weights too.
# `baseline` is BigBird written plainly, as the study used it, every gradient left to TensorFlow;
# compiled by XLA it comes closer.

# %%
benchmarks = notebooks.ROOT / "benchmarks" / "results"
of_attention = {
    "attention alone": benchmark_tables.read(benchmarks / "attention_alone.csv"),
    "layer, to its input": benchmark_tables.read(benchmarks / "attention_layer.csv"),
    "layer, to its weights": benchmark_tables.read(benchmarks / "attention_layer_and_weights.csv"),
}
ratios = {part: benchmark_tables.attention_ratios(rows) for part, rows in of_attention.items()}
tables.show(benchmark_tables.beside_each_other(ratios))

# %% [markdown]
# ### The whole model
#
# A training step at 131,072 bp with the attention trained, and a prediction at 196,608 bp, against
# Enformer computed as it was published. Everything but attention is the same for all kinds.

# %%
of_models = {
    "step": benchmark_tables.read(benchmarks / "whole_model_train_131072bp_11layers.csv"),
    "prediction": benchmark_tables.read(benchmarks / "whole_model_predict_196608bp_11layers.csv"),
}
ratios = {part: benchmark_tables.contender_ratios(rows) for part, rows in of_models.items()}
tables.show(benchmark_tables.beside_each_other(ratios), digits=1)

# %%
every_benchmark = [*of_attention.values(), *of_models.values()]
Markdown(f"Measured by the scripts in `benchmarks/`: {benchmark_tables.caption(every_benchmark)}")

# %% [markdown]
# A ratio holds for a device and for what TensorFlow multiplies with there. On processors with
# instructions made for neural networks (VNNI, for instance) it takes oneDNN's kernels by itself, as
# it did here, on all others its own; and these, by themselves, ask the system anew for each large
# array, of which `dense` and the published form have the largest. With them a layer of
# `bigbird_relative`, to its input, was 12.6 times as fast as one of `dense` at 6,144 tokens, and
# 3.7 times once memory was kept, as `import senformer` has it; `bigbird_relative`'s training step
# was 3.3 times as fast as the published form's (same processor, at commit f9814bf). Measure on your
# own device.

# %% [markdown]
# ## Do they agree?
#
# A claim is judged by models of the study's size alone, at the lengths that it speaks of.

# %% tags=["claims"]
claims_path = Path(output_folder) / "runtime_claims.csv"
results.write(judgement.judge_runtime_claims(runtime), claims_path, provenance)
tables.show(claims.side_by_side(results.read(claims_path)))
