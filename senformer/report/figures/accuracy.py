"""How well models predict: by training step, track type, protocol, sequence and position."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from senformer.attention_kinds import attention_kind
from senformer.config import BIN_SIZE_BP
from senformer.report.figures import builders as draw
from senformer.report.figures.style import (
    FAINT_COLOR,
    NEUTRAL_COLOR,
    TRACK_TYPE_LOOKS,
    Look,
    model_looks,
    thin_line,
)
from senformer.report.row_labels import EXPERIMENT

_R = ("pearson_r", "pearson_r_low", "pearson_r_high")
_R_CHANGE = ("pearson_r_change", "pearson_r_change_low", "pearson_r_change_high")
_SHARE_ABOVE = ("share_above", "share_above_low", "share_above_high")
_SHARE_AHEAD = ("share_senformer_ahead", "share_low", "share_high")

_SOURCE_MARKS = (
    (NEUTRAL_COLOR, "circle-open-dot"),
    (NEUTRAL_COLOR, "circle-open"),
    (attention_kind("bigbird").color, "diamond"),
    (attention_kind("dense").color, "circle"),
)
"""Colour and marker of each source: published ones are grey, ones measured here are not."""


@draw.study_figure(
    4, "what each choice in the evaluation changes", "reproduction", "reproduction.csv"
)
@draw.figure("choice", "option", "track_type", *_R_CHANGE, "is_study_choice")
def protocol_changes(frame: pd.DataFrame) -> go.Figure:
    """Draw how each choice in the evaluation protocol changes Pearson's r.

    Change in Pearson's r from the reference protocol when one choice of the evaluation is changed,
    and when all of the study's are, by track type; filled marks are the study's choices.

    The figure shows which choices explain the study's Figure 4.

    Args:
        frame: One row per protocol and track type, from `protocol_comparison`: choice, option,
            track_type, pearson_r_change (from the reference) with its interval,
            pearson_r_change_low and _high, and is_study_choice. The line at zero stands for the
            reference. Options that the study chose have filled marks.
    """
    types = draw.present_track_types(frame)
    changes = frame[frame["choice"] != "reference"]
    protocols = changes["choice"] + ": " + changes["option"]
    labels = {name: draw.wrap(name, 24) for name in dict.fromkeys(protocols)}
    looks = {name: TRACK_TYPE_LOOKS[name]._replace(mode="markers") for name in types}
    fig = draw.dots(
        [draw.Panel("", changes, _R_CHANGE)],
        draw.Series("track_type", looks),
        draw.Categories(lambda rows: protocols[rows.index], labels, is_spread=True),
        row_px=46,
        panel_px=max(220, 46 * len(labels)),
    )
    fig.update_yaxes(showgrid=False, zeroline=False)
    fig.add_vline(0, line=thin_line(NEUTRAL_COLOR, "dot"))
    choices = changes.drop_duplicates(["choice", "option"])["choice"].to_numpy()
    for place in np.flatnonzero(choices[1:] != choices[:-1]):
        fig.add_hline(place + 0.5, line=thin_line(FAINT_COLOR, "solid"))
    for name in types:
        look = TRACK_TYPE_LOOKS[name]
        is_filled = changes.loc[changes["track_type"] == name, "is_study_choice"]
        symbols = [look.symbol if filled else f"{look.symbol}-open" for filled in is_filled]
        line = {"width": 1.5, "color": look.color}
        fig.update_traces(marker={"symbol": symbols, "line": line}, selector={"legendgroup": name})
    draw.title_stack_axes(fig, x="change in Pearson's r from the reference")
    return fig


@draw.study_figure(5, "accuracy after training", "finetuning", "finetuning_held_out.csv")
@draw.figure("model", "track_type", *_R)
def finetuned(frame: pd.DataFrame) -> go.Figure:
    """Draw accuracy after training by track type (the study's Figure 5a).

    Pearson's r of each model after training, by track type.

    Args:
        frame: One row per model and track type: model, track_type, pearson_r and its interval,
            pearson_r_low and pearson_r_high.
    """
    frame = frame[frame["track_type"].isin(draw.present_track_types(frame))]
    fig = draw.dots(
        [draw.Panel("", frame, _R)],
        draw.Series("model", model_looks(frame["model"], size=12, mode="markers")),
        draw.track_type_categories(frame),
        row_px=50,
    )
    draw.title_stack_axes(fig, x="Pearson's r")
    return fig


@draw.study_figure(5, "accuracy during training", "finetuning", "finetuning.csv")
@draw.figure("step", "model", "track_type", *_R)
def finetuning(frame: pd.DataFrame) -> go.Figure:
    """Draw accuracy over training steps (the study's Figure 5b).

    Pearson's r on held-out sequences against training step, one panel per track type, one line per
    model.

    Args:
        frame: One row per evaluation: step (training steps done), model, track_type, pearson_r and
            its interval, pearson_r_low and pearson_r_high. A model with a single step, which was
            not trained here, is a dashed horizontal line.
    """
    types = draw.present_track_types(frame)
    fig, places = draw.panel_grid(types, panel_px=220, shared_xaxes="all")
    ends = [frame["step"].min(), frame["step"].max()]
    for track_type, place in zip(types, places, strict=True):
        of_type = frame[frame["track_type"] == track_type]
        for model, look in model_looks(frame["model"], size=7).items():
            rows = of_type[of_type["model"] == model].sort_values("step")
            if len(rows) > 1:
                y, error_y = rows["pearson_r"], draw.whiskers(rows, _R)
                draw.add_series(fig, rows, look, place=place, x=rows["step"], y=y, error_y=error_y)
            elif len(rows) == 1:
                rows = pd.concat([rows, rows])
                look = look._replace(dash="dash", mode="lines")
                draw.add_series(fig, rows, look, place=place, x=ends, y=rows["pearson_r"])
    draw.title_grid_axes(fig, places, x="training step", y="Pearson's r")
    return fig


@draw.study_figure(6, "both models sequence by sequence", "correlation", "correlation.csv")
@draw.figure("sequence", "track_type", "enformer_pearson_r", "senformer_pearson_r")
def correlation(frame: pd.DataFrame, compared: pd.DataFrame) -> go.Figure:
    """Draw the accuracy of both models by sequence (the study's Figure 6).

    Per-sequence Pearson's r of S-Enformer against Enformer, one panel per track type, with the
    fitted line and the line of equality.

    A panel's title gives r between the models and the share of sequences where S-Enformer is ahead.
    The solid line is the least-squares fit; on the dashed line both models are equal.

    Args:
        frame: One row per sequence and track type: sequence, track_type, enformer_pearson_r,
            senformer_pearson_r.
        compared: One row per track type, computed from these sequences: track_type, pearson_r
            (between the models), share_senformer_ahead, slope, intercept.
    """
    models = ["enformer_pearson_r", "senformer_pearson_r"]
    fits = compared.to_dict("records")
    titles = [
        f"{fit['track_type']}<br>"
        + (
            "r needs more sequences"
            if np.isnan(fit["pearson_r"])
            else f"r = {fit['pearson_r']:.3f}"
        )
        + f"<br>S-Enformer ahead<br>in {fit['share_senformer_ahead']:.1%}"
        for fit in fits
    ]
    fig, places = draw.panel_grid(
        titles, panel_px=240, title_lines=4, shared_xaxes="all", shared_yaxes="all"
    )
    mark = Look("one sequence", NEUTRAL_COLOR, size=4, mode="markers")
    fitted = Look("fitted line", attention_kind("bigbird").color, width=2.5, mode="lines")
    equal = Look(
        "as good as Enformer", attention_kind("dense").color, dash="dash", width=1.5, mode="lines"
    )
    ends = np.nanquantile(frame[models].to_numpy(np.float64), [0, 1])
    for fit, place in zip(fits, places, strict=True):
        rows = frame[frame["track_type"] == fit["track_type"]]
        draw.add_series(
            fig,
            rows,
            mark,
            place=place,
            x=rows[models[0]].astype(np.float32),
            y=rows[models[1]].astype(np.float32),
            marker_opacity=0.5,
            customdata=rows["sequence"],
            hovertemplate=f"sequence: %{{customdata}}<br>track_type: {fit['track_type']}<br>"
            f"{models[0]}: %{{x:.4f}}<br>{models[1]}: %{{y:.4f}}<extra></extra>",
        )
        line = f"slope {fit['slope']:.3f}, intercept {fit['intercept']:.3f}<extra></extra>"
        fit_y = fit["intercept"] + fit["slope"] * ends
        draw.add_series(fig, rows, fitted, place=place, x=ends, y=fit_y, hovertemplate=line)
        draw.add_series(fig, rows, equal, place=place, x=ends, y=ends, hoverinfo="skip")
    draw.title_grid_axes(fig, places, x="Enformer's r", y="S-Enformer's r")
    return fig


@draw.figure("source", "track_type", *_R, *_SHARE_AHEAD)
def between_models(frame: pd.DataFrame) -> go.Figure:
    """Draw how similar two models are and which is ahead (a summary of the study's Figure 6).

    Pearson's r between both models' per-sequence accuracy, and the share of sequences in which
    S-Enformer is ahead, by track type, one mark per source, with 95 % intervals.

    Args:
        frame: One row per source and track type: source (who measured), track_type, pearson_r
            between the models and share_senformer_ahead (a fraction), with their intervals,
            pearson_r_low, pearson_r_high, share_low and share_high (missing if there is none).
    """
    looks = {
        source: Look(source, *_SOURCE_MARKS[number % len(_SOURCE_MARKS)], mode="markers")
        for number, source in enumerate(dict.fromkeys(frame["source"]))
    }
    fig = draw.dots(
        [
            draw.Panel("r between the models", frame, _R),
            draw.Panel("sequences in which S-Enformer is ahead", frame, _SHARE_AHEAD),
        ],
        draw.Series("source", looks),
        draw.track_type_categories(frame)._replace(is_spread=True),
        row_px=44,
        gap_px=64,
    )
    fig.update_xaxes(matches=None, showticklabels=True)
    fig.update_xaxes(title_text="Pearson's r", row=1, col=1)
    fig.update_xaxes(tickformat=".0%", title_text="share of the sequences", row=2, col=1)
    return fig


@draw.study_figure(7, "tracks along a sequence", "correlation", "correlation_tracks.csv")
@draw.figure("track", "bin", "source", "value")
def track_profiles(frame: pd.DataFrame) -> go.Figure:
    """Draw tracks along a sequence (the study's Figure 7).

    Coverage along a sequence, one group of panels per track: the experiment and each model's
    prediction, on one scale.

    Args:
        frame: One row per track, bin and source: track (its name), bin (of 128 bp), source
            (`EXPERIMENT` or a model's name), value (coverage).
    """
    frame = frame.assign(track=frame["track"].astype(str))
    sources = list(dict.fromkeys(frame["source"]))
    panels = list(itertools.product(dict.fromkeys(frame["track"]), sources))
    titles = [
        draw.plain(track if len(track) <= 52 else f"{track[:51]}…") if source == sources[0] else ""
        for track, source in panels
    ]
    fig = draw.stack_panels(titles, gap_px=22, panel_px=44)
    looks = {EXPERIMENT: Look(EXPERIMENT)} | model_looks(
        source for source in sources if source != EXPERIMENT
    )
    top_of_track = frame.groupby("track")["value"].max()
    for row, (track, source) in enumerate(panels, start=1):
        rows = frame[(frame["track"] == track) & (frame["source"] == source)].sort_values("bin")
        color = looks[source].color
        draw.add_series(
            fig,
            rows,
            looks[source]._replace(mode="lines"),
            place=(row, 1),
            x=(rows["bin"] * BIN_SIZE_BP).astype(np.int32),
            y=rows["value"].astype(np.float32),
            line={"color": color, "width": 1, "shape": "hvh"},
            fill="tozeroy",
            fillcolor=color,
            hovertemplate=f"{draw.plain(track)}<br>{draw.plain(source)}<br>"
            "bin at %{x:,} bp: %{y:.4g}<extra></extra>",
        )
        fig.update_yaxes(range=[0, 1.05 * top_of_track[track]], nticks=3, row=row, col=1)
    draw.title_stack_axes(fig, x="position in the predicted window (bp)", y="coverage")
    fig.update_xaxes(tickformat=",", row=len(panels), col=1)
    return fig


@draw.figure("model", "track_type", "statistic", *_SHARE_ABOVE)
def overprediction(frame: pd.DataFrame) -> go.Figure:
    """Draw how often models predict too much coverage, as the study reads off its Figure 7.

    Share of sequences and tracks whose predicted mean, and median, is above the experiment's, by
    model and track type; a dotted line stands at one half.

    Args:
        frame: One row per model, track type and statistic, from `correlations.measure_levels`:
            model, track_type, statistic (mean, median), share_above (a fraction) and its interval,
            share_above_low and share_above_high. On the dotted line a prediction is as often too
            high as too low.
    """
    fig = draw.dots(
        draw.panels_by(frame, "statistic", _SHARE_ABOVE, "{} over the bins".format),
        draw.Series("model", model_looks(frame["model"], size=11, mode="markers")),
        draw.track_type_categories(frame),
        row_px=40,
        gap_px=40,
    )
    fig.add_vline(0.5, line=thin_line(NEUTRAL_COLOR, "dot"))
    fig.update_xaxes(range=[-0.03, 1.03], tickformat=".0%")
    draw.title_stack_axes(fig, x="sequences and tracks predicted too high (%)")
    return fig
