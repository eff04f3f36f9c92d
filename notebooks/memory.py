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
# How much memory does a training step need, and from which input length on does sparse attention
# need less? The study makes three statements about one card of {published}`memory.budget_gb`.
# With dense attention a step no longer fits at {published}`memory.dense_out_of_memory_bp`. With
# sparse attention it still fits at {published}`memory.bigbird_trains_bp`. Below about
# {published}`memory.crossover_bp` dense attention needs less memory.

# %% tags=["parameters"]
parameters = {}  # values that differ from the defaults of MeasuringParameters

# %%
import pandas as pd
from IPython.display import Markdown

from senformer.experiments import answers
from senformer.experiments.compiling import compilations
from senformer.experiments.memory_and_time import measurements, scaling
from senformer.experiments.parameters import MeasuringParameters
from senformer.experiments.workspace import ResultFolder
from senformer.report import benchmark_tables, gpu_steps, tables
from senformer.report.figures import cost as figures
from senformer.report.figures import gpu_cost as gpu_figures
from senformer.report.figures import ratios as ratio_figures
from senformer.study import cost_judges, judges, published_tables, verdicts
from senformer.workflow import notebooks

notebooks.enter_folder()
p = MeasuringParameters(**parameters)
run = ResultFolder(p)
compiled = compilations.compile_all(p.compiled_steps, p.compiled_for, run.folder / "compiled")
measured = measurements.measure_all(p.measurements, run.folder / "measurements")
on_cards = run.save_table("memory_compiled", compiled, data="compiled, not run")
of_both_types = run.save_table("memory", measured)
memory = scaling.select_float32(of_both_types)

# %%
benchmarks = notebooks.ROOT / "benchmarks" / "results"
published_code = benchmark_tables.read(benchmarks / "published_on_gpu.csv")
on_gpu = gpu_steps.add_published_code(on_cards, published_code)
evidence = cost_judges.memory_tables(memory, on_cards, published_code)
judged = judges.judge_claims("memory", evidence)
verdict_table = run.save_table("memory_claims", judged)

# %% tags=["answer"]
if len(on_cards):
    card = on_cards[on_cards["device"] == on_cards["device"].iloc[0]]
    sentence = answers.answer_memory(card, f"{card['device_label'].iloc[0]}, compiled and not run")
else:
    sentence = answers.answer_memory(memory, f"Run on {memory['device'].iloc[0]}")
answers.show_answer(sentence, judged, "memory")

# %%
published_points = published_tables.published_memory().query("channels == @p.channels")
measured_and_published = pd.concat([memory.assign(origin="measured"), published_points])
measured_and_published = measured_and_published.reset_index(drop=True)
measured_and_published.attrs = memory.attrs
gpu_figures.compiled_memory(on_gpu) if len(on_gpu) else figures.memory(measured_and_published)

# %% [markdown]
# This figure belongs to the study's Figure 1. If there is a choice of cards, it is above the
# figure. Filled marks are this project's code. Open marks are the study's two formulations,
# computed as its code ran them: the whole sequence at once, with all activations kept.
#
# ## What it means for you
#
# - **You have a GPU and look for a length.** The [planner](../planner.md) answers for your card,
#   your layers and every kind of attention.
# - **You have a length and look for a kind of attention.** Compare `dense` with `tiled` before
#   you change the model: both compute the same. Memory alone is a reason for sparse attention
#   only if `tiled` does not fit either.
# - **You plan to train all variables.** Training `all` keeps the activations of the convolutions
#   at the full length of the sequence, and no kind of attention changes that part.
#
# ## How it was measured
#
# XLA, TensorFlow's compiler, can compile a step for a card that is not present, and reports how
# much memory the program allocates. This is **compiled, not run**. A compiled program joins
# operations and frees arrays that a run of single operations keeps. So a step that fits here
# shows that such a step exists, not that the study's did fit. Steps that ran on a CPU and on a
# GPU follow below, and so does the effect of `bfloat16`. `trained` names the trained variables.
# With `attention`, the study's choice, the convolutions are frozen and keep nothing for the
# backward pass; `all` trains the whole model.

# %% [markdown] tags=["folded"]
# ## What a further layer adds
#
# The study's Figure 2. The difference between a step of many layers and a step of one layer
# cancels trunk and head, which are the same for all kinds.

# %%
of_layer = gpu_steps.memory_per_layer(on_gpu)
of_layer.attrs = on_gpu.attrs
(
    gpu_figures.layer_memory(of_layer)
    if len(of_layer)
    else Markdown("No step was compiled with two numbers of layers.")
)

# %% [markdown] tags=["folded"]
# ## How far a run is from the compiler's report
#
# Steps that [ran on a GPU](steps-that-ran), compared with the report for the same card, which was
# made without it.

# %%
ran = benchmark_tables.read(benchmarks / "steps_on_gpu.csv")
Markdown(gpu_steps.describe_compiled_peak(ran))

# %%
over_compiled = gpu_steps.ratio_to_compiled_peak(
    scaling.select_float32(gpu_steps.steps_of_this_package(ran))
)
ratio_figures.ratios_by_length(over_compiled, title="peak as it ran over the compiled one")

# %% [markdown] tags=["folded"]
# ## On a CPU

# %%
Markdown(scaling.describe_devices(memory))

# %%
figures.memory(measured_and_published)

# %% [markdown]
# Each point is the peak of one process that trains one model on a random sequence for a few
# steps, including weights and optimiser. Steps that did not fit are marks in a strip above the
# others. Both axes are logarithmic. The next figure divides each kind by `dense`:

# %%
ratio_figures.ratios_by_length(
    scaling.ratios(memory, "peak_memory_gb"), title="peak over that of dense"
)

# %% [markdown]
# A part of each peak exists before the step: the weights, and two moving averages per trained
# weight. The step adds the rest, which grows with the following power of the length. The
# gradients of the trained weights are part of the rest and do not grow.

# %%
step_gb = memory["peak_memory_gb"] - memory["resident_memory_gb"]
grown = scaling.growth(memory.assign(step_memory_gb=step_gb), "step_memory_gb")
(
    ratio_figures.growth(grown, title="power of the length")
    if len(grown)
    else Markdown("Fewer than three lengths were measured.")
)

# %% [markdown]
# The study's code and ours compute the same models. The study's code keeps the whole table of
# attention weights; ours recomputes values in the backward pass where it can ([what a step
# keeps](what-a-step-keeps)). Peaks of both on a CPU:

# %%
tables.show(
    cost_judges.compare_code_peaks(memory),
    digits=2,
    if_empty="The models of this run are of another size than those that were measured of both.",
)

# %% [markdown] tags=["folded"]
# ## In bfloat16
#
# Activations and products take half the bytes. Weights, moving averages, normalisation and
# attention weights stay in float32.

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
# A step keeps the weights, the optimiser's moving averages, and the activations that the backward
# pass needs. Dense attention adds scores for every pair of tokens, whose number grows with the
# square of the length; BigBird computes scores for a fixed number of keys per token. On one card,
# the study saw dense attention run out of memory at {published}`memory.dense_out_of_memory_bp`,
# while sparse attention trained at {published}`memory.bigbird_trains_bp`, the longest input that
# it tried. Sparse attention also has a fixed cost, so both need equal memory at about
# {published}`memory.crossover_bp`.

# %% [markdown] tags=["folded"]
# (verdicts-memory)=
# ## Do they agree?
#
# Only models of the study's size decide a claim, at the lengths that it names: the study's own
# formulations, compiled for its own card.

# %% tags=["claims"]
tables.show(verdicts.compare_with_claims(verdict_table))
