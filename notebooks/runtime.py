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
# How long does a training step take, and where does sparse attention save time? The study says
# that a step with sparse attention takes longer at many lengths, although it needs fewer
# multiplications.

# %% tags=["parameters"]
parameters = {}  # values that differ from the defaults of MeasuringParameters

# %%
from IPython.display import Markdown

from senformer.experiments import answers
from senformer.experiments.compiling import compilations
from senformer.experiments.memory_and_time import measurements, scaling
from senformer.experiments.parameters import MeasuringParameters
from senformer.experiments.workspace import ResultFolder
from senformer.report import benchmark_tables, gpu_steps, tables
from senformer.report.figures import arena as arena_figures
from senformer.report.figures import cost as figures
from senformer.report.figures import gpu_cost as gpu_figures
from senformer.report.figures import ratios as ratio_figures
from senformer.study import arena_judges, claims, cost_judges, judges, published_tables, verdicts
from senformer.workflow import notebooks

notebooks.enter_folder()
p = MeasuringParameters(**parameters)
run = ResultFolder(p)
compiled = compilations.compile_all(p.compiled_steps, p.compiled_for, run.folder / "compiled")
measured = measurements.measure_all(p.measurements, run.folder / "measurements")
on_cards = run.save_table("runtime_compiled", compiled, data="compiled, not run")
of_both_types = run.save_table("runtime", measured)
runtime = scaling.select_float32(of_both_types)

# %%
benchmarks = notebooks.ROOT / "benchmarks" / "results"
on_gpu = gpu_steps.add_published_code(
    on_cards, benchmark_tables.read(benchmarks / "published_on_gpu.csv")
).query("num_transformer_layers == num_transformer_layers.max()")
ran = benchmark_tables.read(benchmarks / "steps_on_gpu.csv")
own = gpu_steps.steps_of_this_package(ran)
arena = published_tables.read_long_range_arena()
judged = judges.judge_claims("runtime", cost_judges.runtime_tables(runtime, ran, arena))
verdict_table = run.save_table("runtime_claims", judged)

# %% tags=["answer"]
sentence = answers.answer_runtime(scaling.select_float32(own), f"Run on an {own['ran_on'].iloc[0]}")
answers.show_answer(sentence, judged, "runtime")

# %%
gpu_figures.step_time(scaling.select_float32(ran))

# %% [markdown]
# Steps of the study's size with one sequence, which train only the attention. Filled marks are
# this project's code; open marks are the study's two formulations, each compiled as a whole.
#
# ## What it means for you
#
# - **You look for a length.** Where a line is below that of `dense`, the kind saves time. With
#   fewer layers the choice matters less, because all kinds share the convolutions.
# - **You look for a device.** Gathering key blocks needs memory bandwidth, matrix products need
#   arithmetic, and devices differ in both. Measure both kinds on your device, in alternation.
# - **You plan a training.** The study's training took {published}`finetuning.days` on its card.
#   [Below](days-of-a-training) you find how many days it would take at the times measured here.
#
# ## How it was measured

# %%
Markdown(gpu_steps.describe_runs(ran))

# %% [markdown]
# `benchmarks/steps_on_gpu.py` exports the steps. Their weights were arbitrary numbers, which does
# not change the time. Products of `float32` were computed in TensorFloat-32, TensorFlow's default
# on such a card.

# %% [markdown] tags=["folded"]
# (steps-that-ran)=
# ## Compared with dense attention, in both types

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
# The study's plan has {published}`finetuning.num_steps` of {published}`finetuning.batch_size`
# sequences of each organism. The table multiplies it by the measured time of a step on the GPU,
# by length and kind.

# %%
steps_of_plan, batch = (
    claims.get_value(f"finetuning.{key}") for key in ("num_steps", "batch_size")
)
num_sequences = 2 * steps_of_plan * batch  # a step is a human and a mouse batch
days = scaling.days_of_training(scaling.select_float32(own), num_sequences=num_sequences)
tables.show(days, digits=2)

# %% [markdown] tags=["folded"]
# ## Compiled for other cards
#
# These are compiled, not run. A step takes at least the longest of three times: its operations at
# the rate of the card's data sheet (TensorFloat-32 if the card supports it), its bytes at the
# memory's bandwidth, and its launches at 4 microseconds of a processor's time per kernel.

# %%
gpu_figures.kernels_and_time(on_gpu) if len(on_gpu) else Markdown(gpu_steps.NOT_COMPILED)

# %% [markdown]
# Filled marks are this project's code; open marks are the study's formulations on the study's own
# card. `tiled` starts more kernels for longer inputs, because its tiles run one after another.
# The measured steps above show how far a card is from its least time, compared with what was
# compiled for it:

# %%
launches = gpu_steps.describe_launches(on_gpu)
Markdown(f"{launches} {gpu_steps.describe_least_time(scaling.select_float32(own))}")

# %% [markdown] tags=["folded"]
# ## On a CPU

# %%
Markdown(f"{scaling.describe_devices(runtime)} {scaling.describe_times(runtime)}")

# %%
figures.runtime(runtime)

# %% [markdown]
# The study's Figure 3. A step consists of forward pass, backward pass and the optimiser's update.
# Steps that did not fit are marks in a strip above. Where parameters agree, the measurements are
# those of the [memory page](memory.ipynb). The next figures divide each kind by `dense`, and show
# the power of the length with which the times grow:

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
# ## In alternation, on one machine
#
# Here the contenders alternate, and each ratio compares two of them within a round. Whole models
# are compared with Enformer computed as it was published: a training step at 131,072 bp and a
# prediction at 196,608 bp. Attention is timed forward and backward: alone, and as a layer, whose
# gradients end at its input or include its weights. `baseline` is BigBird written plainly, as the
# study used it; compiled by XLA it is closer to ours.

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
# A ratio depends on the device and on TensorFlow's kernels: oneDNN's on processors with
# instructions for neural networks, as here, and TensorFlow's own on all others. The latter
# request memory from the system again for each large array, and `dense` and the published form
# have the largest arrays. So with TensorFlow's own kernels a sparse layer can be many times as
# fast as a `dense` one, mostly because of memory. If memory is kept, as `import senformer`
# configures it, the ratios are close to those with oneDNN's kernels. The published form, whose
# pools are batches of small products, is slower with TensorFlow's own kernels in both cases.

# %% [markdown] tags=["folded"]
# ## What the study found
#
# Sparse attention has to gather blocks of keys, and small products use a processor less
# efficiently than large ones. So the study saw it slower at many lengths, with one layer and with
# eleven. It cites the Long-Range Arena, where BigBird trained slower than full attention up to
# about {published}`runtime.long_range_arena_tokens`. The study's times are means that include the
# tracing of the first step, so we compare ratios and not seconds.

# %% [markdown] tags=["folded"]
# ## The Long-Range Arena's own numbers

# %%
long_range_arena = published_tables.read_long_range_arena()
Markdown(arena_judges.describe_arena(long_range_arena))

# %%
arena_figures.speed_and_memory(long_range_arena)

# %% [markdown]
# These numbers are the Arena's table 2 {cite}`tay2021lra`; nothing was run here. Above 1 a model
# trains faster, or takes more memory, than the full Transformer, the level line. The models that
# the study mentions are in colour.
#
# The study says that BigBird was slower there until the input was longer than
# {published}`runtime.long_range_arena_tokens`, and that Performer and Reformer also cost time
# until the input is long enough. The Arena's numbers say otherwise: at that length BigBird is
# already faster, Performer is faster at every length, and Reformer at none. They do not rank the
# methods for Enformer either: its 1,536 tokens lie between the first two lengths, and device and
# code differ. Two results carry over: all three methods save memory, and time has to be measured.

# %% [markdown] tags=["folded"]
# (verdicts-runtime)=
# ## Do they agree?
#
# Only models of the study's size decide a claim about steps, at the lengths that it names. The
# Arena's numbers decide a claim about the Arena.

# %% tags=["claims"]
tables.show(verdicts.compare_with_claims(verdict_table))
