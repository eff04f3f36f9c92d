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
compiled_for = []
compiled = {}

# %%
from pathlib import Path

from IPython.display import Markdown

from senformer.experiments.compiling import compilations
from senformer.experiments.memory_and_time import arena, judgement, measurements, scaling
from senformer.experiments.memory_and_time.grid import grid
from senformer.experiments.provenance import describe_run
from senformer.report import (
    benchmark_tables,
    claims,
    gpu_runs,
    published,
    published_arena,
    results,
    tables,
)
from senformer.report.figures import arena as arena_figures
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
path = results.write(measured, Path(output_folder) / "runtime.csv", provenance)
of_both_types = results.read(path)
runtime = scaling.in_float32(of_both_types)
path = results.write(
    on_cards,
    Path(output_folder) / "runtime_compiled.csv",
    {**provenance, "data": "compiled, not run"},
)
on_gpu = gpu_figures.beside_published(
    results.read(path),
    benchmark_tables.read(notebooks.ROOT / "benchmarks" / "results" / "published_on_gpu.csv"),
).query("num_transformer_layers == num_transformer_layers.max()")

# %%
figures.runtime(runtime)

# %% [markdown]
# The study's Figure 3. Each point is the median time of a step: forward, backward and the
# optimiser's update, without the first step, which traces and compiles. A step that did not fit is
# a mark in a strip above. Where parameters agree, the measurements are those of the
# [memory page](memory.ipynb).
#
# ## What it means for you
#
# - **You look for a length.** The table gives the measured length from which on a kind takes less
#   time than `dense`, its share of that time at the longest, and the power of the length with which
#   its time grows: 1 is linear, 2 quadratic. With fewer layers the choice matters less: all kinds
#   share the convolutions.
# - **You look for a device.** Gathering blocks of keys asks for bandwidth, products for arithmetic;
#   devices differ in how much they have of each. What a [GPU](steps-that-ran) took stands below.
#   Measure both kinds on yours, in turn.
# - **You plan a training.** The study's took {published}`finetuning.days` on its card. The days
#   that it would take at the times measured here stand below.

# %%
saves = scaling.saves_from(runtime, "step_seconds")
growth = scaling.growth(runtime, "step_seconds").drop(columns=["shortest_bp", "longest_bp"])
tables.show(saves.merge(growth, how="left"), digits=2)

# %% [markdown]
# (steps-that-ran)=
# ## On a GPU

# %%
ran = benchmark_tables.read(notebooks.ROOT / "benchmarks" / "results" / "steps_on_gpu.csv")
own = gpu_runs.of_this_package(ran)
Markdown(gpu_runs.where_run(ran))

# %%
gpu_figures.step_time(scaling.in_float32(ran))

# %% [markdown]
# Steps of the study's size, one sequence each, the attention trained alone, as
# `benchmarks/steps_on_gpu.py` exports them; filled marks are this package's code, open ones the
# study's two formulations, compiled as a whole. The weights were numbers of no meaning, which takes
# as long. Products of `float32` were computed in
# TensorFloat-32, as TensorFlow has them on such a card unless it is told otherwise. The tables
# divide by the time of `dense` at the same length.

# %% tags=["tab: Time over dense"]
of_one_model = ["trainable", "num_transformer_layers"]
over_dense = scaling.ratios(scaling.in_float32(own), "step_seconds")
tables.show(over_dense.drop(columns=of_one_model), digits=2)

# %% tags=["tab: The same in bfloat16"]
over_dense = scaling.ratios(own.query("compute_dtype == 'bfloat16'"), "step_seconds")
tables.show(over_dense.drop(columns=of_one_model), digits=2)

# %% tags=["tab: bfloat16 over float32"]
over_float32 = scaling.bfloat16_ratios(own, "step_seconds")
tables.show(over_float32.drop(columns=of_one_model), digits=2)

# %%
Markdown(gpu_runs.published_codes_beside_each_other(ran))

# %% [markdown]
# ### Compiled for other cards
#
# A compiler's account and not a run. Whatever a step takes, it takes at least the longest of three
# times: its operations at the rate of the card's data sheet, that of TensorFloat-32 where the card
# has units for it; its bytes at the memory's bandwidth; and its launches, 4 microseconds of a
# processor's time for each kernel that it starts.

# %%
gpu_figures.kernels_and_time(on_gpu) if len(on_gpu) else Markdown(gpu_figures.NOTHING)

# %% [markdown]
# Filled marks are this package's code, open ones, for the study's own card, the study's
# formulations. `tiled` starts more kernels the longer the input: its tiles follow one another. How
# far a card stays behind its least time, the steps above tell, compiled for theirs.

# %%
launches = gpu_figures.launches_beside_work(on_gpu)
Markdown(f"{launches} {gpu_runs.beside_the_least_time(scaling.in_float32(own))}")

# %% [markdown]
# From which compiled length on a kind's least time is below that of `dense`, and its share of it at
# the longest, on the first card of the menu. What each costs in accuracy stands on the
# [fine-tuning page](finetuning.ipynb).

# %%
is_on_first_card = on_gpu["device"].isin(on_gpu["device"].head(1))
on_first_card = on_gpu[is_on_first_card & (on_gpu["code"] == gpu_figures.CODES[0])]
(
    tables.show(scaling.saves_from(on_first_card, "least_seconds"), digits=2)
    if len(on_first_card)
    else Markdown(gpu_figures.NOTHING)
)

# %% [markdown]
# ## What the study found
#
# Blocks of keys have to be gathered, and small products use a processor less well than large ones.
# So the study saw sparse attention slower at many lengths, with one layer as with eleven. It cites
# the Long-Range Arena, where BigBird trained slower than full attention up to about
# {published}`runtime.long_range_arena_tokens`. Its times are means that include the first step's
# tracing, so they are compared here as ratios and not as seconds.

# %% [markdown]
# ### The Long-Range Arena's own numbers

# %%
long_range_arena = published_arena.read_long_range_arena()
Markdown(arena.conclusion(long_range_arena))

# %%
arena_figures.speed_and_memory(long_range_arena)

# %% [markdown]
# The Arena's table 2 {cite}`tay2021lra`, of which nothing was run here. Above 1 a model trains
# faster, or takes more memory, than the full Transformer, the level line. In colour are the models
# that the study speaks of.
#
# The study says that BigBird was slower there until the input was longer than
# {published}`runtime.long_range_arena_tokens`, and that Performer and Reformer, too, cost time
# until the input is of a sufficient size. The Arena's numbers say otherwise: at that length BigBird
# is already faster, Performer is at every length, and Reformer at none. Nor do they rank the
# methods for Enformer, whose 1,536 tokens lie between the first two lengths: device and code are
# others. What carries over is that all three save memory, and that time has to be measured.

# %% [markdown]
# ## What was measured here

# %%
benchmarks = notebooks.ROOT / "benchmarks" / "results"
of_models = {
    "training step": benchmark_tables.read(benchmarks / "whole_model_train_131072bp_11layers.csv"),
    "prediction": benchmark_tables.read(benchmarks / "whole_model_predict_196608bp_11layers.csv"),
}
of_attention = {
    "alone": benchmark_tables.read(benchmarks / "attention_alone.csv"),
    "layer, to its input": benchmark_tables.read(benchmarks / "attention_layer.csv"),
    "layer, to its weights": benchmark_tables.read(benchmarks / "attention_layer_and_weights.csv"),
}
in_turn = benchmark_tables.caption([*of_models.values(), *of_attention.values()])
Markdown(f"{scaling.where_measured(runtime)} Contenders in turn, by `benchmarks/`: {in_turn}.")

# %% [markdown]
# With the most layers measured, each kind's time over that of `dense` at the same length: below 1
# it was faster. How much of a difference is noise, the spread of a measurement's steps tells: the
# longest less the shortest, over the median. All of this is in `float32`; what `bfloat16` gains
# depends on whether a processor has fast products of that type. The days are those of the study's
# plan, {published}`finetuning.num_steps` of {published}`finetuning.batch_size` sequences.

# %% tags=["tab: Time over dense"]
deepest = runtime.query("num_transformer_layers == num_transformer_layers.max()")
tables.show(scaling.ratios(deepest, "step_seconds"), digits=2)

# %% tags=["tab: Spread"]
tables.show(
    scaling.spread_of_steps(runtime),
    digits=2,
    if_empty="Every measurement here took one step: there is no spread to show.",
)

# %% tags=["tab: bfloat16 over float32"]
tables.show(
    scaling.bfloat16_ratios(of_both_types, "step_seconds"),
    digits=2,
    if_empty="No step was measured in both types.",
)

# %% tags=["tab: Days"]
num_sequences = published.value("finetuning.num_steps") * published.value("finetuning.batch_size")
tables.show(scaling.days_of_training(deepest, num_sequences=num_sequences), digits=1)

# %% [markdown]
# ### In turn, on one machine
#
# Here contenders take turns; how many times as fast they were, median and quartiles of the rounds.
# Whole models, with a training step at 131,072 bp and a prediction at 196,608 bp, stand against
# Enformer computed as it was published. Attention is timed forward and backward: alone, and as a
# layer, whose gradients end at its input or are those of its weights too. `baseline` is BigBird
# written plainly, as the study used it; compiled by XLA it comes closer.

# %% tags=["tab: Whole models"]
tables.show(benchmark_tables.contender_ratios(of_models))

# %% tags=["tab: Attention"]
tables.show(benchmark_tables.attention_ratios(of_attention))

# %% [markdown]
# A ratio holds for a device and for what TensorFlow multiplies with there: oneDNN's kernels on
# processors with instructions made for neural networks, as here, on all others its own, which by
# themselves ask the system anew for each large array; `dense` and the published form have the
# largest. So with its own a sparse layer can be many times as fast as one of `dense` and owe most
# of that to memory; where memory is kept, as `import senformer` has it, what is left is close to
# what oneDNN's kernels show. The published form, whose pools are batches of small products, falls
# behind with TensorFlow's own kernels, memory kept or not.

# %% [markdown]
# ## Do they agree?
#
# A claim is judged by models of the study's size alone, at the lengths that it speaks of.

# %% tags=["claims"]
claims_path = Path(output_folder) / "runtime_claims.csv"
results.write(judgement.judge_runtime_claims(runtime), claims_path, provenance)
tables.show(claims.side_by_side(results.read(claims_path)))
