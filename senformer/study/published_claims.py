"""The table of what the study of S-Enformer and the paper of Enformer state, each with its source.

Ask for one by its key: `senformer.study.published`.
"""

from __future__ import annotations

from senformer.study.published_costs import COSTS
from senformer.study.published_sources import (
    AVSEC,
    AVSEC_URL,
    Claim,
    issue,
    setting,
    study,
    study_code,
)

TRACK_TYPE_NAMES = {
    "dnase_atac": "DNase/ATAC",
    "chip_histone": "Histone ChIP",
    "chip_tf": "TF ChIP",
    "cage": "CAGE",
}
"""The study's names of track types, and ours."""


def _per_sequence_claims() -> list[Claim]:
    # r between the models, and the percentage of sequences where S-Enformer is ahead
    of_type = {
        "dnase_atac": (0.876, 15.4),
        "chip_histone": (0.898, 3.4),
        "chip_tf": (0.962, 6.4),
        "cage": (0.863, 14.9),
    }
    claims = []
    for name, (r, ahead_percent) in of_type.items():
        track_type = TRACK_TYPE_NAMES[name]
        claims += [
            study(
                f"correlation.{name}_pearson_r",
                f"Per-sequence accuracies of both models correlate over {track_type} tracks.",
                r,
                "",
                "Figure 6",
            ),
            study(
                f"correlation.{name}_ahead_percent",
                f"S-Enformer is ahead in this share of sequences, {track_type} tracks.",
                ahead_percent,
                "%",
                "Figure 6",
            ),
        ]
    return claims


CLAIMS: tuple[Claim, ...] = (
    *COSTS,
    # Reproduction
    study(
        "reproduction.chip_tf_deficit",
        "Enformer's r for TF ChIP tracks came out lower than published by this much, the largest "
        "difference.",
        0.129,
        "",
        "Results, Figure 4",
    ),
    study(
        "reproduction.cage_deficit",
        "Enformer's r for CAGE tracks came out lower than published by this much, the smallest "
        "difference.",
        0.021,
        "",
        "Results, Figure 4",
    ),
    study_code(
        "reproduction.code_pools_tracks",
        "The published evaluation drops the batch axis before DeepMind's metric, which then takes "
        "one r over all sequences, bins and tracks of a type together, in float32; Enformer's "
        "paper takes r of each track and then the mean.",
        None,
        "",
        "evaluation/correlation_performance.py",
    ),
    issue(
        "reproduction.deepmind_issue_402",
        "Another user got this mean r on the validation set with DeepMind's weights.",
        0.0384,
        "google-deepmind/deepmind-research",
        402,
    ),
    issue(
        "reproduction.borzoi_issue_43_paper",
        "The test accuracy of Enformer that DeepMind's weights give, as a user reports.",
        0.6681,
        "calico/borzoi",
        43,
    ),
    issue(
        "reproduction.borzoi_issue_43_retrained",
        "The test accuracy that the same user got from training Enformer anew.",
        0.60,
        "calico/borzoi",
        43,
    ),
    issue(
        "reproduction.enformer_pytorch_validation",
        "Enformer's mean r on human validation data in enformer-pytorch.",
        0.625,
        "lucidrains/enformer-pytorch",
        9,
    ),
    issue(
        "reproduction.enformer_pytorch_test",
        "Enformer's mean r on human test data in enformer-pytorch.",
        0.65,
        "lucidrains/enformer-pytorch",
        9,
    ),
    issue(
        "reproduction.enformer_pytorch_across_tracks",
        "On its one test sample, r across tracks, which its test took for r along the sequence.",
        0.5963,
        "lucidrains/enformer-pytorch",
        36,
    ),
    issue(
        "reproduction.enformer_pytorch_along_sequence",
        "On the same sample, r along the sequence.",
        0.4721,
        "lucidrains/enformer-pytorch",
        36,
    ),
    # Fine-tuning
    setting(
        "finetuning.num_steps",
        "S-Enformer was trained for this many steps, each of a human and a mouse batch, only its "
        "attention layers.",
        25_000,
        "steps",
        "Methods, Model training",
    ),
    setting("finetuning.batch_size", "Its batch size.", 5, "", "Methods, Model training"),
    setting("finetuning.days", "How long that took.", 3, "days", "Methods, Model training"),
    setting(
        "finetuning.learning_rate",
        "Its learning rate, constant, with Adam.",
        1e-4,
        "",
        "Methods, Model training",
    ),
    study_code(
        "finetuning.gradient_clip",
        "The gradient of each variable is clipped to this norm.",
        1.0,
        "",
        "utils/training.py",
    ),
    study_code(
        "finetuning.stored_bp",
        "Stored sequences of this length are padded with zeros to 196,608 bp.",
        131_072,
        "bp",
        "utils/training.py",
    ),
    study(
        "finetuning.below_enformer",
        "After training S-Enformer is below Enformer for all four track types.",
        None,
        "",
        "Results, Figure 5",
    ),
    study(
        "finetuning.still_improving",
        "When its training stopped S-Enformer's accuracy was still rising.",
        None,
        "",
        "Results, Figure 5",
    ),
    setting(
        "finetuning.enformer_num_steps",
        "Enformer itself was trained for this many steps, batch 64, on 64 TPU v3 cores in about "
        "three days.",
        150_000,
        "steps",
        "Results, citing Avsec et al. 2021",
    ),
    # Correlation
    *_per_sequence_claims(),
    setting(
        "correlation.num_sequences_stated",
        "How many test sequences the comparison is said to use.",
        1_939,
        "sequences",
        "Methods, Measuring the correlation of predictions",
    ),
    setting(
        "correlation.num_sequences_stored",
        "How many sequences its stored results hold.",
        1_413,
        "sequences",
        "its results, correlation_per_sequence.csv",
    ),
    setting(
        "correlation.text_averages_tracks",
        "r of each track in a sequence, averaged over the tracks of a type, is what is compared.",
        None,
        "",
        "Methods, Measuring the correlation of predictions",
    ),
    study_code(
        "correlation.code_pools_tracks",
        "The code takes one r per sequence and type over bins and tracks together, not a mean over "
        "tracks.",
        None,
        "",
        "evaluation/correlation_between_models.py",
    ),
    study(
        "correlation.overprediction",
        "Both models tend to predict a higher mean and median than was measured.",
        None,
        "",
        "Results, Figure 7",
    ),
    # Receptive field
    setting(
        "receptive_field.num_positions",
        "Positions at which a base is changed, evenly spaced.",
        9,
        "",
        "Methods, Receptive field",
    ),
    setting(
        "receptive_field.num_sequences",
        "Random sequences per position.",
        100,
        "",
        "Methods, Receptive field",
    ),
    study(
        "receptive_field.full",
        "A change of any base changes the prediction of every bin, in both models.",
        None,
        "",
        "Results, Figure 8",
    ),
    study(
        "receptive_field.shape",
        "Changes at the ends of the input move S-Enformer's predictions more and more evenly than "
        "Enformer's; changes near the middle give both a peak, off which S-Enformer falls faster.",
        None,
        "",
        "Results, Figure 8",
    ),
    study(
        "receptive_field.towards_ends",
        "S-Enformer is the more affected by changes towards the ends of the input, Enformer by "
        "those towards the middle.",
        None,
        "",
        "Results, Figure 8",
    ),
    study_code(
        "receptive_field.code_two_bases",
        "A base is replaced by one of two others, never by the third.",
        2,
        "bases",
        "evaluation/receptive_field.py",
    ),
    Claim(
        "receptive_field.code_leading_blocks",
        "At Enformer's 1,536 tokens, 24 blocks, random blocks are drawn from this many leading "
        "blocks alone; its curves step at the edges of blocks, every 8,192 bp.",
        11,
        "blocks",
        "google-research/bigbird, core/attention.py, as the study uses it",
        "code",
        "https://github.com/google-research/bigbird",
    ),
    # Data and model
    setting("data.human_train", "Human training sequences.", 34_021, "", "Methods, Modelling data"),
    setting(
        "data.human_valid", "Human validation sequences.", 2_213, "", "Methods, Modelling data"
    ),
    setting("data.human_test", "Human test sequences.", 1_937, "", "Methods, Modelling data"),
    setting("data.mouse_train", "Mouse training sequences.", 29_295, "", "Methods, Modelling data"),
    setting(
        "data.mouse_valid", "Mouse validation sequences.", 2_209, "", "Methods, Modelling data"
    ),
    setting("data.mouse_test", "Mouse test sequences.", 2_017, "", "Methods, Modelling data"),
    setting(
        "data.human_dnase_atac", "Human DNase/ATAC tracks.", 684, "", "Methods, Modelling data"
    ),
    setting(
        "data.human_chip_histone",
        "Human histone ChIP tracks, those of H3 marks only.",
        1_860,
        "",
        "Methods, Modelling data",
    ),
    setting("data.human_chip_tf", "Human TF ChIP tracks.", 2_131, "", "Methods, Modelling data"),
    setting("data.human_cage", "Human CAGE tracks.", 638, "", "Methods, Modelling data"),
    setting(
        "model.random_tokens",
        "Tokens that a query attends to at random, three blocks of 64.",
        192,
        "tokens",
        "Methods, Sparse attention",
    ),
    Claim(
        "model.enformer_reach_bp",
        "Enformer integrates interactions up to this far away.",
        100_000,
        "bp",
        f"{AVSEC}, abstract",
        "elsewhere",
        AVSEC_URL,
    ),
)
"""Every published value that the report compares itself with."""
