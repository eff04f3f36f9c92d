"""The table of what the study of S-Enformer and the paper of Enformer state, each with its source.

Ask for one by its key: `senformer.report.published`.
"""

from __future__ import annotations

from dataclasses import dataclass

STUDY = "Currie 2022, currie32.github.io/s-enformer-website"
STUDY_CODE = "Currie 2022, github.com/Currie32/s-enformer, commit d273c32"
AVSEC = "Avsec et al. 2021, Nature Methods, doi 10.1038/s41592-021-01252-x"
OURS = "this project, on the published code (TensorFlow's CPU allocator, two cores)"

CODE_LENGTHS_BP = (131_072, 262_144, 393_216)
"""Lengths at which the published code's memory was measured by this project."""

TRACK_TYPE_NAMES = {
    "dnase_atac": "DNase/ATAC",
    "chip_histone": "Histone ChIP",
    "chip_tf": "TF ChIP",
    "cage": "CAGE",
}
"""The study's names of track types, and ours."""


@dataclass(frozen=True)
class Claim:
    """One thing that a publication states.

    Attributes:
        key: a short name, `topic.what`, by which prose and tests ask for it.
        statement: the claim in a sentence of ours.
        value: its number, or None where the source gives words only.
        unit: the number's unit, empty where it has none.
        source: who states it and where.
    """

    key: str
    statement: str
    value: float | None
    unit: str
    source: str


_MODELS = {"dense": "self-attention model", "bigbird": "S-Enformer"}


def _study(key: str, statement: str, value: float | None, unit: str, where: str) -> Claim:
    return Claim(key, statement, value, unit, f"{STUDY}, {where}")


def _study_code(key: str, statement: str, value: float | None, unit: str, file: str) -> Claim:
    return Claim(key, statement, value, unit, f"{STUDY_CODE}, {file}")


def _ours(key: str, statement: str, value: float | None, unit: str) -> Claim:
    return Claim(key, statement, value, unit, OURS)


def _code_peaks() -> list[Claim]:
    peaks_gb = {"dense": (3.01, 5.48, 8.73), "bigbird": (4.37, 6.89, 9.48)}
    return [
        _ours(
            f"memory.code_{attention}_{length}bp_gb",
            f"Peak memory of a training step of the published {_MODELS[attention]} at {length:,} "
            "bp (11 layers, 1,536 channels, batch 1).",
            peak_gb,
            "GB",
        )
        for attention, of_length in peaks_gb.items()
        for length, peak_gb in zip(CODE_LENGTHS_BP, of_length, strict=True)
    ]


def _code_layer_seconds() -> list[Claim]:
    seconds = {"dense": {1536: 0.84, 6144: 10.9}, "bigbird": {1536: 1.62, 6144: 5.9}}
    return [
        _ours(
            f"runtime.code_{attention}_layer_{tokens}tokens_seconds",
            f"One attention layer of the published {_MODELS[attention]}, forward and backward, at "
            f"{tokens:,} tokens.",
            value,
            "s",
        )
        for attention, of_tokens in seconds.items()
        for tokens, value in of_tokens.items()
    ]


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
            _study(
                f"correlation.{name}_pearson_r",
                f"Per-sequence accuracies of both models correlate over {track_type} tracks.",
                r,
                "",
                "Figure 6",
            ),
            _study(
                f"correlation.{name}_ahead_percent",
                f"S-Enformer is ahead in this share of sequences, {track_type} tracks.",
                ahead_percent,
                "%",
                "Figure 6",
            ),
        ]
    return claims


CLAIMS: tuple[Claim, ...] = (
    # Memory
    _study("memory.budget_gb", "The study's graphics card has 24 GB.", 24, "GB", "Results"),
    _study(
        "memory.dense_out_of_memory_bp",
        "Self-attention runs out of 24 GB at this input length.",
        589_824,
        "bp",
        "Results, Figure 1",
    ),
    _study(
        "memory.bigbird_trains_bp",
        "Sparse attention trains at this input length within 24 GB.",
        786_432,
        "bp",
        "Results, Figure 1",
    ),
    _study(
        "memory.crossover_bp",
        "Below about this input length self-attention needs less memory than sparse attention.",
        300_000,
        "bp",
        "Results, Figure 2",
    ),
    _study(
        "memory.growth",
        "Memory grows with the square of the length with self-attention, linearly with sparse "
        "attention.",
        None,
        "",
        "Results, Figure 1",
    ),
    _study(
        "memory.per_layer",
        "A layer of sparse attention at 786,432 bp needs less memory than one of self-attention at "
        "393,216 bp.",
        None,
        "",
        "Results, Figure 2",
    ),
    _study(
        "memory.num_steps",
        "Memory is the mean of the peaks of this many training steps, batch 1.",
        10,
        "steps",
        "Methods, Memory usage and training speed",
    ),
    *_code_peaks(),
    _ours(
        "memory.code_dense_resident_gb",
        "Of the published self-attention model's peak, weights and optimiser, every attention "
        "variable trained (the study trained its two position biases only).",
        1.7,
        "GB",
    ),
    _ours(
        "memory.code_bigbird_resident_gb",
        "Of the published S-Enformer's peak, weights and optimiser.",
        2.1,
        "GB",
    ),
    _study_code(
        "memory.code_frozen_trunk",
        "The list of variables to train is read before any but the attention's exist, so the "
        "convolutions are frozen in every measurement of memory and time.",
        None,
        "",
        "evaluation/memory_and_speed.py",
    ),
    # Runtime
    _study(
        "runtime.slower",
        "At many of the lengths a training step is slower with sparse attention, with 1 layer as "
        "with 11.",
        None,
        "",
        "Results, Figure 3",
    ),
    _study(
        "runtime.long_range_arena_tokens",
        "In the Long-Range Arena, BigBird trains slower than full attention up to about this "
        "length, and is the second slowest of eight efficient transformers.",
        3_000,
        "tokens",
        "Results, citing Tay et al. 2020, arXiv 2011.04006",
    ),
    _study_code(
        "runtime.code_times_tracing",
        "The time of a step is the mean of the first ten, the first one's tracing included, each "
        "with a human and a mouse batch.",
        None,
        "",
        "evaluation/memory_and_speed.py",
    ),
    *_code_layer_seconds(),
    _ours(
        "runtime.code_dense_step_131072bp_seconds",
        "A training step of the published self-attention model at 131,072 bp (11 layers, batch 1).",
        67,
        "s",
    ),
    # Reproduction
    _study(
        "reproduction.chip_tf_deficit",
        "Enformer's r for TF ChIP tracks came out lower than published by this much, the largest "
        "difference.",
        0.129,
        "",
        "Results, Figure 4",
    ),
    _study(
        "reproduction.cage_deficit",
        "Enformer's r for CAGE tracks came out lower than published by this much, the smallest "
        "difference.",
        0.021,
        "",
        "Results, Figure 4",
    ),
    _study_code(
        "reproduction.code_pools_tracks",
        "The published evaluation drops the batch axis before DeepMind's metric, which then takes "
        "one r over all sequences, bins and tracks of a type together, in float32; Enformer's "
        "paper takes r of each track and then the mean.",
        None,
        "",
        "evaluation/correlation_performance.py",
    ),
    Claim(
        "reproduction.deepmind_issue_402",
        "Another user got this mean r on the validation set with DeepMind's weights.",
        0.0384,
        "",
        "github.com/google-deepmind/deepmind-research, issue 402",
    ),
    Claim(
        "reproduction.borzoi_issue_43_paper",
        "The test accuracy of Enformer that DeepMind's weights give, as a user reports.",
        0.6681,
        "",
        "github.com/calico/borzoi, issue 43",
    ),
    Claim(
        "reproduction.borzoi_issue_43_retrained",
        "The test accuracy that the same user got from training Enformer anew.",
        0.60,
        "",
        "github.com/calico/borzoi, issue 43",
    ),
    Claim(
        "reproduction.enformer_pytorch_validation",
        "Enformer's mean r on human validation data in enformer-pytorch.",
        0.625,
        "",
        "github.com/lucidrains/enformer-pytorch, issue 9",
    ),
    Claim(
        "reproduction.enformer_pytorch_test",
        "Enformer's mean r on human test data in enformer-pytorch.",
        0.65,
        "",
        "github.com/lucidrains/enformer-pytorch, issue 9",
    ),
    Claim(
        "reproduction.enformer_pytorch_across_tracks",
        "On its one test sample, r across tracks, which its test took for r along the sequence.",
        0.5963,
        "",
        "github.com/lucidrains/enformer-pytorch, issue 36",
    ),
    Claim(
        "reproduction.enformer_pytorch_along_sequence",
        "On the same sample, r along the sequence.",
        0.4721,
        "",
        "github.com/lucidrains/enformer-pytorch, issue 36",
    ),
    # Fine-tuning
    _study(
        "finetuning.num_steps",
        "S-Enformer was trained for this many steps, only its attention layers.",
        25_000,
        "steps",
        "Methods, Model training",
    ),
    _study("finetuning.batch_size", "Its batch size.", 5, "", "Methods, Model training"),
    _study("finetuning.days", "How long that took.", 3, "days", "Methods, Model training"),
    _study(
        "finetuning.learning_rate",
        "Its learning rate, constant, with Adam.",
        1e-4,
        "",
        "Methods, Model training",
    ),
    _study_code(
        "finetuning.gradient_clip",
        "The gradient of each variable is clipped to this norm.",
        1.0,
        "",
        "utils/training.py",
    ),
    _study_code(
        "finetuning.stored_bp",
        "Stored sequences of this length are padded with zeros to 196,608 bp.",
        131_072,
        "bp",
        "utils/training.py",
    ),
    _study(
        "finetuning.parity",
        "After training S-Enformer is below Enformer for all four track types, still improving.",
        None,
        "",
        "Results, Figure 5",
    ),
    _study(
        "finetuning.enformer_num_steps",
        "Enformer itself was trained for this many steps, batch 64, on 64 TPU v3 cores in about "
        "three days.",
        150_000,
        "steps",
        "Results, citing Avsec et al. 2021",
    ),
    # Correlation
    *_per_sequence_claims(),
    _study(
        "correlation.num_sequences_stated",
        "How many test sequences the comparison is said to use.",
        1_939,
        "sequences",
        "Methods, Measuring the correlation of predictions",
    ),
    _study(
        "correlation.num_sequences_stored",
        "How many sequences its stored results hold.",
        1_413,
        "sequences",
        "its results, correlation_per_sequence.csv",
    ),
    _study(
        "correlation.text_averages_tracks",
        "r of each track in a sequence, averaged over the tracks of a type, is what is compared.",
        None,
        "",
        "Methods, Measuring the correlation of predictions",
    ),
    _study_code(
        "correlation.code_pools_tracks",
        "The code takes one r per sequence and type over bins and tracks together, not a mean over "
        "tracks.",
        None,
        "",
        "evaluation/correlation_between_models.py",
    ),
    _study(
        "correlation.overprediction",
        "Both models tend to predict a higher mean and median than was measured.",
        None,
        "",
        "Results, Figure 7",
    ),
    # Receptive field
    _study(
        "receptive_field.num_positions",
        "Positions at which a base is changed, evenly spaced.",
        9,
        "",
        "Methods, Receptive field",
    ),
    _study(
        "receptive_field.num_sequences",
        "Random sequences per position.",
        100,
        "",
        "Methods, Receptive field",
    ),
    _study(
        "receptive_field.full",
        "A change of any base changes the prediction of every bin, in both models.",
        None,
        "",
        "Results, Figure 8",
    ),
    _study(
        "receptive_field.shape",
        "Changes at the ends of the input move S-Enformer's predictions more and more evenly than "
        "Enformer's; changes near the middle give both a peak, off which S-Enformer falls faster.",
        None,
        "",
        "Results, Figure 8",
    ),
    _study_code(
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
    ),
    # Data and model
    _study("data.human_train", "Human training sequences.", 34_021, "", "Methods, Modelling data"),
    _study("data.human_valid", "Human validation sequences.", 2_213, "", "Methods, Modelling data"),
    _study("data.human_test", "Human test sequences.", 1_937, "", "Methods, Modelling data"),
    _study("data.mouse_train", "Mouse training sequences.", 29_295, "", "Methods, Modelling data"),
    _study("data.mouse_valid", "Mouse validation sequences.", 2_209, "", "Methods, Modelling data"),
    _study("data.mouse_test", "Mouse test sequences.", 2_017, "", "Methods, Modelling data"),
    _study("data.human_dnase_atac", "Human DNase/ATAC tracks.", 684, "", "Methods, Modelling data"),
    _study(
        "data.human_chip_histone",
        "Human histone ChIP tracks, those of H3 marks only.",
        1_860,
        "",
        "Methods, Modelling data",
    ),
    _study("data.human_chip_tf", "Human TF ChIP tracks.", 2_131, "", "Methods, Modelling data"),
    _study("data.human_cage", "Human CAGE tracks.", 638, "", "Methods, Modelling data"),
    _study(
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
    ),
)
"""Every published value that the report compares itself with."""
