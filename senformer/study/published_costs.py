"""What the study states of memory and time, and what its published code was measured to take.

Ask for one by its key: `senformer.study.published`.
"""

from __future__ import annotations

from senformer.study.published_sources import Claim, ours, setting, study, study_code

CODE_LENGTHS_BP = (131_072, 262_144, 393_216)
"""Lengths at which the published code's memory was measured by this project."""

_MODELS = {"dense": "self-attention model", "bigbird": "S-Enformer"}


def _code_peaks() -> list[Claim]:
    peaks_gb = {"dense": (3.01, 5.48, 8.73), "bigbird": (4.37, 6.89, 9.48)}
    return [
        ours(
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
        ours(
            f"runtime.code_{attention}_layer_{tokens}tokens_seconds",
            f"One attention layer of the published {_MODELS[attention]}, forward and backward, at "
            f"{tokens:,} tokens.",
            value,
            "s",
        )
        for attention, of_tokens in seconds.items()
        for tokens, value in of_tokens.items()
    ]


COSTS: tuple[Claim, ...] = (
    # Memory
    setting("memory.budget_gb", "The study's graphics card has 24 GB.", 24, "GB", "Results"),
    study(
        "memory.dense_out_of_memory_bp",
        "Self-attention runs out of 24 GB at this input length.",
        589_824,
        "bp",
        "Results, Figure 1",
    ),
    study(
        "memory.bigbird_trains_bp",
        "Sparse attention trains at this input length within 24 GB.",
        786_432,
        "bp",
        "Results, Figure 1",
    ),
    study(
        "memory.crossover_bp",
        "Below about this input length self-attention needs less memory than sparse attention.",
        300_000,
        "bp",
        "Results, Figure 2",
    ),
    study(
        "memory.growth",
        "Memory grows with the square of the length with self-attention, linearly with sparse "
        "attention.",
        None,
        "",
        "Results, Figure 1",
    ),
    study(
        "memory.per_layer",
        "A layer of sparse attention at 786,432 bp needs less memory than one of self-attention at "
        "393,216 bp.",
        None,
        "",
        "Results, Figure 2",
    ),
    setting(
        "memory.num_steps",
        "Memory is the mean of the peaks of this many training steps, batch 1.",
        10,
        "steps",
        "Methods, Memory usage and training speed",
    ),
    *_code_peaks(),
    ours(
        "memory.code_dense_resident_gb",
        "Of the published self-attention model's peak, weights and optimiser, every attention "
        "variable trained (the study trained its two position biases only).",
        1.7,
        "GB",
    ),
    ours(
        "memory.code_bigbird_resident_gb",
        "Of the published S-Enformer's peak, weights and optimiser.",
        2.1,
        "GB",
    ),
    study_code(
        "memory.code_frozen_trunk",
        "The list of variables to train is read before any but the attention's exist, so the "
        "convolutions are frozen in every measurement of memory and time.",
        None,
        "",
        "evaluation/memory_and_speed.py",
    ),
    # Runtime
    study(
        "runtime.slower",
        "At many of the lengths a training step is slower with sparse attention, with 1 layer as "
        "with 11.",
        None,
        "",
        "Results, Figure 3",
    ),
    study(
        "runtime.long_range_arena_tokens",
        "In the Long-Range Arena, BigBird trains slower than full attention until the input is "
        "longer than this.",
        3_000,
        "tokens",
        "Results, citing Tay et al. 2020, arXiv 2011.04006",
    ),
    study(
        "runtime.long_range_arena_rank",
        "In the Long-Range Arena, BigBird is the second slowest of eight efficient transformers.",
        None,
        "",
        "Results, citing Tay et al. 2020, arXiv 2011.04006",
    ),
    study(
        "runtime.linear_memory_costs_time",
        "Performer and Reformer, too, train slower than full attention until the input is of a "
        "sufficient size.",
        None,
        "",
        "Results, Memory usage and runtime trade-off",
    ),
    study_code(
        "runtime.code_times_tracing",
        "The time of a step is the mean of the first ten, the first one's tracing included, each "
        "with a human and a mouse batch.",
        None,
        "",
        "evaluation/memory_and_speed.py",
    ),
    *_code_layer_seconds(),
    ours(
        "runtime.code_dense_step_131072bp_seconds",
        "A training step of the published self-attention model at 131,072 bp (11 layers, batch 1).",
        67,
        "s",
    ),
)
"""Claims about memory and time."""
