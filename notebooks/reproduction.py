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
# published weights do not give Enformer's published accuracy: Pearson's r came out lower by
# {published}`reproduction.chip_tf_deficit` for transcription factors and by
# {published}`reproduction.cage_deficit` for CAGE. But r is not one number: what surrounds the
# sequence, over what r is taken, on which scale, and which tracks belong together have to be
# chosen.

# %% tags=["parameters"]
parameters = {}  # values that differ from the defaults of ReproductionParameters

# %%
from senformer.experiments import answers, run_data
from senformer.experiments.parameters import ReproductionParameters
from senformer.experiments.reproduction import protocol_comparison
from senformer.experiments.workspace import Workspace
from senformer.report import tables
from senformer.report.figures import accuracy as figures
from senformer.study import comparability, verdicts
from senformer.workflow import notebooks

notebooks.enter_folder()
p = ReproductionParameters(**parameters)
workspace = Workspace(p)
enformer = workspace.enformer()
measured = protocol_comparison.accuracy(
    enformer,
    workspace.human,
    sequence_length_bp=p.sequence_length_bp,
    context_length_bp=p.context_length_bp,
    num_sequences=p.num_test_sequences,
    fasta=run_data.genome_of(workspace.human),
)
accuracy = workspace.save_table("reproduction", measured)

# %%
unlike = comparability.unlike_the_study(
    enformer.config,
    sequence_length_bp=p.sequence_length_bp,
    records=workspace.human,
    num_test_sequences=p.num_test_sequences,
    published_weights=bool(p.enformer_checkpoint),
)
judged = protocol_comparison.judge_claims(accuracy, unlike=unlike)
claims = workspace.save_table("reproduction_claims", judged)

# %% tags=["answer"]
answers.at_the_top(protocol_comparison.conclusion(accuracy), judged, "reproduction")

# %%
figures.protocol_changes(protocol_comparison.with_reported(accuracy))

# %% [markdown]
# For the study's Figure 4. The line at zero is the reference, the protocol of Enformer's paper: the
# real bases around the stored sequence, r of each track over all bins of all test sequences, then
# the mean over the tracks of a type; values as they are stored, one strand, every bin, products in
# float32. Each row changes one choice. Filled marks are what the study's code chose; the row before
# the last makes all of its choices together, and the last is what the study reports. Whiskers are
# 95 % intervals over sequences, the same for both protocols: where one leaves zero out, the choice
# matters whatever sequences are drawn.
#
# ## What it means for you
#
# - **You compare your r with a published one.** Match its choices first. A difference smaller than
#   what a choice is worth in the figure says nothing about the models.
# - **You report r.** State all seven choices. For a value that others can hold against Enformer's,
#   take the reference. Give r per track as well: every grouping can be made from that later.
# - **You want to know how well a track is predicted along the genome.** Do not pool tracks, and do
#   not take r across them. Both also credit a model for knowing which tracks are high.
# - **You can only get the stored sequences.** Zeros for flanks and no flanks are different
#   approximations; their two rows tell which one costs less for a model like this one.
#
# ## How it was measured
#
# One model predicts, on one set of sequences, so that only the measuring changes: Enformer, with
# its published weights where the run was given them, otherwise trained here. Pooling the tracks
# need not lower r: it can raise it, as the figure shows by type of track.

# %% [markdown] tags=["folded"]
# ## r under the reference
#
# A track whose experiment or prediction never changes has no r. Such tracks are left out of a mean,
# and counted.

# %%
tables.show(protocol_comparison.table_of_reference(accuracy))

# %% [markdown] tags=["folded"]
# ## The study's two choices, alone and together
#
# Where the remainder is far from zero, the choices depend on each other: a difference between two
# protocols is then not the sum of its parts.

# %%
tables.show(protocol_comparison.together(accuracy))

# %% [markdown] tags=["folded"]
# ## What the study found
#
# The largest difference, {published}`reproduction.chip_tf_deficit`, was in transcription factors,
# the smallest, {published}`reproduction.cage_deficit`, in CAGE. The study could not say why. Others
# were puzzled too: a mean r of {published}`reproduction.deepmind_issue_402` on validation data with
# the same weights; and, on one and the same prediction,
# {published}`reproduction.enformer_pytorch_across_tracks` or
# {published}`reproduction.enformer_pytorch_along_sequence`, depending on the axis along which r was
# taken. The study's code differs from the paper's protocol twice. It surrounds the stored
# sequence with zeros, and it [takes one r over all tracks of a type](pooled-tracks).

# %% [markdown] tags=["folded"]
# (verdicts-reproduction)=
# ## Do they agree?
#
# The study's two choices together are held against the differences that it reports.

# %% tags=["claims"]
tables.show(verdicts.side_by_side(claims))
