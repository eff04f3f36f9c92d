"""A small table for every figure, and the figure of it."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from senformer.evaluation.per_sequence import compare_per_sequence
from senformer.report import gpu_steps
from senformer.report.figures import (
    ablation_accuracy,
    accuracy,
    arena,
    cost,
    distance,
    gpu_cost,
    ratios,
    reach,
)

TYPES = ("DNase/ATAC", "Histone ChIP", "TF ChIP", "CAGE")


def scaling() -> pd.DataFrame:
    rows = [
        {
            "attention": kind,
            "num_transformer_layers": layers,
            "channels": 1536,
            "sequence_length_bp": length,
            "trainable": trainable,
            "peak_memory_gb": 1.0 + layers * length / 1e6,
            "resident_memory_gb": 1.0,
            "step_seconds": layers * length / 1e5,
            "first_step_seconds": 9.0,
            "status": "ok",
            "message": "",
            "device": "two cores",
        }
        for kind, layers, length, trainable in itertools.product(
            ("dense", "bigbird"), (1, 11), (131_072, 262_144), ("attention", "all")
        )
    ]
    frame = pd.DataFrame(rows)
    longest = (frame["attention"] == "dense") & (frame["sequence_length_bp"] == 262_144)
    lost = longest & (frame["num_transformer_layers"] == 11) & (frame["trainable"] == "all")
    frame.loc[lost, ["peak_memory_gb", "step_seconds"]] = np.nan
    frame.loc[lost, "status"] = "out_of_memory"
    return frame


def compiled_steps() -> pd.DataFrame:
    rows = [
        {
            "attention": kind,
            "num_transformer_layers": layers,
            "channels": 1536,
            "sequence_length_bp": length,
            "trainable": "attention",
            "batch_size": 1,
            "compute_dtype": "float32",
            "code": code,
            "device": device,
            "device_label": device.upper(),
            "device_memory_gb": 24.0,
            "status": "compiled",
            "peak_memory_gb": 1.0 + layers * length / 1e6,
            "kernels": 100 * layers,
            "operations_seconds": length / 1e6,
            "bytes_seconds": 0.1,
            "launches_seconds": layers / 50,
            "least_seconds": max(length / 1e6, 0.1, layers / 50),
        }
        for device, code, kind, layers, length in itertools.product(
            ("rtx", "h"),
            ("this package", "published"),
            ("dense", "bigbird"),
            (1, 11),
            (131_072, 262_144),
        )
    ]
    return pd.DataFrame(rows)


def finetuning() -> pd.DataFrame:
    rows = itertools.product(TYPES, ("S-Enformer", "S-Enformer, warm start"), (0, 10, 20))
    trained = pd.DataFrame(rows, columns=["track_type", "model", "step"])
    enformer = pd.DataFrame({"track_type": TYPES, "model": "Enformer", "step": 0})
    frame = pd.concat([enformer, trained], ignore_index=True)
    r = np.linspace(0.2, 0.6, len(frame))
    return frame.assign(pearson_r=r, pearson_r_low=r - 0.1, pearson_r_high=r + 0.1)


def correlation() -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(itertools.product(range(20), TYPES), columns=["sequence", "track_type"])
    r = random.uniform(0.2, 0.8, len(frame))
    return frame.assign(enformer_pearson_r=r, senformer_pearson_r=r - 0.1 * random.random(len(r)))


def track_profiles() -> pd.DataFrame:
    rows = itertools.product(
        ("CAGE:liver", "DNASE:liver"), ("experiment", "Enformer", "S-Enformer"), range(8)
    )
    frame = pd.DataFrame(rows, columns=["track", "source", "bin"])
    return frame.assign(value=np.arange(len(frame), dtype=float))


def input_gradients() -> pd.DataFrame:
    rows = itertools.product(
        (0, 7), ("Enformer", "S-Enformer"), ("gradient", "mutation"), (64, 192, 320)
    )
    frame = pd.DataFrame(rows, columns=["bin", "model", "method", "position_bp"])
    return frame.assign(
        bin_start_bp=256 + 128 * frame["bin"],
        abs_change_of_mean=np.geomspace(1e-6, 1e-2, len(frame)),
    )


def attention_pattern() -> pd.DataFrame:
    rows = itertools.product(range(6), range(6))
    frame = pd.DataFrame(rows, columns=["query_block", "key_block"])
    return frame.assign(num_heads=np.arange(36) % 9)


def receptive_field() -> pd.DataFrame:
    rows = itertools.product((0, 511, 1023), ("Enformer", "S-Enformer"), range(4))
    frame = pd.DataFrame(rows, columns=["mutation_position_bp", "model", "bin"])
    return frame.assign(
        bin_start_bp=256 + 128 * frame["bin"], abs_change=np.geomspace(1e-6, 1e-2, len(frame))
    )


def effect_by_position() -> pd.DataFrame:
    effect = np.array([1e-5, 1e-3, 2e-5])
    return pd.DataFrame(
        {
            "mutation_position_bp": [0, 511, 1023],
            "enformer_abs_change": effect,
            "senformer_abs_change": effect[::-1],
        }
    )


def long_range_arena() -> pd.DataFrame:
    rows = itertools.product(arena.MODEL_LOOKS, (1000, 2000, 4000))
    frame = pd.DataFrame(rows, columns=["model", "tokens"])
    return frame.assign(
        speed_over_transformer=np.geomspace(0.5, 5, len(frame)),
        memory_over_transformer=np.geomspace(1, 0.1, len(frame)),
    )


def protocol_changes() -> pd.DataFrame:
    protocols = [("reference", "paper"), ("flanks", "zeros"), ("flanks", "none"), ("scale", "log")]
    frame = pd.DataFrame(
        [(*protocol, track_type) for protocol in protocols for track_type in TYPES],
        columns=["choice", "option", "track_type"],
    )
    is_reference = frame["choice"] == "reference"
    change = np.linspace(-0.2, 0.1, len(frame))
    change = np.where(is_reference, 0.0, change)
    return frame.assign(
        pearson_r_change=change,
        pearson_r_change_low=change - 0.05,
        pearson_r_change_high=change + 0.05,
        is_study_choice=frame["option"] == "zeros",
    )


def overprediction() -> pd.DataFrame:
    rows = itertools.product(("mean", "median"), ("Enformer", "S-Enformer"), TYPES)
    frame = pd.DataFrame(rows, columns=["statistic", "model", "track_type"])
    share = np.linspace(0.1, 0.9, len(frame))
    return frame.assign(
        share_above=share, share_above_low=share - 0.05, share_above_high=share + 0.05
    )


def between_models() -> pd.DataFrame:
    rows = itertools.product(("the study states", "measured here"), TYPES)
    frame = pd.DataFrame(rows, columns=["source", "track_type"])
    value = np.linspace(0.1, 0.9, len(frame))
    return frame.assign(
        pearson_r=value,
        pearson_r_low=value - 0.05,
        pearson_r_high=value + 0.05,
        share_senformer_ahead=value,
        share_low=value - 0.05,
        share_high=value + 0.05,
    )


def ratios_by_length() -> pd.DataFrame:
    rows = itertools.product(("float32", "bfloat16"), ("tiled", "bigbird"), (131_072, 262_144))
    frame = pd.DataFrame(rows, columns=["panel", "attention", "sequence_length_bp"])
    return frame.assign(ratio=np.linspace(0.5, 1.2, len(frame)))


def growth() -> pd.DataFrame:
    rows = itertools.product(("attention", "all"), ("dense", "bigbird"))
    frame = pd.DataFrame(rows, columns=["panel", "attention"])
    return frame.assign(exponent=np.linspace(1, 2, len(frame)))


def speed_ratios() -> pd.DataFrame:
    rows = itertools.product(("alone", "layer"), ("tiled as fast as dense", "bigbird as dense"))
    frame = pd.DataFrame(rows, columns=["panel", "pair"])
    ratio = np.linspace(0.5, 4, len(frame))
    return frame.assign(ratio=ratio, ratio_low=0.9 * ratio, ratio_high=1.1 * ratio)


def share_reached() -> pd.DataFrame:
    rows = itertools.product(("Enformer", "S-Enformer"), (0, 511, 1023))
    frame = pd.DataFrame(rows, columns=["line", "mutation_position_bp"])
    return frame.assign(share=np.linspace(0, 1, len(frame)))


def accuracy_of_ablations() -> pd.DataFrame:
    rows = [
        {"model": model, "compared_with": of, "when": when, "measure": measure, "pearson_r": r}
        for measure in ("CAGE", "CAGE over promoters")
        for when in ("before", "after")
        for model, of, r in (
            ("Enformer", "Enformer", 0.5),
            ("sparse pattern", "Enformer", 0.6),
            ("S-Enformer", "sparse pattern", 0.7),
        )
    ]
    frame = pd.DataFrame(rows)
    return frame.assign(
        pearson_r_low=frame["pearson_r"] - 0.02, pearson_r_high=frame["pearson_r"] + 0.03
    )


def drop_by_attention_lost() -> pd.DataFrame:
    rows = [("window alone", 0.6, 0.3), ("sparse pattern", 0.2, 0.1)]
    frame = pd.DataFrame(rows, columns=["model", "share_lost", "pearson_r_drop"])
    return frame.assign(
        measure="CAGE",
        pearson_r_drop_low=frame["pearson_r_drop"] - 0.02,
        pearson_r_drop_high=frame["pearson_r_drop"] + 0.03,
    )


def accuracy_by_length() -> pd.DataFrame:
    rows = [("dense", 32_768, 0.7), ("dense", 65_536, 0.8), ("ceiling", 32_768, 0.75)]
    rows += [("ceiling", 65_536, 0.85), ("no enhancer", 0, 0.5)]
    frame = pd.DataFrame(rows, columns=["attention", "sequence_length_bp", "pearson_r"])
    return frame.assign(
        measure="CAGE",
        pearson_r_low=frame["pearson_r"] - 0.02,
        pearson_r_high=frame["pearson_r"] + 0.03,
    )


def use_by_distance() -> pd.DataFrame:
    rows = [
        (kind, length_bp, nearest_bp, 2 * nearest_bp or 8_192, share)
        for kind, length_bp in (("dense", 32_768), ("ceiling", 32_768), ("no enhancer", 0))
        for nearest_bp, share in ((0, 0.9), (8_192, 0.5))
    ]
    columns = ["attention", "sequence_length_bp", "nearest_bp", "farthest_bp", "share_used"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(share_low=frame["share_used"] - 0.1, share_high=frame["share_used"] + 0.1)


def attention_kept() -> pd.DataFrame:
    rows = [
        (layer, head, nearest_bp, farthest_bp, 0.5, 0.8, 0.4)
        for layer in (0, 1)
        for head in (0, 1)
        for nearest_bp, farthest_bp in ((0, 8_192), (8_192, np.inf))
    ]
    columns = ["layer", "head", "nearest_bp", "farthest_bp", "share_of_attention", "share_kept"]
    return pd.DataFrame(rows, columns=[*columns, "share_kept_by_chance"])


FIGURES = {
    "memory": (cost.memory, scaling),
    "runtime": (cost.runtime, scaling),
    "compiled_memory": (gpu_cost.compiled_memory, compiled_steps),
    "layer_memory": (
        gpu_cost.layer_memory,
        lambda: gpu_steps.memory_per_layer(compiled_steps()),
    ),
    "kernels_and_time": (gpu_cost.kernels_and_time, compiled_steps),
    "step_time": (gpu_cost.step_time, lambda: compiled_steps().assign(step_seconds=0.1)),
    "finetuning": (accuracy.finetuning, finetuning),
    "finetuned": (
        accuracy.finetuned,
        lambda: finetuning().groupby(["model", "track_type"]).last().reset_index(),
    ),
    "correlation": (
        lambda frame: accuracy.correlation(frame, compare_per_sequence(correlation())),
        correlation,
    ),
    "track_profiles": (accuracy.track_profiles, track_profiles),
    "protocol_changes": (accuracy.protocol_changes, protocol_changes),
    "overprediction": (accuracy.overprediction, overprediction),
    "between_models": (accuracy.between_models, between_models),
    "input_gradients": (reach.input_gradients, input_gradients),
    "attention_pattern": (reach.attention_pattern, attention_pattern),
    "receptive_field": (reach.receptive_field, receptive_field),
    "effect_by_position": (reach.effect_by_position, effect_by_position),
    "share_reached": (reach.share_reached, share_reached),
    "speed_and_memory": (arena.speed_and_memory, long_range_arena),
    "accuracy_of_ablations": (ablation_accuracy.accuracy_of_ablations, accuracy_of_ablations),
    "drop_by_attention_lost": (ablation_accuracy.drop_by_attention_lost, drop_by_attention_lost),
    "accuracy_by_length": (distance.accuracy_by_length, accuracy_by_length),
    "use_by_distance": (distance.use_by_distance, use_by_distance),
    "attention_kept": (distance.attention_kept, attention_kept),
    "ratios_by_length": (
        lambda frame: ratios.ratios_by_length(frame, title="memory over that of dense"),
        ratios_by_length,
    ),
    "growth": (lambda frame: ratios.growth(frame, title="power of the length"), growth),
    "speed_ratios": (ratios.speed_ratios, speed_ratios),
}
"""By name: the function that draws the figure, and one that makes a table for it."""


def draw(name: str) -> go.Figure:
    drawn, table = FIGURES[name]
    return drawn(table())


def axes(figure: go.Figure, letter: str) -> list[go.layout.XAxis | go.layout.YAxis]:
    found = figure.select_xaxes() if letter == "x" else figure.select_yaxes()
    return list(found)


def count_points(figure: go.Figure) -> int:
    """Count the marks that stand for a row; entries of the legend and references have no hover."""
    return sum(len(trace.x) for trace in figure.data if trace.hovertext is not None)
