"""What measurements of memory and time say of the study's claims about them.

A claim is judged from rows of the study's own kind only: its width, its eleven layers, attention
trained, batch 1. A run that lacks them, or the lengths that a claim speaks of, says so instead of
judging.
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from senformer.experiments.comparable import (
    NUM_LAYERS,
    NotComparableError,
    steps_like_the_studys,
)
from senformer.experiments.memory_and_time import arena
from senformer.report import published, published_arena
from senformer.report.claims import COLUMNS, agreement, not_comparable

LENGTH_STEP_BP = published.SEQUENCE_LENGTHS_BP[1] - published.SEQUENCE_LENGTHS_BP[0]
"""Distance of the study's input lengths: what it reads off its curves cannot be finer."""

_MODELS = {"dense": "self-attention", "bigbird": "sparse attention"}

Verdict = tuple[float | str | None, str]
"""What was measured of a claim, and whether it agrees."""


STUDYS_CARD = "rtx6000"
"""The study's graphics card, as a column `device` of compiled steps names it."""

COMPILED = "the published code, compiled for its card and not run"
"""What is added to a verdict of a compiler."""


def studys_code_on_its_card(compiled: pd.DataFrame, *, channels: int) -> pd.DataFrame | None:
    """The study's own formulations on its own card, as `judge_memory_claims` takes them.

    Args:
        compiled: rows of `benchmarks/published_on_gpu.py`.
        channels: width of the models of the run that judges.

    Returns:
        Those rows; none where none is of this width.
    """
    rows = compiled[(compiled["device"] == STUDYS_CARD) & compiled["peak_memory_gb"].notna()]
    rows = rows[rows["channels"] == channels]
    if rows.empty:
        return None
    return rows.assign(status="ok", resident_memory_gb=rows["argument_gb"], budget_gb=None)


def judge_memory_claims(
    frame: pd.DataFrame, on_studys_card: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Judge the study's claims about memory: on its own card where its code was compiled for it.

    Args:
        frame: one row per measurement, as `measurements.measure_all` gives them.
        on_studys_card: from `studys_code_on_its_card`; without it, this run's own peaks judge.

    Returns:
        One row per claim of `claims.COLUMNS`. Where this run cannot judge, `agrees` says why.
    """
    judged = {
        "memory.dense_out_of_memory_bp": _dense_out_of_memory,
        "memory.bigbird_trains_bp": _bigbird_trains,
        "memory.crossover_bp": _memory_crossover,
        "memory.growth": _growth,
        "memory.per_layer": _per_layer,
    }
    if on_studys_card is None:
        rows = [_judge(key, judge, frame) for key, judge in judged.items()]
    else:
        rows = [_judge(key, judge, on_studys_card) for key, judge in judged.items()]
        for row in rows:
            row["agrees"] += "" if ": " in row["agrees"] else f": {COMPILED}"
    return pd.DataFrame(rows + _code_peaks(frame), columns=list(COLUMNS))


def judge_runtime_claims(frame: pd.DataFrame) -> pd.DataFrame:
    """Judge the study's claims about time by measured steps, those about others' by theirs.

    Args:
        frame: one row per measurement, as `measurements.measure_all` gives them.

    Returns:
        One row per claim of `claims.COLUMNS`. Where this run cannot judge, `agrees` says why.
    """
    of_steps = pd.DataFrame([_judge("runtime.slower", _slower, frame)], columns=list(COLUMNS))
    of_arena = arena.judge_claims(published_arena.read_long_range_arena())
    return pd.concat([of_steps, of_arena], ignore_index=True)


def _judge(key: str, judge: Any, frame: pd.DataFrame) -> dict[str, Any]:
    try:
        measured, agrees = judge(frame)
    except NotComparableError as why:
        measured, agrees = None, not_comparable(str(why))
    return dict(zip(COLUMNS, (key, measured, agrees), strict=True))


def _dense_out_of_memory(frame: pd.DataFrame) -> Verdict:
    claimed = int(published.value("memory.dense_out_of_memory_bp"))
    fits = _fits(steps_like_the_studys(frame, "dense"))
    if False not in fits.values():
        longest = _longest_fitting(fits)
        if longest >= claimed:
            return f"still fits at {longest:,} bp", "no"
        raise NotComparableError(f"self-attention was measured up to {longest:,} bp, which fits")
    shortest = min(length for length, fit in fits.items() if fit is False)
    if shortest <= claimed:
        return shortest, agreement(shortest == claimed)
    if fits.get(claimed):
        return shortest, "no"
    raise NotComparableError(f"{claimed:,} bp was not measured")


def _bigbird_trains(frame: pd.DataFrame) -> Verdict:
    claimed = int(published.value("memory.bigbird_trains_bp"))
    fits = _fits(steps_like_the_studys(frame, "bigbird"))
    longest = _longest_fitting(fits)
    if longest >= claimed:
        return longest, "yes"
    if any(fit is False for length, fit in fits.items() if length <= claimed):
        return longest, "no"
    raise NotComparableError(f"sparse attention was measured up to {longest:,} bp, which fits")


def _memory_crossover(frame: pd.DataFrame) -> Verdict:
    """Find the length from which on sparse attention takes less, and compare it with the claimed.

    A measured crossing agrees when it is within one step of the study's lengths.
    """
    claimed_bp = published.value("memory.crossover_bp")
    both = _values(frame, "peak_memory_gb", NUM_LAYERS)
    excess = both["bigbird"] - both["dense"]
    lengths = [int(length) for length in both.index]
    if (excess < 0).all():
        if lengths[0] <= claimed_bp - LENGTH_STEP_BP:
            return "sparse attention takes less memory at every measured length", "no"
        raise NotComparableError(f"nothing shorter than {lengths[0]:,} bp was measured")
    if excess.iloc[-1] >= 0:
        if lengths[-1] >= claimed_bp + LENGTH_STEP_BP:
            return f"not reached at {lengths[-1]:,} bp", "no"
        raise NotComparableError(
            f"not reached at {lengths[-1]:,} bp, the longest at which both were measured"
        )
    after = max(i for i in range(len(lengths)) if excess.iloc[i] >= 0) + 1
    before = after - 1
    share = excess.iloc[before] / (excess.iloc[before] - excess.iloc[after])
    crossing_bp = lengths[before] + share * (lengths[after] - lengths[before])
    agrees = agreement(abs(crossing_bp - claimed_bp) <= LENGTH_STEP_BP)
    return _round(crossing_bp, digits=3), agrees


def _growth(frame: pd.DataFrame) -> Verdict:
    """Compare what a step adds to the weights at two lengths, one twice the other.

    Both agree when the exponent is nearer to 2 than to 1 for self-attention, and nearer to 1 for
    sparse attention.
    """
    exponents, said = {}, []
    for attention in ("dense", "bigbird"):
        rows = steps_like_the_studys(frame, attention).dropna(subset="peak_memory_gb")
        step_gb = rows["peak_memory_gb"] - rows["resident_memory_gb"]
        of_length = dict(zip(rows["sequence_length_bp"], step_gb, strict=True))
        pairs = [length for length in of_length if 2 * length in of_length]
        if not pairs:
            raise NotComparableError(f"{_MODELS[attention]}: no two lengths, one twice the other")
        half = max(pairs)
        exponents[attention] = math.log2(of_length[2 * half] / of_length[half])
        said.append(
            f"{_MODELS[attention]}: to the power {exponents[attention]:.1f} from {half:,} to "
            f"{2 * half:,} bp"
        )
    return "; ".join(said), agreement(exponents["dense"] > 1.5 > exponents["bigbird"])


def _per_layer(frame: pd.DataFrame) -> Verdict:
    layer_gb = {}
    for attention, length in (("bigbird", 786_432), ("dense", 393_216)):
        peaks = {}
        for layers in (1, NUM_LAYERS):
            rows = steps_like_the_studys(frame, attention, layers)
            found = rows.loc[rows["sequence_length_bp"] == length, "peak_memory_gb"].dropna()
            if found.empty:
                raise NotComparableError(
                    f"no peak of {_MODELS[attention]} at {length:,} bp with {layers} "
                    f"layer{'s' if layers > 1 else ''}"
                )
            peaks[layers] = float(found.iloc[0])
        layer_gb[attention] = (peaks[NUM_LAYERS] - peaks[1]) / (NUM_LAYERS - 1)
    said = f"{layer_gb['bigbird']:.3g} GB against {layer_gb['dense']:.3g} GB"
    return said, agreement(layer_gb["bigbird"] < layer_gb["dense"])


def _slower(frame: pd.DataFrame) -> Verdict:
    """Count the lengths at which a step with sparse attention is slower.

    The claim agrees when that is at least half of them at both numbers of layers, and does not
    when it is fewer at both.
    """
    said, many = [], []
    for layers in (1, NUM_LAYERS):
        both = _values(frame, "step_seconds", layers)
        slower = int((both["bigbird"] > both["dense"]).sum())
        many.append(2 * slower >= len(both))
        said.append(
            f"slower at {slower} of {len(both)} lengths with {layers} layer"
            f"{'s' if layers > 1 else ''}"
        )
    if len(set(many)) > 1:
        return "; ".join(said), f"with {1 if many[0] else NUM_LAYERS} only"
    return "; ".join(said), agreement(all(many))


def _code_peaks(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Set our peaks beside those of the published code, where both are of one model and length."""
    peaks: dict[tuple[str, int], float] = {}
    for attention in _MODELS:
        try:
            rows = steps_like_the_studys(frame, attention).dropna(subset="peak_memory_gb")
        except NotComparableError:
            continue
        for row in rows.to_dict("records"):
            peaks[attention, int(row["sequence_length_bp"])] = float(row["peak_memory_gb"])
    found = []
    for (attention, length), peak_gb in peaks.items():
        key = f"memory.code_{attention}_{length}bp_gb"
        if any(claim.key == key for claim in published.CLAIMS):
            ratio = peak_gb / published.value(key)
            said = f"{ratio:.2f} times the published code's, by this project's"
            found.append(dict(zip(COLUMNS, (key, peak_gb, said), strict=True)))
    return found


def _values(frame: pd.DataFrame, value: str, layers: int) -> pd.DataFrame:
    """Give one column per model, indexed by the lengths at which both were measured."""
    columns = {}
    for attention in _MODELS:
        rows = steps_like_the_studys(frame, attention, layers)
        columns[attention] = rows.set_index("sequence_length_bp")[value]
    both = pd.DataFrame(columns).dropna().sort_index()
    if len(both) < 2:
        raise NotComparableError("fewer than two lengths at which both kinds were measured")
    return both


def _fits(rows: pd.DataFrame) -> dict[int, bool | None]:
    """Say of each length whether a step fits the study's card; None where that is not known.

    A measurement that ran out of less memory than the card has, or failed, decides nothing.
    """
    card_gb = published.value("memory.budget_gb")
    fits: dict[int, bool | None] = {}
    for row in rows.to_dict("records"):
        fit = None
        if row["status"] == "ok":
            fit = bool(row["peak_memory_gb"] <= card_gb)
        elif row["status"] == "out_of_memory" and pd.notna(row["budget_gb"]):
            fit = False if row["budget_gb"] >= card_gb else None
        fits[int(row["sequence_length_bp"])] = fit
    return fits


def _longest_fitting(fits: dict[int, bool | None]) -> int:
    fitting = [length for length, fit in fits.items() if fit]
    if not fitting:
        raise NotComparableError("no step of this run is known to fit the study's card")
    return max(fitting)


def _round(value: float, *, digits: int) -> float:
    return float(f"{value:.{digits}g}")
