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
# Do both models succeed and fail on the same sequences, and which is ahead? The study says that
# sequence by sequence S-Enformer's accuracy follows Enformer's closely and is mostly below it. r
# between the two is {published}`correlation.cage_pearson_r` (CAGE) to
# {published}`correlation.chip_tf_pearson_r` (TF ChIP), and S-Enformer is ahead in
# {published}`correlation.chip_histone_ahead_percent` (histone marks) to
# {published}`correlation.dnase_atac_ahead_percent` (DNase/ATAC) of the sequences.

# %% tags=["parameters"]
output_folder = "../runs/interactive"
data = ""
seed = 0
enformer_preset = "enformer_tiny"
enformer_checkpoint = ""
enformer_steps = 60
enformer_learning_rate = 1e-3
enformer_attention_steps = 100
enformer_attention_learning_rate = 1e-3
senformer_preset = "senformer_tiny"
senformer_steps = 60
senformer_learning_rate = 1e-3
num_evaluations = 6
num_validation_sequences = None
sequence_length_bp = 32_768
target_length = 192
batch_size = 1
largest_trunk_cache_gb = 4.0
num_test_sequences = None
shown_sequence = 0
shown_tracks = []

# %%
import dataclasses
from pathlib import Path

import pandas as pd
from IPython.display import Markdown

from senformer.config import preset
from senformer.experiments import answers, run_data, track_accuracy, track_profiles, workspace
from senformer.experiments.correlation import correlations
from senformer.experiments.provenance import describe_run
from senformer.report import results, tables
from senformer.report.figures import accuracy as figures
from senformer.study import comparability, published, reanalysis, verdicts
from senformer.workflow import notebooks

notebooks.enter_folder()
folders = run_data.open_data(data, output_folder, seed=seed)
human = folders[run_data.HEAD]
recipe = workspace.SenformerRecipe(
    enformer_preset=enformer_preset,
    enformer_checkpoint=enformer_checkpoint,
    enformer_steps=enformer_steps,
    enformer_learning_rate=enformer_learning_rate,
    enformer_attention_steps=enformer_attention_steps,
    enformer_attention_learning_rate=enformer_attention_learning_rate,
    senformer_preset=senformer_preset,
    senformer_steps=senformer_steps,
    senformer_learning_rate=senformer_learning_rate,
    num_evaluations=num_evaluations,
    num_validation_sequences=num_validation_sequences,
    sequence_length_bp=sequence_length_bp,
    target_length=target_length,
    batch_size=batch_size,
    largest_trunk_cache_gb=largest_trunk_cache_gb,
    seed=seed,
)
models = {
    "Enformer": workspace.trained_enformer(recipe, folders, output_folder),
    "S-Enformer": workspace.finetuned_senformer(recipe, folders, output_folder).model,
}
fits = track_accuracy.accuracy_per_sequence(
    models, human, sequence_length_bp=sequence_length_bp, num_sequences=num_test_sequences
)
parameters = {
    "output_folder": output_folder,
    "data": data,
    **dataclasses.asdict(recipe),
    "num_test_sequences": num_test_sequences,
    "shown_sequence": shown_sequence,
    "shown_tracks": shown_tracks,
}
provenance = describe_run(parameters=parameters, seed=seed, data=run_data.name_of_data(data))
path = results.write(
    correlations.r_of_both_models(fits), Path(output_folder) / "correlation.csv", provenance
)
per_sequence = results.read(path)
compared = correlations.compare(per_sequence, seed=seed)

path = results.write(
    correlations.levels(fits), Path(output_folder) / "correlation_levels.csv", provenance
)
levels = results.read(path)
unlike = comparability.unlike_the_study(
    models["S-Enformer"].config,
    attention=preset("senformer").attention,
    sequence_length_bp=sequence_length_bp,
    records=human,
    num_test_sequences=num_test_sequences,
    num_finetuning_examples=senformer_steps * batch_size,
    published_weights=bool(enformer_checkpoint),
)
judged = correlations.judge_claims(compared, levels, unlike=unlike)
claims_path = results.write(judged, Path(output_folder) / "correlation_claims.csv", provenance)

# %% tags=["answer"]
answers.at_the_top(correlations.conclusion(compared, levels), judged, "correlation")

# %% tags=["tab: Mean of r over tracks"]
r_over = correlations.R_OVER["pearson_r"]
figures.correlation(per_sequence.query("r_over == @r_over"), compared.query("r_over == @r_over"))

# %% tags=["tab: One r over all tracks"]
r_over = correlations.R_OVER["pooled_pearson_r"]
figures.correlation(per_sequence.query("r_over == @r_over"), compared.query("r_over == @r_over"))

# %% [markdown]
# The study's Figure 6. Each mark is a test sequence: how well Enformer predicts it, and how well
# S-Enformer does. On the dashed line both do equally well; the solid line is fitted.
#
# ## What it means for you
#
# - **You choose between the two models.** Look at the share ahead, not at r between them: an r near
#   1 says that they find the same sequences easy, not that they are equally good.
# - **You work on a few loci.** The mean over all sequences does not speak of them. Put their
#   tracks into `shown_tracks` and look; a model that is behind on average may be ahead there.
# - **You need absolute levels**, as for comparing predictions with counts. r says nothing about
#   them; correct for the ratio of prediction to experiment, on sequences that you do not evaluate.
#
# ## How it was measured
#
# The two models are those of the [fine-tuning page](finetuning.ipynb). How well a sequence is
# predicted can be taken in two ways, and the study does both. Its text takes r of each track over
# the bins of the sequence, then the mean over the tracks of a type; its code takes one r over the
# bins of all tracks of a type. The second also rewards a model for knowing which tracks are high.

# %% [markdown] tags=["folded"]
# ## As the study states, as it stored, as measured here
#
# Whiskers are 95 % intervals from resampling the sequences 1,000 times. Few sequences make wide
# ones.

# %%
of_the_study = published.read_correlation_per_sequence()
compared_there = reanalysis.compare(of_the_study)
figures.between_models(correlations.by_source(compared, compared_there))

# %% [markdown]
# r between the models does not say who is ahead. In the study's results histone marks have the
# second highest, and there S-Enformer loses most and is ahead least often. For CAGE it loses as
# much in the mean, but the difference varies nearly twice as much, so that it is ahead more often.
# TF ChIP has the highest r because the difference hardly varies: S-Enformer is behind by a little,
# nearly everywhere.

# %% [markdown] tags=["folded"]
# ## The study's stored results, drawn again

# %%
Markdown(reanalysis.who_is_ahead(compared_there))

# %%
figures.correlation(of_the_study, compared_there)

# %% [markdown]
# The study's Figure 6 once more, from the sequences that it stored
# (`senformer/study/tables/`): its models on real records, of which nothing was run here.
# r is one over all tracks of a type, as its code takes it.

# %% [markdown] tags=["folded"]
# ## Too high, or too low?
#
# r does not change when a prediction is doubled, so it cannot answer this. For each sequence and
# track, the mean and the median over the bins of the prediction are held against those of the
# experiment. A model without a tendency would stand on the dotted line.

# %%
figures.overprediction(levels)

# %% [markdown]
# A median close to zero is easily exceeded: an experiment of counts has many bins of zero, and a
# prediction is never exactly zero. The share of means is the stricter test.

# %% [markdown] tags=["folded"]
# ## Along a sequence
#
# The study's Figure 7: what r sums up, seen. The experiment and both predictions along test
# sequence `shown_sequence`. `shown_tracks` chooses tracks by their identifiers or descriptions;
# without names, one track of each type is drawn at random, by the seed. All three stand on one
# scale per track.

# %%
tracks = track_profiles.choose_tracks(human, shown_tracks, seed=seed)
profiles = track_profiles.track_profiles(
    models, human, tracks, sequence=shown_sequence, sequence_length_bp=sequence_length_bp
)
path = results.write(profiles, Path(output_folder) / "correlation_tracks.csv", provenance)
figures.track_profiles(results.read(path))

# %% [markdown] tags=["folded"]
# ## What the study found
#
# Its text speaks of {published}`correlation.num_sequences_stated`; its stored results hold
# {published}`correlation.num_sequences_stored`. It also says that both models tend to predict a
# higher mean and median than was measured.

# %% [markdown] tags=["folded"]
# (verdicts-correlation)=
# ## Do they agree?
#
# Whether the study's statements agree with its own results is one question, whether they agree with
# what was measured here another.

# %% tags=["claims"]
both = [reanalysis.judge_correlation_claims(compared_there), results.read(claims_path)]
tables.show(verdicts.side_by_side(pd.concat(both)))
