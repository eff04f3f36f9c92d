"""What measurements of memory and time say of the study's claims about them.

Rows of the study's own kind alone speak of a claim: its width, its eleven layers, attention
trained, batch 1. The study's own code, compiled for its own card, is what its claims are held
against; what this project's code takes stands beside it, for that is another code.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd

from senformer.report.row_labels import CODES
from senformer.study import claims, long_range_arena, published_tables
from senformer.study.comparability import (
    NUM_LAYERS,
    NotComparableError,
    steps_like_the_studys,
)
from senformer.study.verdicts import STUDYS_CODE, THIS_CODE, Judgement, judgement, table

LENGTH_STEP_BP = claims.SEQUENCE_LENGTHS_BP[1] - claims.SEQUENCE_LENGTHS_BP[0]
"""Distance of the study's input lengths: what it reads off its curves cannot be finer."""

STUDYS_CARD = "rtx6000"
"""The study's graphics card, as a column `device` of compiled steps names it."""

OTHER_CODE = "this project's code keeps other things in memory than the study's."
"""Why its peaks and times are no verdict on the study's."""

COMPILED = "compiled as a whole for the study's card, and not run."
"""What is added to a verdict of a compiler."""

_MODELS = {"dense": "self-attention", "bigbird": "sparse attention"}

_Found = tuple[float | str | None, bool | None, str]
"""What was measured, whether it agrees (None: that is left open), and why."""

_Judge = Callable[[pd.DataFrame], _Found]


class UndecidedError(Exception):
    """Measurements of the study's kind leave a claim open; the message says why."""


def judge_memory_claims(
    measured: pd.DataFrame, compiled: pd.DataFrame, published_code: pd.DataFrame
) -> pd.DataFrame:
    """Hold the study's claims about memory against its code and against this project's.

    Args:
        measured: one row per measurement of this project's code, as `measurements.measure_all`
            gives them.
        compiled: steps of this project's code, as `compilations.compile_all` gives them; where some
            were compiled for the study's card, these stand for it in place of `measured`.
        published_code: rows of `benchmarks/published_on_gpu.py`, of the study's code.

    Returns:
        Rows of `claims.COLUMNS`: of each claim one for the study's code, where models of this run's
        width were compiled, and one for this project's.
    """
    of_study = _on_studys_card(published_code)
    of_study = of_study[of_study["channels"].isin(measured["channels"])]
    own = _on_studys_card(compiled)
    own = measured if own.empty else own
    rows = []
    for key, judge in _MEMORY.items():
        if len(of_study):
            judged = _judge(key, STUDYS_CODE, judge, of_study, reason=COMPILED)
            rows.append(_with_cpu_run(judged) if key == "memory.crossover_bp" else judged)
        rows.append(_judge(key, THIS_CODE, judge, own, unlike=OTHER_CODE))
    return table(rows)


def judge_runtime_claims(measured: pd.DataFrame, ran: pd.DataFrame) -> pd.DataFrame:
    """Hold the study's claims about time against measured steps, those about others' by theirs.

    Args:
        measured: one row per measurement of this project's code, as `measurements.measure_all`
            gives them.
        ran: steps that ran on a GPU, of both codes, as `benchmarks/steps_on_gpu.py` writes them.

    Returns:
        Rows of `claims.COLUMNS`.
    """
    of_study = ran[(ran["code"] == CODES[1]) & (ran["compute_dtype"] == "float32")]
    where = f"run on an {of_study['ran_on'].iloc[0]}, compiled as a whole, with 11 layers alone."
    key = "runtime.slower"
    rows = [
        _judge(key, STUDYS_CODE, _slower_with_most_layers, of_study, unlike=where),
        _judge(key, THIS_CODE, _slower, measured, unlike=OTHER_CODE),
    ]
    of_arena = long_range_arena.judge_claims(published_tables.read_long_range_arena())
    return pd.concat([table(rows), of_arena], ignore_index=True)


def code_peaks(measured: pd.DataFrame) -> pd.DataFrame:
    """Set this code's peaks beside those of the study's, where both are of one model and length.

    Args:
        measured: as of `judge_memory_claims`.

    Returns:
        One row per kind and length at which the study's code was measured: `attention`,
        `sequence_length_bp`, `studys_code_gb`, `this_code_gb`, `ratio`; none where this run's
        models are of another size.
    """
    rows = []
    for attention in _MODELS:
        try:
            own = steps_like_the_studys(measured, attention).dropna(subset="peak_memory_gb")
        except NotComparableError:
            continue
        peaks_gb = dict(zip(own["sequence_length_bp"], own["peak_memory_gb"], strict=True))
        for length_bp, peak_gb in _studys_peaks_gb(attention).items():
            if own_gb := peaks_gb.get(length_bp):
                rows.append((attention, length_bp, peak_gb, own_gb, own_gb / peak_gb))
    columns = ["attention", "sequence_length_bp", "studys_code_gb", "this_code_gb", "ratio"]
    return pd.DataFrame(rows, columns=columns)


def _judge(
    key: str,
    evidence: str,
    judge: _Judge,
    rows: pd.DataFrame,
    *,
    unlike: str = "",
    reason: str = "",
) -> Judgement:
    try:
        measured, agrees, why = judge(rows)
    except NotComparableError as difference:
        return judgement(key, evidence, None, None, unlike=str(difference))
    except UndecidedError as why_open:
        return judgement(key, evidence, None, None, unlike=unlike, reason=str(why_open))
    return judgement(key, evidence, measured, agrees, unlike=unlike, reason=why or reason)


def _dense_out_of_memory(rows: pd.DataFrame) -> _Found:
    """A program that fits shows that a step can; it does not show that another's step did."""
    claimed = int(claims.get_value("memory.dense_out_of_memory_bp"))
    fits = _fits(steps_like_the_studys(rows, "dense"))
    too_long = [length for length, fit in fits.items() if fit is False]
    shortest = min(too_long, default=None)
    measured = shortest or f"still fits at {_longest_fitting(fits):,} bp"
    if shortest is not None and shortest <= claimed:
        return measured, shortest == claimed, ""
    if fits.get(claimed):
        open_since = (
            f"compiled as a whole a step fits at {claimed:,} bp; run operation by operation, as "
            "the study ran it, it may not."
        )
        return measured, None, open_since
    raise UndecidedError(f"{claimed:,} bp was not measured.")


def _bigbird_trains(rows: pd.DataFrame) -> _Found:
    claimed = int(claims.get_value("memory.bigbird_trains_bp"))
    fits = _fits(steps_like_the_studys(rows, "bigbird"))
    longest = _longest_fitting(fits)
    if longest >= claimed:
        return longest, True, ""
    if any(fit is False for length, fit in fits.items() if length <= claimed):
        return longest, False, ""
    raise UndecidedError(f"nothing longer than {longest:,} bp was measured, which fits.")


def _memory_crossover(rows: pd.DataFrame) -> _Found:
    """Find the length from which on sparse attention takes less, and compare it with the claimed.

    A measured crossing agrees when it is within one step of the study's lengths.
    """
    claimed_bp = claims.get_value("memory.crossover_bp")
    both = _values(rows, "peak_memory_gb", NUM_LAYERS)
    excess = both["bigbird"] - both["dense"]
    lengths = [int(length) for length in both.index]
    if (excess < 0).all():
        if lengths[0] <= claimed_bp - LENGTH_STEP_BP:
            return "less at every measured length", False, ""
        raise UndecidedError(f"nothing shorter than {lengths[0]:,} bp was measured.")
    if excess.iloc[-1] >= 0:
        if lengths[-1] >= claimed_bp + LENGTH_STEP_BP:
            return f"not reached at {lengths[-1]:,} bp", False, ""
        raise UndecidedError(f"not reached at {lengths[-1]:,} bp, the longest that was measured.")
    after = max(i for i in range(len(lengths)) if excess.iloc[i] >= 0) + 1
    before = after - 1
    share = excess.iloc[before] / (excess.iloc[before] - excess.iloc[after])
    crossing_bp = lengths[before] + share * (lengths[after] - lengths[before])
    return _round(crossing_bp, digits=3), abs(crossing_bp - claimed_bp) <= LENGTH_STEP_BP, ""


def _with_cpu_run(compiled: Judgement) -> Judgement:
    """Hold a compiled crossing of the study's code against that of its run on a CPU.

    Where one lies below the claimed length and the other beyond it, the claim is left open.
    """
    dense_gb, bigbird_gb = (_studys_peaks_gb(attention) for attention in _MODELS)
    longest = max(dense_gb)
    if not isinstance(compiled.measured, float) or bigbird_gb[longest] < dense_gb[longest]:
        return compiled
    claimed_bp = claims.get_value("memory.crossover_bp")
    lies_between = compiled.measured < claimed_bp < longest
    measured = f"{compiled.measured:,.0f} bp compiled for its card; beyond {longest:,} bp on a CPU"
    reason = "where the two cross depends on how the code is run."
    return judgement(
        compiled.key, STUDYS_CODE, measured, None if lies_between else False, reason=reason
    )


def _growth(rows: pd.DataFrame) -> _Found:
    """Compare what a step adds to the weights at lengths of which one is twice the other.

    Quadratic is an exponent above 1.5 at every doubling, linear one below.
    """
    exponents, said = {}, []
    for attention, name in _MODELS.items():
        steps = steps_like_the_studys(rows, attention).dropna(subset="peak_memory_gb")
        step_gb = (steps["peak_memory_gb"] - steps["resident_memory_gb"]).to_numpy()
        of_length = dict(zip(steps["sequence_length_bp"], step_gb, strict=True))
        doublings = [
            math.log2(of_length[2 * length] / of_length[length])
            for length in of_length
            if 2 * length in of_length
        ]
        if not doublings:
            raise UndecidedError(f"{name}: no two lengths, one twice the other, were measured.")
        exponents[attention] = (min(doublings), max(doublings))
        said.append(f"{name} to the power {min(doublings):.1f} to {max(doublings):.1f}")
    (dense_low, dense_high), (sparse_low, sparse_high) = exponents["dense"], exponents["bigbird"]
    agrees = None
    if dense_low > 1.5 > sparse_high:
        agrees = True
    elif dense_high < 1.5 or sparse_low > 1.5:
        agrees = False
    return f"with each doubling of the length, {'; '.join(said)}", agrees, ""


def _per_layer(rows: pd.DataFrame) -> _Found:
    layer_gb = {}
    for attention, length in (("bigbird", 786_432), ("dense", 393_216)):
        peaks = {}
        for layers in (1, NUM_LAYERS):
            steps = steps_like_the_studys(rows, attention, layers)
            found = steps.loc[steps["sequence_length_bp"] == length, "peak_memory_gb"].dropna()
            if found.empty:
                raise UndecidedError(
                    f"no peak of {_MODELS[attention]} at {length:,} bp with {layers} "
                    f"layer{'s' if layers > 1 else ''}."
                )
            peaks[layers] = float(found.iloc[0])
        layer_gb[attention] = (peaks[NUM_LAYERS] - peaks[1]) / (NUM_LAYERS - 1)
    said = (
        f"a sparse layer {layer_gb['bigbird']:.3g} GB, one of self-attention "
        f"{layer_gb['dense']:.3g} GB"
    )
    return said, layer_gb["bigbird"] < layer_gb["dense"], ""


_MEMORY: dict[str, _Judge] = {
    "memory.dense_out_of_memory_bp": _dense_out_of_memory,
    "memory.bigbird_trains_bp": _bigbird_trains,
    "memory.crossover_bp": _memory_crossover,
    "memory.growth": _growth,
    "memory.per_layer": _per_layer,
}


def _slower(rows: pd.DataFrame) -> _Found:
    """Count the lengths at which a step with sparse attention is slower, by number of layers."""
    said, many = [], []
    for layers in (1, NUM_LAYERS):
        words, is_many = _slower_at(rows, layers)
        said.append(words)
        many.append(is_many)
    agrees = many[0] if len(set(many)) == 1 else None
    return "; ".join(said), agrees, ""


def _slower_with_most_layers(rows: pd.DataFrame) -> _Found:
    return *_slower_at(rows, NUM_LAYERS), ""


def _slower_at(rows: pd.DataFrame, layers: int) -> tuple[str, bool | None]:
    """At how many lengths sparse attention is slower: "many", says the study; at least half.

    A length where the ranges of the timed steps overlap is counted for neither. One step has no
    range, so that it tells nothing.
    """
    ends = {end: _values(rows, f"step_seconds_{end}", layers) for end in ("min", "max")}
    is_slower = ends["min"]["bigbird"] > ends["max"]["dense"]
    is_faster = ends["max"]["bigbird"] < ends["min"]["dense"]
    num_lengths, num_slower, num_faster = len(is_slower), is_slower.sum(), is_faster.sum()
    said = (
        f"slower at {num_slower} of {num_lengths} lengths with {layers} "
        f"layer{'s' if layers > 1 else ''}"
    )
    if rows["steps"].min() < 2:
        return f"{said}, by one timed step each", None
    num_open = num_lengths - num_slower - num_faster
    agrees = None
    if 2 * num_slower >= num_lengths:
        agrees = True
    elif 2 * (num_slower + num_open) < num_lengths:
        agrees = False
    return said + (f", not told apart at {num_open}" if num_open else ""), agrees


def _studys_peaks_gb(attention: str) -> dict[int, float]:
    """Peaks of the study's code as it ran on a CPU, by length in bp."""
    return {
        length: claims.get_value(f"memory.code_{attention}_{length}bp_gb")
        for length in claims.CODE_LENGTHS_BP
    }


def _on_studys_card(compiled: pd.DataFrame) -> pd.DataFrame:
    """Steps that were compiled for the study's card, as measured ones are given."""
    rows = compiled[(compiled["device"] == STUDYS_CARD) & compiled["peak_memory_gb"].notna()]
    return rows.assign(status="ok", resident_memory_gb=rows["argument_gb"], budget_gb=None)


def _values(rows: pd.DataFrame, value: str, layers: int) -> pd.DataFrame:
    """Give one column per model, indexed by the lengths at which both were measured."""
    columns = {}
    for attention in _MODELS:
        steps = steps_like_the_studys(rows, attention, layers)
        columns[attention] = steps.set_index("sequence_length_bp")[value]
    both = pd.DataFrame(columns).dropna().sort_index()
    if len(both) < 2:
        raise UndecidedError("fewer than two lengths at which both kinds were measured.")
    return both


def _fits(rows: pd.DataFrame) -> dict[int, bool | None]:
    """Say of each length whether a step fits the study's card; None where that is not known.

    A measurement that ran out of less memory than the card has, or failed, decides nothing.
    """
    card_gb = claims.get_value("memory.budget_gb")
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
        raise UndecidedError("no step is known to fit the study's card.")
    return max(fitting)


def _round(value: float, *, digits: int) -> float:
    return float(f"{value:.{digits}g}")
