"""How well models predict: by training step, track type, protocol, sequence and position."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from senformer.attention_kinds import attention_kind
from senformer.config import BIN_SIZE_BP
from senformer.report.figures.panels import (
    figure_of,
    finish,
    hover,
    in_legend,
    panel_grid,
    plain,
    present_track_types,
    require_columns,
    stack_panels,
    title_axes,
    title_shared_axis,
    whiskers,
    wrap,
)
from senformer.report.figures.style import (
    FAINT_COLOR,
    NEUTRAL_COLOR,
    TRACK_TYPE_MARKS,
    model_styles,
    thin_line,
)

_CHANGE = ("change", "change_low", "change_high")
_WITH_INTERVAL = ("pearson_r", "pearson_r_low", "pearson_r_high")

_SOURCE_MARKS = (
    (NEUTRAL_COLOR, "circle-open-dot"),
    (NEUTRAL_COLOR, "circle-open"),
    (attention_kind("bigbird").color, "diamond"),
    (attention_kind("dense").color, "circle"),
)
"""What is published is grey; what was measured here is not."""

EXPERIMENT = "experiment"
"""The source, in a table of tracks, that is no model."""


@figure_of
def protocol_changes(frame: pd.DataFrame) -> go.Figure:
    """Draw what each choice in the evaluation protocol changes in Pearson's r.

    It looks for the reason of the study's Figure 4; `notebooks/reproduction`.

    Args:
        frame: one row per protocol and track type, from `reproduction.accuracy`: choice, option,
            track_type, change (of r, from the reference) with its interval, change_low and
            change_high, of_the_study; rows whose change is zero by definition, the reference's, are
            the line at zero. Filled marks are options that the
            study chose. Rows of `reproduction.with_reported` may be appended.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    columns = ("choice", "option", "track_type", *_CHANGE, "of_the_study")
    require_columns(frame, "protocol_changes", columns)
    types = present_track_types(frame)
    pairs = zip(frame["choice"], frame["option"], strict=True)
    protocols = [pair for pair in dict.fromkeys(pairs) if pair[0] != "reference"]
    place_of = {pair: place for place, pair in enumerate(protocols)}
    figure = stack_panels([""], gap_px=0, panel_px=max(220, 46 * len(protocols)))
    for number, track_type in enumerate(types):
        color, symbol = TRACK_TYPE_MARKS[track_type]
        rows = frame[(frame["track_type"] == track_type) & (frame["choice"] != "reference")]
        step = 0.6 / max(1, len(types) - 1)
        places = [place_of[pair] for pair in zip(rows["choice"], rows["option"], strict=True)]
        figure.add_scatter(
            x=rows["change"],
            y=np.array(places) - 0.3 + step * number,
            error_x=whiskers(rows, *_CHANGE),
            mode="markers",
            marker={
                "color": color,
                "size": 9,
                "symbol": [symbol if of else f"{symbol}-open" for of in rows["of_the_study"]],
                "line": {"width": 1.5, "color": color},
            },
            **in_legend(track_type),
            **hover(rows),
        )
    figure.add_vline(0, line=thin_line(NEUTRAL_COLOR, "dot"))
    for place in range(1, len(protocols)):
        if protocols[place][0] != protocols[place - 1][0]:
            figure.add_hline(place - 0.5, line=thin_line(FAINT_COLOR, "solid"))
    figure.update_yaxes(
        tickvals=list(range(len(protocols))),
        ticktext=[wrap(f"{choice}: {option}", 24) for choice, option in protocols],
        range=[len(protocols) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
    )
    figure.update_xaxes(title_text="change in Pearson's r from the reference")
    return finish(
        figure,
        frame,
        description="Change in Pearson's r from the reference protocol when one choice of the "
        "evaluation is changed, and when all of the study's are, by track type; filled marks are "
        "the study's choices.",
    )


@figure_of
def finetuned(frame: pd.DataFrame) -> go.Figure:
    """Draw accuracy after training by track type (the study's Figure 5a; `notebooks/finetuning`).

    Args:
        frame: one row per model and track type: model, track_type, pearson_r, and its interval,
            pearson_r_low and pearson_r_high.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    require_columns(frame, "finetuned", ("model", "track_type", *_WITH_INTERVAL))
    types = present_track_types(frame)
    frame = frame[frame["track_type"].isin(types)]
    figure = stack_panels([""], gap_px=0, panel_px=50 * len(types))
    styles = model_styles(frame["model"])
    for model, rows in frame.groupby("model", sort=False):
        style = styles[str(model)]
        figure.add_scatter(
            x=rows["pearson_r"],
            y=rows["track_type"],
            error_x=whiskers(rows, *_WITH_INTERVAL),
            mode="markers",
            marker={"color": style.color, "size": 12, "symbol": style.symbol},
            **in_legend(str(model)),
            **hover(rows),
        )
    figure.update_yaxes(categoryorder="array", categoryarray=types[::-1])
    figure.update_xaxes(title_text="Pearson's r")
    return finish(
        figure, frame, description="Pearson's r of each model after training, by track type."
    )


@figure_of
def finetuning(frame: pd.DataFrame) -> go.Figure:
    """Draw accuracy over training steps (the study's Figure 5b; `notebooks/finetuning`).

    Args:
        frame: one row per evaluation: step (training steps done), model, track_type, pearson_r, and
            its interval, pearson_r_low and pearson_r_high. A model with a single step is a dashed
            line across: it was not trained here.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    require_columns(frame, "finetuning", ("step", "model", "track_type", *_WITH_INTERVAL))
    types = present_track_types(frame)
    figure, places = panel_grid(types, panel_px=220, shared_xaxes="all")
    styles = model_styles(frame["model"])
    ends = [frame["step"].min(), frame["step"].max()]
    for track_type, (row, col) in zip(types, places, strict=True):
        of_type = frame[frame["track_type"] == track_type]
        for model, evaluations in of_type.groupby("model", sort=False):
            rows = evaluations.sort_values("step")
            style = styles[str(model)]
            trained = len(rows) > 1
            shown = rows if trained else pd.concat([rows, rows])
            figure.add_scatter(
                x=rows["step"] if trained else ends,
                y=shown["pearson_r"],
                error_y=whiskers(shown, *_WITH_INTERVAL) if trained else None,
                mode="lines+markers" if trained else "lines",
                line={
                    "color": style.color,
                    "width": 2,
                    "dash": style.dash if trained else "dash",
                },
                marker={"symbol": style.symbol, "size": 7},
                row=row,
                col=col,
                **in_legend(str(model)),
                **hover(shown),
            )
    title_axes(figure, places, x="training step", y="Pearson's r")
    return finish(
        figure,
        frame,
        description="Pearson's r on held-out sequences against training step, one panel per track "
        "type, one line per model.",
    )


@figure_of
def correlation(frame: pd.DataFrame, compared: pd.DataFrame) -> go.Figure:
    """Draw both models' accuracy by sequence (the study's Figure 6; `notebooks/correlation`).

    Each panel's title gives r between the models and the share of sequences where S-Enformer is
    ahead; the solid line is the least-squares fit, on the dashed one both models are equal.

    Args:
        frame: one row per sequence and track type: sequence, track_type, enformer_pearson_r,
            senformer_pearson_r.
        compared: what these sequences add up to, one row per track type: track_type, pearson_r
            (between the models), share_senformer_ahead, slope, intercept.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    models = ["enformer_pearson_r", "senformer_pearson_r"]
    require_columns(frame, "correlation", ("sequence", "track_type", *models))
    types = list(compared["track_type"])
    titles = [
        f"{name}<br>{_r_text(r)}<br>S-Enformer ahead<br>in {ahead:.1%}"
        for name, r, ahead in zip(
            types, compared["pearson_r"], compared["share_senformer_ahead"], strict=True
        )
    ]
    figure, places = panel_grid(
        titles, panel_px=240, title_lines=4, shared_xaxes="all", shared_yaxes="all"
    )
    ends = np.nanquantile(frame[models].to_numpy(np.float64), [0, 1])
    for fit, (row, col) in zip(compared.to_dict("records"), places, strict=True):
        rows = frame[frame["track_type"] == fit["track_type"]]
        figure.add_scatter(
            x=rows[models[0]].astype(np.float32),
            y=rows[models[1]].astype(np.float32),
            customdata=rows["sequence"],
            hovertemplate=f"sequence: %{{customdata}}<br>track_type: {fit['track_type']}<br>"
            f"{models[0]}: %{{x:.4f}}<br>{models[1]}: %{{y:.4f}}<extra></extra>",
            mode="markers",
            marker={"color": NEUTRAL_COLOR, "size": 4, "opacity": 0.5},
            row=row,
            col=col,
            **in_legend("one sequence"),
        )
        figure.add_scatter(
            x=ends,
            y=fit["intercept"] + fit["slope"] * ends,
            mode="lines",
            line={"color": attention_kind("bigbird").color, "width": 2.5},
            hovertemplate=f"slope {fit['slope']:.3f}, intercept {fit['intercept']:.3f}"
            "<extra></extra>",
            row=row,
            col=col,
            **in_legend("fitted line"),
        )
        figure.add_scatter(
            x=ends,
            y=ends,
            mode="lines",
            line={"color": attention_kind("dense").color, "width": 1.5, "dash": "dash"},
            hoverinfo="skip",
            row=row,
            col=col,
            **in_legend("as good as Enformer"),
        )
    title_axes(figure, places, x="Enformer's r", y="S-Enformer's r")
    return finish(
        figure,
        frame,
        description="Per-sequence Pearson's r of S-Enformer against Enformer, one panel per track "
        "type, with the fitted line and the line of equality.",
    )


@figure_of
def between_models(frame: pd.DataFrame) -> go.Figure:
    """Draw how alike two models are and who is ahead (sums the study's Figure 6 up).

    `notebooks/correlation` draws it.

    Args:
        frame: one row per source and track type: source (whose numbers), track_type, pearson_r
            between the models and share_senformer_ahead (a fraction), with their intervals,
            pearson_r_low, pearson_r_high, share_low and share_high (missing where there is none).

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    r = ("pearson_r", "pearson_r_low", "pearson_r_high")
    share = ("share_senformer_ahead", "share_low", "share_high")
    require_columns(frame, "between_models", ("source", "track_type", *r, *share))
    types = present_track_types(frame)
    sources = list(dict.fromkeys(frame["source"]))
    titles = ["r between the models", "sequences in which S-Enformer is ahead"]
    figure = stack_panels(titles, gap_px=64, panel_px=44 * len(types))
    step = 0.6 / max(1, len(sources) - 1)
    places = {track_type: len(types) - 1 - place for place, track_type in enumerate(types)}
    for row, columns in enumerate((r, share), start=1):
        for number, source in enumerate(sources):
            rows = frame[frame["source"] == source]
            color, symbol = _SOURCE_MARKS[number % len(_SOURCE_MARKS)]
            figure.add_scatter(
                x=rows[columns[0]],
                y=rows["track_type"].map(places) + 0.3 - step * number,
                error_x=whiskers(rows, *columns),
                mode="markers",
                marker={"color": color, "symbol": symbol, "size": 9},
                row=row,
                col=1,
                **in_legend(source),
                **hover(rows),
            )
    figure.update_yaxes(
        tickvals=list(places.values()), ticktext=list(places), range=[-0.6, len(types) - 0.4]
    )
    figure.update_xaxes(matches=None, showticklabels=True)
    figure.update_xaxes(title_text="Pearson's r", row=1, col=1)
    figure.update_xaxes(tickformat=".0%", title_text="share of the sequences", row=2, col=1)
    return finish(
        figure,
        frame,
        description="Pearson's r between both models' per-sequence accuracy, and the share of "
        "sequences in which S-Enformer is ahead, by track type, one mark per source, with 95 % "
        "intervals.",
    )


@figure_of
def track_profiles(frame: pd.DataFrame) -> go.Figure:
    """Draw tracks along a sequence (the study's Figure 7; `notebooks/correlation`).

    Experiment and models stand below each other, on one scale for each track.

    Args:
        frame: one row per track, bin and source: track (its name), bin (of 128 bp), source
            (`EXPERIMENT` or a model's name), value (coverage).

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    require_columns(frame, "track_profiles", ("track", "bin", "source", "value"))
    sources = list(dict.fromkeys(frame["source"]))
    panels = [(track, source) for track in dict.fromkeys(frame["track"]) for source in sources]
    titles = [
        plain(_shorten(str(track))) if source == sources[0] else "" for track, source in panels
    ]
    figure = stack_panels(titles, gap_px=22, panel_px=44)
    styles = model_styles(source for source in sources if source != EXPERIMENT)
    top_of_track = frame.groupby("track")["value"].max()
    for row, (track, source) in enumerate(panels, start=1):
        rows = frame[(frame["track"] == track) & (frame["source"] == source)].sort_values("bin")
        color = styles[source].color if source in styles else NEUTRAL_COLOR
        figure.add_scatter(
            x=(rows["bin"] * BIN_SIZE_BP).astype(np.int32),
            y=rows["value"].astype(np.float32),
            mode="lines",
            line={"color": color, "width": 1, "shape": "hvh"},
            fill="tozeroy",
            fillcolor=color,
            hovertemplate=f"{plain(str(track))}<br>{plain(source)}<br>bin at %{{x:,}} bp: "
            "%{y:.4g}<extra></extra>",
            row=row,
            col=1,
            **in_legend(source),
        )
        figure.update_yaxes(range=[0, 1.05 * top_of_track[track]], nticks=3, row=row, col=1)
    figure.update_xaxes(
        title_text="position in the predicted window (bp)", tickformat=",", row=len(panels), col=1
    )
    title_shared_axis(figure, "coverage")
    return finish(
        figure,
        frame,
        description="Coverage along a sequence, one group of panels per track: the experiment and "
        "each model's prediction, on one scale.",
    )


@figure_of
def overprediction(frame: pd.DataFrame) -> go.Figure:
    """Draw how often models predict a sequence's track too high, `notebooks/correlation`.

    That they do is what the study reads off its Figure 7.

    Args:
        frame: one row per model, track type and statistic, from `correlation.levels`: model,
            track_type, statistic (mean, median), share_above (a fraction) and its interval,
            share_above_low and share_above_high; others are shown on hover. On the dotted line too
            high is as frequent as too low.

    Raises:
        ValueError: if a column is missing or there is no row.
    """
    share = ("share_above", "share_above_low", "share_above_high")
    require_columns(frame, "overprediction", ("model", "track_type", "statistic", *share))
    types = present_track_types(frame)
    statistics = list(dict.fromkeys(frame["statistic"]))
    titles = [f"{statistic} over the bins" for statistic in statistics]
    figure = stack_panels(titles, gap_px=40, panel_px=40 * len(types))
    styles = model_styles(frame["model"])
    for row, statistic in enumerate(statistics, start=1):
        of_statistic = frame[frame["statistic"] == statistic]
        for model, rows in of_statistic.groupby("model", sort=False):
            style = styles[str(model)]
            figure.add_scatter(
                x=rows["share_above"],
                y=rows["track_type"],
                error_x=whiskers(rows, *share),
                mode="markers",
                marker={"color": style.color, "size": 11, "symbol": style.symbol},
                row=row,
                col=1,
                **in_legend(str(model)),
                **hover(rows),
            )
        figure.add_vline(0.5, row=row, col=1, line=thin_line(NEUTRAL_COLOR, "dot"))
    figure.update_yaxes(categoryorder="array", categoryarray=types[::-1])
    figure.update_xaxes(range=[-0.03, 1.03], tickformat=".0%")
    figure.update_xaxes(
        title_text="sequences and tracks predicted too high (%)", row=len(statistics), col=1
    )
    return finish(
        figure,
        frame,
        description="Share of sequences and tracks whose predicted mean, and median, is above the "
        "experiment's, by model and track type; a dotted line stands at one half.",
    )


def _r_text(r: float) -> str:
    return "r needs more sequences" if np.isnan(r) else f"r = {r:.3f}"


def _shorten(text: str, width: int = 52) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
