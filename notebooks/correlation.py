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
# # Correlation
#
# Do both models succeed and fail on the same sequences, and which one is better? The study says
# that S-Enformer's accuracy follows Enformer's closely, sequence by sequence, and is mostly below
# it. r between the two is {published}`correlation.cage_pearson_r` (CAGE) to
# {published}`correlation.chip_tf_pearson_r` (TF ChIP), and S-Enformer is ahead in
# {published}`correlation.chip_histone_ahead_percent` (histone marks) to
# {published}`correlation.dnase_atac_ahead_percent` (DNase/ATAC) of the sequences.

# %% tags=["parameters"]
parameters = {}  # values that differ from the defaults of CorrelationParameters

# %%
import pandas as pd
from IPython.display import Markdown

from senformer.evaluation import track_accuracy
from senformer.experiments import answers, run_data, track_profiles
from senformer.experiments.correlation import correlations
from senformer.experiments.parameters import CorrelationParameters
from senformer.experiments.workspace import Workspace
from senformer.report import tables
from senformer.report.figures import accuracy as figures
from senformer.study import comparability, judges, published_tables, stored_results, verdicts
from senformer.workflow import notebooks

notebooks.enter_folder()
p = CorrelationParameters(**parameters)
workspace = Workspace(p)
models = {"Enformer": workspace.enformer(), "S-Enformer": workspace.senformer().model}
fits = track_accuracy.accuracy_per_sequence(
    models,
    workspace.human,
    run_data.TEST_SPLIT,
    sequence_length_bp=p.sequence_length_bp,
    num_sequences=p.num_test_sequences,
)
per_sequence = workspace.save_table("correlation", correlations.pair_models(fits))
levels = workspace.save_table("correlation_levels", correlations.measure_levels(fits))
compared = correlations.compare_models(per_sequence, seed=p.seed)

# %%
difference = comparability.describe_differences(
    models["S-Enformer"].config,
    uses_published_weights=bool(p.enformer_checkpoint),
    attention=models["S-Enformer"].config.attention,
    sequence_length_bp=p.sequence_length_bp,
    num_tracks=workspace.human.num_tracks,
    num_test_sequences=workspace.num_test_sequences,
    num_finetuning_examples=p.senformer_steps * p.batch_size,
)
evidence = {"compared": compared, "tendencies": correlations.classify_levels(levels)}
judged = judges.judge_claims("correlation", evidence, difference)
verdict_table = workspace.save_table("correlation_claims", judged)

# %% tags=["answer"]
answers.show_answer(answers.answer_correlation(compared, levels), judged, "correlation")

# %% tags=["tab: Mean of r over tracks"]
r_over = correlations.R_OVER["pearson_r"]
figures.correlation(per_sequence.query("r_over == @r_over"), compared.query("r_over == @r_over"))

# %% tags=["tab: One r over all tracks"]
r_over = correlations.R_OVER["pooled_pearson_r"]
figures.correlation(per_sequence.query("r_over == @r_over"), compared.query("r_over == @r_over"))

# %% [markdown]
# This is the study's Figure 6. Each mark is a test sequence. It shows how well Enformer and
# S-Enformer predict that sequence. On the dashed line both models are equally good; the solid
# line is fitted.
#
# ## What it means for you
#
# - **You choose between the two models.** Look at the share of sequences on which a model is
#   ahead, not at r between the models. An r near 1 means that both find the same sequences easy,
#   not that both are equally good.
# - **You work on a few loci.** The mean over all sequences says little about them. Enter their
#   tracks in `shown_tracks` and look: a model that is worse on average can be better there.
# - **You need absolute levels**, for example to compare predictions with counts. r says nothing
#   about levels. Correct for the ratio of prediction to experiment, on sequences that you do not
#   evaluate.
#
# ## How it was measured
#
# The two models are those of the [fine-tuning page](finetuning.ipynb). The study measures the
# accuracy of a sequence in two ways. Its text takes r of each track over the bins of the
# sequence, then the mean over the tracks of a type. Its code takes a single r over the bins of
# all tracks of a type. The second way also rewards a model that knows which tracks are high.

# %% [markdown] tags=["folded"]
# ## The study's statements, its stored results, and our measurements
#
# Whiskers are 95 % intervals from resampling the sequences 1,000 times. Few sequences give wide
# intervals.

# %%
stored = published_tables.read_correlation_per_sequence()
compared_stored = stored_results.compare_correlations(stored)
figures.between_models(correlations.combine_sources(compared, compared_stored))

# %% [markdown]
# r between the models does not show which one is ahead. In the study's results, histone marks
# have the second-highest r, and there S-Enformer loses most accuracy and is ahead least often.
# For CAGE it loses as much on average, but the difference varies nearly twice as much, so
# S-Enformer is ahead more often. TF ChIP has the highest r because the difference hardly varies:
# S-Enformer is slightly worse nearly everywhere.

# %% [markdown] tags=["folded"]
# ## The study's stored results

# %%
Markdown(stored_results.describe_correlations(compared_stored))

# %%
figures.correlation(stored, compared_stored)

# %% [markdown]
# This is the study's Figure 6 from the sequences that it stored (`senformer/study/tables/`).
# Nothing was run here: these are the study's models on real records. r is a single one over all
# tracks of a type, as in the study's code.

# %% [markdown] tags=["folded"]
# ## Too high, or too low?
#
# r does not change when a prediction is doubled, so it cannot answer this question. For each
# sequence and track, we compare the mean and the median over the bins of the prediction with
# those of the experiment. A model without bias would be on the dotted line.

# %%
figures.overprediction(levels)

# %% [markdown]
# A prediction easily exceeds a median close to zero: an experiment of counts has many bins of
# zero, and a prediction is never exactly zero. The share of means is the stricter test.

# %% [markdown] tags=["folded"]
# ## Along a sequence
#
# The study's Figure 7 shows what r summarises: the experiment and both predictions along test
# sequence `shown_sequence`. `shown_tracks` selects tracks by their identifiers or descriptions.
# If it is empty, the seed selects one random track of each type. All three curves of a track
# share one scale.

# %%
profiles = track_profiles.track_profiles(
    models,
    workspace.human,
    track_profiles.choose_tracks(workspace.human, p.shown_tracks, seed=p.seed),
    sequence=p.shown_sequence,
    sequence_length_bp=p.sequence_length_bp,
)
figures.track_profiles(workspace.save_table("correlation_tracks", profiles))

# %% [markdown] tags=["folded"]
# ## What the study found
#
# Its text names {published}`correlation.num_sequences_stated`; its stored results contain
# {published}`correlation.num_sequences_stored`. It also says that both models tend to predict a
# higher mean and median than the experiment.

# %% [markdown] tags=["folded"]
# (verdicts-correlation)=
# ## Do they agree?
#
# The first question is whether the study's statements agree with its own results; the second is
# whether they agree with our measurements.

# %% tags=["claims"]
both = [judges.judge_stored_correlations(compared_stored), verdict_table]
tables.show(verdicts.compare_with_claims(pd.concat(both)))
