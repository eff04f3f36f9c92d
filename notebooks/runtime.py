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
# How long does a training step take, and where does sparse attention save time? The study says that
# although it does fewer multiplications, a step takes longer with it at many lengths.

# %% tags=["parameters"]
parameters = {}  # values that differ from the defaults of MeasuringParameters

# %%
from IPython.display import Markdown

from senformer.experiments import answers
from senformer.experiments.compiling import compilations
from senformer.experiments.memory_and_time import judgement, measurements, scaling
from senformer.experiments.parameters import MeasuringParameters
from senformer.experiments.workspace import ResultFolder
from senformer.report import benchmark_tables, gpu_steps, tables
from senformer.report.figures import arena as arena_figures
from senformer.report.figures import cost as figures
from senformer.report.figures import gpu_cost as gpu_figures
from senformer.report.figures import ratios as ratio_figures
from senformer.study import long_range_arena, published, published_arena, verdicts
from senformer.workflow import notebooks

notebooks.enter_folder()
p = MeasuringParameters(**parameters)
run = ResultFolder(p)
compiled = compilations.compile_grid(p.compiled_for, p.compiled, run.folder / "compiled")
measured = measurements.measure_all(p.measurements, run.folder / "measurements")
on_cards = run.save_table("runtime_compiled", compiled, data="compiled, not run")
of_both_types = run.save_table("runtime", measured)
runtime = scaling.in_float32(of_both_types)

# %%
benchmarks = notebooks.ROOT / "benchmarks" / "results"
on_gpu = gpu_steps.add_published_code(
    on_cards, benchmark_tables.read(benchmarks / "published_on_gpu.csv")
).query("num_transformer_layers == num_transformer_layers.max()")
ran = benchmark_tables.read(benchmarks / "steps_on_gpu.csv")
own = gpu_steps.steps_of_this_package(ran)
judged = judgement.judge_runtime_claims(runtime, ran)
claims = run.save_table("runtime_claims", judged)

# %% tags=["answer"]
sentence = answers.time(scaling.in_float32(own), f"Run on an {own['ran_on'].iloc[0]}")
answers.at_the_top(sentence, judged, "runtime")

# %%
gpu_figures.step_time(scaling.in_float32(ran))

# %% [markdown]
# Steps of the study's size, one sequence each, the attention trained alone. Filled marks are this
# project's code; open ones the study's two formulations, each compiled as a whole.
#
# ## What it means for you
#
# - **You look for a length.** Where a line lies below that of `dense`, the kind saves time. With
#   fewer layers the choice matters less: all kinds share the convolutions.
# - **You look for a device.** Gathering blocks of keys asks for bandwidth, products for arithmetic;
#   devices differ in how much they have of each. Measure both kinds on yours, in turn.
# - **You plan a training.** The study's took {published}`finetuning.days` on its card. The days
#   that it would take at the times measured here stand [below](days-of-a-training).
#
# ## How it was measured

# %%
Markdown(gpu_steps.describe_runs(ran))

# %% [markdown]
# `benchmarks/steps_on_gpu.py` exports the steps. Their weights were numbers of no meaning, which
# takes as long. Products of `float32` were computed in TensorFloat-32, as TensorFlow has them on
# such a card unless it is told otherwise.

# %% [markdown] tags=["folded"]
# (steps-that-ran)=
# ## Beside self-attention, in both types

# %%
over_dense = scaling.ratios_by_type(own, "step_seconds")
ratio_figures.ratios_by_length(over_dense, title="time over that of dense")

# %%
in_half = scaling.bfloat16_ratios(own, "step_seconds")
ratio_figures.ratios_by_length(in_half, title="time over that in float32")

# %%
Markdown(gpu_steps.describe_published_code(ran))

# %% [markdown] tags=["folded"]
# (days-of-a-training)=
# ## Days of a training
#
# The study's plan, {published}`finetuning.num_steps` of {published}`finetuning.batch_size`
# sequences of each organism, at the times that steps took on the GPU, by length and kind.

# %%
steps_of_plan, batch = (published.value(f"finetuning.{key}") for key in ("num_steps", "batch_size"))
num_sequences = 2 * steps_of_plan * batch  # a step is a human and a mouse batch
days = scaling.days_of_training(scaling.in_float32(own), num_sequences=num_sequences)
tables.show(days, digits=2)

# %% [markdown] tags=["folded"]
# ## Compiled for other cards
#
# A compiler's account and not a run. Whatever a step takes, it takes at least the longest of three
# times: its operations at the rate of the card's data sheet, that of TensorFloat-32 where the card
# has units for it; its bytes at the memory's bandwidth; and its launches, 4 microseconds of a
# processor's time for each kernel that it starts.

# %%
gpu_figures.kernels_and_time(on_gpu) if len(on_gpu) else Markdown(gpu_steps.NOT_COMPILED)

# %% [markdown]
# Filled marks are this project's code, open ones, for the study's own card, the study's
# formulations. `tiled` starts more kernels the longer the input: its tiles follow one another. How
# far a card stays behind its least time, the steps above tell, compiled for theirs.

# %%
launches = gpu_steps.describe_launches(on_gpu)
Markdown(f"{launches} {gpu_steps.describe_least_time(scaling.in_float32(own))}")

# %% [markdown] tags=["folded"]
# ## On a CPU

# %%
Markdown(f"{scaling.where_measured(runtime)} {scaling.how_timed(runtime)}")

# %%
figures.runtime(runtime)

# %% [markdown]
# The study's Figure 3. A step is forward, backward and the optimiser's update. A step that did not
# fit is a mark in a strip above. Where parameters agree, the measurements are those of the
# [memory page](memory.ipynb). All kinds beside `dense`, and the power of the length with which the
# times grow:

# %%
ratio_figures.ratios_by_length(
    scaling.ratios(runtime, "step_seconds"), title="time over that of dense"
)

# %%
grown = scaling.growth(runtime, "step_seconds")
(
    ratio_figures.growth(grown, title="power of the length")
    if len(grown)
    else Markdown("Fewer than three lengths were measured.")
)

# %%
in_half = scaling.bfloat16_ratios(of_both_types, "step_seconds")
(
    ratio_figures.ratios_by_length(in_half, title="time over that in float32")
    if len(in_half)
    else Markdown("No step was measured in both types.")
)

# %% [markdown] tags=["folded"]
# ## In turn, on one machine
#
# Here contenders take turns: how many times as fast one was as another in the same round. Whole
# models, with a training step at 131,072 bp and a prediction at 196,608 bp, stand against Enformer
# computed as it was published. Attention is timed forward and backward: alone, and as a layer,
# whose gradients end at its input or are those of its weights too. `baseline` is BigBird written
# plainly, as the study used it; compiled by XLA it comes closer.

# %% tags=["tab: Whole models"]
of_models = {
    "training step": benchmark_tables.read(benchmarks / "whole_model_train_131072bp_11layers.csv"),
    "prediction": benchmark_tables.read(benchmarks / "whole_model_predict_196608bp_11layers.csv"),
}
ratio_figures.speed_ratios(benchmark_tables.contender_ratios(of_models))

# %% tags=["tab: Attention"]
of_attention = {
    "alone": benchmark_tables.read(benchmarks / "attention_alone.csv"),
    "layer, to its input": benchmark_tables.read(benchmarks / "attention_layer.csv"),
    "layer, to its weights": benchmark_tables.read(benchmarks / "attention_layer_and_weights.csv"),
}
ratio_figures.speed_ratios(benchmark_tables.attention_ratios(of_attention))

# %% [markdown]
# A ratio holds for a device and for what TensorFlow multiplies with there: oneDNN's kernels on
# processors with instructions made for neural networks, as here, on all others its own, which by
# themselves ask the system anew for each large array; `dense` and the published form have the
# largest. So with its own a sparse layer can be many times as fast as one of `dense` and owe most
# of that to memory; where memory is kept, as `import senformer` has it, what is left is close to
# what oneDNN's kernels show. The published form, whose pools are batches of small products, falls
# behind with TensorFlow's own kernels, memory kept or not.

# %% [markdown] tags=["folded"]
# ## What the study found
#
# Blocks of keys have to be gathered, and small products use a processor less well than large ones.
# So the study saw sparse attention slower at many lengths, with one layer as with eleven. It cites
# the Long-Range Arena, where BigBird trained slower than full attention up to about
# {published}`runtime.long_range_arena_tokens`. Its times are means that include the first step's
# tracing, so they are compared here as ratios and not as seconds.

# %% [markdown] tags=["folded"]
# ## The Long-Range Arena's own numbers

# %%
long_range_arena = published_arena.read_long_range_arena()
Markdown(long_range_arena.conclusion(long_range_arena))

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

# %% [markdown] tags=["folded"]
# (verdicts-runtime)=
# ## Do they agree?
#
# A claim about steps is judged by models of the study's size alone, at the lengths that it speaks
# of; one about the Arena by the Arena's numbers.

# %% tags=["claims"]
tables.show(verdicts.side_by_side(claims))
