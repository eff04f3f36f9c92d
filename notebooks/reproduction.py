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
# # Reproduction
#
# Why does one model get different scores in two evaluations? The study says that Enformer's
# published weights do not give Enformer's published accuracy: Pearson's r was lower by
# {published}`reproduction.chip_tf_deficit` for transcription factors and by
# {published}`reproduction.cage_deficit` for CAGE. But r is not a single number. It depends on the
# sequence around the record, on the values that r is taken over, on their scale, and on the
# grouping of tracks.

# %% tags=["parameters"]
parameters = {}  # values that differ from the defaults of ReproductionParameters

# %%
from senformer.experiments import answers, run_data
from senformer.experiments.parameters import ReproductionParameters
from senformer.experiments.reproduction import protocol_comparison
from senformer.experiments.workspace import Workspace
from senformer.report import tables
from senformer.report.figures import accuracy as figures
from senformer.study import comparability, judges, verdicts
from senformer.workflow import notebooks

notebooks.enter_folder()
p = ReproductionParameters(**parameters)
workspace = Workspace(p)
enformer = workspace.enformer()
measured = protocol_comparison.measure_accuracy(
    enformer,
    workspace.human,
    sequence_length_bp=p.sequence_length_bp,
    context_length_bp=p.context_length_bp,
    num_sequences=p.num_test_sequences,
    fasta=run_data.genome_of(workspace.human),
)
accuracy = workspace.save_table("reproduction", measured)

# %%
difference = comparability.describe_differences(
    enformer.config,
    uses_published_weights=bool(p.enformer_checkpoint),
    sequence_length_bp=p.sequence_length_bp,
    num_tracks=workspace.human.num_tracks,
    num_test_sequences=workspace.num_test_sequences,
)
judged = judges.judge_claims("reproduction", {"accuracy": accuracy}, difference)
verdict_table = workspace.save_table("reproduction_claims", judged)

# %% tags=["answer"]
answers.show_answer(answers.answer_reproduction(accuracy), judged, "reproduction")

# %%
figures.protocol_changes(protocol_comparison.append_reported(accuracy))

# %% [markdown]
# This figure belongs to the study's Figure 4. The line at zero is the reference, the protocol of
# Enformer's paper: the real bases around the stored sequence, r of each track over all bins of
# all test sequences, then the mean over the tracks of a type; values as they are stored, one
# strand, every bin, products in float32. Each row changes one choice. Filled marks are the
# choices of the study's code. The last row but one combines all of its choices, and the last row
# is the study's report. Whiskers are 95 % intervals over sequences, the same sequences for both
# protocols. If an interval excludes zero, the choice matters for any sample of sequences.
#
# ## What it means for you
#
# - **You compare your r with a published one.** Use the same choices first. A difference that is
#   smaller than the effect of a choice in the figure says nothing about the models.
# - **You report r.** State all seven choices. To let others compare your value with Enformer's,
#   use the reference. Also report r per track: every grouping can be computed from it later.
# - **You want to know how well a track is predicted along the genome.** Do not pool tracks, and
#   do not take r across them. Both also reward a model that knows which tracks are high.
# - **You have only the stored sequences.** Zeros for flanks and no flanks are different
#   approximations. Their two rows show which one costs less for a model like this one.
#
# ## How it was measured
#
# One model predicts one set of sequences, so that only the measurement changes. The model is
# Enformer, with its published weights if the run has them, otherwise trained here. Pooling tracks
# need not lower r: it can raise it, as the figure shows by type of track.

# %% [markdown] tags=["folded"]
# ## r under the reference
#
# A track whose experiment or prediction is constant has no r. The means leave out such tracks and
# count them.

# %%
tables.show(protocol_comparison.format_reference(accuracy))

# %% [markdown] tags=["folded"]
# ## The study's two choices, alone and together
#
# If the remainder is far from zero, the choices depend on each other. The difference between two
# protocols is then not the sum of its parts.

# %%
tables.show(protocol_comparison.compare_study_choices(accuracy))

# %% [markdown] tags=["folded"]
# ## What the study found
#
# The largest difference, {published}`reproduction.chip_tf_deficit`, was for transcription
# factors, the smallest, {published}`reproduction.cage_deficit`, for CAGE. The study could not
# explain it. Others asked too: about a mean r of {published}`reproduction.deepmind_issue_402` on
# validation data with the same weights; and about r of one prediction, which is
# {published}`reproduction.enformer_pytorch_across_tracks` or
# {published}`reproduction.enformer_pytorch_along_sequence`, depending on the axis. The study's
# code differs from the paper's protocol in two ways. It surrounds the stored sequence with zeros,
# and it [takes one r over all tracks of a type](pooled-tracks).

# %% [markdown] tags=["folded"]
# (verdicts-reproduction)=
# ## Do they agree?
#
# We compare the effect of the study's two choices together with the differences that it reports.

# %% tags=["claims"]
tables.show(verdicts.compare_with_claims(verdict_table))
