"""A small table for every figure, and the figure of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import ArrayLike

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
MODELS = ("Enformer", "S-Enformer")


def cross(**columns: Iterable[object]) -> pd.DataFrame:
    """Make a table with a row for each combination of the columns' values."""
    return pd.DataFrame(itertools.product(*columns.values()), columns=list(columns))


def with_interval(
    frame: pd.DataFrame, column: str, value: ArrayLike, margin: float
) -> pd.DataFrame:
    """Add a column with an interval that extends equally far on both sides."""
    frame = frame.assign(**{column: value})
    low, high = frame[column] - margin, frame[column] + margin
    return frame.assign(**{f"{column}_low": low, f"{column}_high": high})


def scaling() -> pd.DataFrame:
    frame = cross(
        attention=("dense", "bigbird"),
        num_transformer_layers=(1, 11),
        sequence_length_bp=(131_072, 262_144),
        trainable=("attention", "all"),
    )
    size = frame["num_transformer_layers"] * frame["sequence_length_bp"]
    frame = frame.assign(
        channels=1536,
        peak_memory_gb=1.0 + size / 1e6,
        resident_memory_gb=1.0,
        step_seconds=size / 1e5,
        first_step_seconds=9.0,
        status="ok",
        message="",
        device="two cores",
    )
    is_largest = (frame["attention"] == "dense") & (frame["trainable"] == "all")
    is_largest &= size == size.max()
    frame.loc[is_largest, ["peak_memory_gb", "step_seconds"]] = np.nan
    frame.loc[is_largest, "status"] = "out_of_memory"
    return frame


def compiled_steps() -> pd.DataFrame:
    frame = cross(
        device=("rtx", "h"),
        code=("this package", "published"),
        attention=("dense", "bigbird"),
        num_transformer_layers=(1, 11),
        sequence_length_bp=(131_072, 262_144),
    )
    layers, length = frame["num_transformer_layers"], frame["sequence_length_bp"]
    seconds = {
        "operations_seconds": length / 1e6,
        "bytes_seconds": 0.1,
        "launches_seconds": layers / 50,
    }
    frame = frame.assign(
        channels=1536,
        trainable="attention",
        batch_size=1,
        compute_dtype="float32",
        device_label=frame["device"].str.upper(),
        device_memory_gb=24.0,
        status="compiled",
        peak_memory_gb=1.0 + layers * length / 1e6,
        kernels=100 * layers,
        **seconds,
    )
    return frame.assign(least_seconds=frame[list(seconds)].max(axis=1))


def finetuning() -> pd.DataFrame:
    models = ("S-Enformer", "S-Enformer, warm start")
    trained = cross(track_type=TYPES, model=models, step=(0, 10, 20))
    enformer = cross(track_type=TYPES, model=("Enformer",), step=(0,))
    frame = pd.concat([enformer, trained], ignore_index=True)
    return with_interval(frame, "pearson_r", np.linspace(0.2, 0.6, len(frame)), 0.1)


def correlation() -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = cross(sequence=range(20), track_type=TYPES)
    r = random.uniform(0.2, 0.8, len(frame))
    return frame.assign(enformer_pearson_r=r, senformer_pearson_r=r - 0.1 * random.random(len(r)))


def track_profiles() -> pd.DataFrame:
    tracks = ("CAGE:liver", "DNASE:liver")
    frame = cross(track=tracks, source=("experiment", *MODELS), bin=range(8))
    return frame.assign(value=np.arange(len(frame), dtype=float))


def input_gradients() -> pd.DataFrame:
    methods, positions_bp = ("gradient", "mutation"), (64, 192, 320)
    frame = cross(bin=(0, 7), model=MODELS, method=methods, position_bp=positions_bp)
    change = np.geomspace(1e-6, 1e-2, len(frame))
    return frame.assign(bin_start_bp=256 + 128 * frame["bin"], abs_change_of_mean=change)


def attention_pattern() -> pd.DataFrame:
    frame = cross(query_block=range(6), key_block=range(6))
    return frame.assign(num_heads=np.arange(36) % 9)


def receptive_field() -> pd.DataFrame:
    frame = cross(mutation_position_bp=(0, 511, 1023), model=MODELS, bin=range(4))
    change = np.geomspace(1e-6, 1e-2, len(frame))
    return frame.assign(bin_start_bp=256 + 128 * frame["bin"], abs_change=change)


def effect_by_position() -> pd.DataFrame:
    frame = pd.DataFrame({"mutation_position_bp": [0, 511, 1023]})
    effect = np.array([1e-5, 1e-3, 2e-5])
    return frame.assign(enformer_abs_change=effect, senformer_abs_change=effect[::-1])


def long_range_arena() -> pd.DataFrame:
    frame = cross(model=arena.MODEL_LOOKS, tokens=(1000, 2000, 4000))
    return frame.assign(
        speed_over_transformer=np.geomspace(0.5, 5, len(frame)),
        memory_over_transformer=np.geomspace(1, 0.1, len(frame)),
    )


def protocol_changes() -> pd.DataFrame:
    protocols = [("reference", "paper"), ("flanks", "zeros"), ("flanks", "none"), ("scale", "log")]
    frame = pd.DataFrame(protocols, columns=["choice", "option"])
    frame = frame.merge(pd.DataFrame({"track_type": TYPES}), how="cross")
    change = np.where(frame["choice"] == "reference", 0.0, np.linspace(-0.2, 0.1, len(frame)))
    frame = with_interval(frame, "pearson_r_change", change, 0.05)
    return frame.assign(is_study_choice=frame["option"] == "zeros")


def overprediction() -> pd.DataFrame:
    frame = cross(statistic=("mean", "median"), model=MODELS, track_type=TYPES)
    return with_interval(frame, "share_above", np.linspace(0.1, 0.9, len(frame)), 0.05)


def between_models() -> pd.DataFrame:
    frame = cross(source=("the study states", "measured here"), track_type=TYPES)
    frame = with_interval(frame, "pearson_r", np.linspace(0.1, 0.9, len(frame)), 0.05)
    share = frame["pearson_r"]
    return frame.assign(
        share_senformer_ahead=share, share_low=share - 0.05, share_high=share + 0.05
    )


def ratios_by_length() -> pd.DataFrame:
    panels, lengths_bp = ("float32", "bfloat16"), (131_072, 262_144)
    frame = cross(panel=panels, attention=("tiled", "bigbird"), sequence_length_bp=lengths_bp)
    return frame.assign(ratio=np.linspace(0.5, 1.2, len(frame)))


def growth() -> pd.DataFrame:
    frame = cross(panel=("attention", "all"), attention=("dense", "bigbird"))
    return frame.assign(exponent=np.linspace(1, 2, len(frame)))


def speed_ratios() -> pd.DataFrame:
    frame = cross(panel=("alone", "layer"), pair=("tiled as fast as dense", "bigbird as dense"))
    ratio = np.linspace(0.5, 4, len(frame))
    return frame.assign(ratio=ratio, ratio_low=0.9 * ratio, ratio_high=1.1 * ratio)


def share_reached() -> pd.DataFrame:
    frame = cross(line=MODELS, mutation_position_bp=(0, 511, 1023))
    return frame.assign(share=np.linspace(0, 1, len(frame)))


def accuracy_of_ablations() -> pd.DataFrame:
    path = [
        ("Enformer", "Enformer", 0.5),
        ("sparse pattern", "Enformer", 0.6),
        ("S-Enformer", "sparse pattern", 0.7),
    ]
    models = pd.DataFrame(path, columns=["model", "compared_with", "pearson_r"])
    moments = cross(measure=("CAGE", "CAGE over promoters"), when=("before", "after"))
    frame = moments.merge(models, how="cross")
    r = frame["pearson_r"]
    return frame.assign(pearson_r_low=r - 0.02, pearson_r_high=r + 0.03)


def drop_by_attention_lost() -> pd.DataFrame:
    rows = [("window alone", 0.6, 0.3), ("sparse pattern", 0.2, 0.1)]
    frame = pd.DataFrame(rows, columns=["model", "share_lost", "pearson_r_drop"])
    return with_interval(
        frame.assign(measure="CAGE"), "pearson_r_drop", frame["pearson_r_drop"], 0.02
    )


def accuracy_by_length() -> pd.DataFrame:
    rows = [("dense", 32_768, 0.7), ("dense", 65_536, 0.8), ("ceiling", 32_768, 0.75)]
    rows += [("ceiling", 65_536, 0.85), ("no enhancer", 0, 0.5)]
    frame = pd.DataFrame(rows, columns=["attention", "sequence_length_bp", "pearson_r"])
    return with_interval(frame.assign(measure="CAGE"), "pearson_r", frame["pearson_r"], 0.02)


def use_by_distance() -> pd.DataFrame:
    rows = [
        (kind, length_bp, nearest_bp, 2 * nearest_bp or 8_192, share, share - 0.1, share + 0.1)
        for kind, length_bp in (("dense", 32_768), ("ceiling", 32_768), ("no enhancer", 0))
        for nearest_bp, share in ((0, 0.9), (8_192, 0.5))
    ]
    columns = ["attention", "sequence_length_bp", "nearest_bp", "farthest_bp"]
    return pd.DataFrame(rows, columns=[*columns, "share_used", "share_low", "share_high"])


def attention_kept() -> pd.DataFrame:
    frame = cross(layer=(0, 1), head=(0, 1), nearest_bp=(0, 8_192))
    farthest_bp = np.where(frame["nearest_bp"] == 0, 8_192, np.inf)
    shares = {"share_of_attention": 0.5, "share_kept": 0.8, "share_kept_by_chance": 0.4}
    return frame.assign(farthest_bp=farthest_bp, **shares)


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
