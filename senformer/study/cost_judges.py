"""Judge the study's claims about memory and time by training steps.

Only steps with the study's settings bear on a claim: its width, its eleven layers, attention
trained, batch 1. The study's own code, compiled for its own card, judges the claims. This project's
code gets rows without verdicts, because it keeps other values in memory.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import pandas as pd

from senformer.report.row_labels import CODES
from senformer.study import claims
from senformer.study.claims import get_value
from senformer.study.comparability import NUM_LAYERS, select_study_steps
from senformer.study.verdicts import (
    STUDYS_CODE,
    THIS_CODE,
    Found,
    Judge,
    NotComparableError,
    Tables,
    UndecidedError,
)

LENGTH_STEP_BP = claims.SEQUENCE_LENGTHS_BP[1] - claims.SEQUENCE_LENGTHS_BP[0]
"""Distance between the study's input lengths: its curves resolve nothing finer."""

STUDYS_CARD = "rtx6000"
"""The study's graphics card in column `device` of compiled steps."""

OTHER_CODE = "this project's code keeps other values in memory than the study's."
"""Why its peaks and times give no verdict on the study's."""

COMPILED = "compiled as a whole for the study's card, and not run."
"""Reason that is added to a verdict of the compiler."""

_MODELS = {"dense": "dense attention", "bigbird": "sparse attention"}


def memory_tables(
    measured: pd.DataFrame, compiled: pd.DataFrame, published_code: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Select the steps that judge claims about memory.

    Args:
        measured: One row per measurement of this project's code.
        compiled: Steps of this project's code, compiled for cards. Steps for the study's card
            replace `measured`.
        published_code: Steps of the study's code, compiled for cards.

    Returns:
        `this_code`, and `studys_code` if the study's code was compiled at this run's width.
    """
    studys = _on_studys_card(published_code)
    studys = studys[studys["channels"].isin(measured["channels"])]
    own = _on_studys_card(compiled)
    tables = {"this_code": measured if own.empty else own}
    return tables | ({"studys_code": studys} if len(studys) else {})


def runtime_tables(
    measured: pd.DataFrame, on_gpu: pd.DataFrame, arena: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Select the steps that judge claims about time.

    Args:
        measured: One row per measurement of this project's code.
        on_gpu: Steps of both codes that ran on a GPU.
        arena: From `published_tables.read_long_range_arena`.
    """
    is_studys = (on_gpu["code"] == CODES[1]) & (on_gpu["compute_dtype"] == "float32")
    return {"this_code": measured, "studys_code": on_gpu[is_studys], "arena": arena}


def compare_code_peaks(measured: pd.DataFrame) -> pd.DataFrame:
    """Compare this project's peaks on a CPU with those of the study's code.

    Args:
        measured: One row per measurement of this project's code.

    Returns:
        One row per kind and length at which the study's code was measured: `attention`,
        `sequence_length_bp`, `studys_code_gb`, `this_code_gb`, `ratio`; empty if this run's models
        have another size.
    """
    rows = []
    for attention in _MODELS:
        try:
            own = select_study_steps(measured, attention).dropna(subset="peak_memory_gb")
        except NotComparableError:
            continue
        peaks_gb = dict(zip(own["sequence_length_bp"], own["peak_memory_gb"], strict=True))
        for length_bp, peak_gb in studys_cpu_peaks_gb(attention).items():
            if own_gb := peaks_gb.get(length_bp):
                rows.append((attention, length_bp, peak_gb, own_gb, own_gb / peak_gb))
    columns = ["attention", "sequence_length_bp", "studys_code_gb", "this_code_gb", "ratio"]
    return pd.DataFrame(rows, columns=columns)


def judge_out_of_memory(rows: pd.DataFrame) -> Found:
    """Find the shortest length at which dense attention runs out of the card's memory.

    A program that fits shows that a step can fit, not that the study's step did.
    """
    claimed = int(get_value("memory.dense_out_of_memory_bp"))
    fits = _fits_by_length(select_study_steps(rows, "dense"))
    shortest = min((length for length, fit in fits.items() if fit is False), default=None)
    measured = shortest or f"still fits at {_longest_fitting(fits):,} bp"
    if shortest is not None and shortest <= claimed:
        return Found(measured, shortest == claimed)
    if fits.get(claimed):
        reason = (
            f"compiled as a whole a step fits at {claimed:,} bp; run operation by operation, as "
            "the study ran it, it may not."
        )
        return Found(measured, None, reason)
    raise UndecidedError(f"{claimed:,} bp was not measured.")


def judge_longest(rows: pd.DataFrame) -> Found:
    """Find the longest length at which sparse attention fits the card."""
    claimed = int(get_value("memory.bigbird_trains_bp"))
    fits = _fits_by_length(select_study_steps(rows, "bigbird"))
    longest = _longest_fitting(fits)
    if longest >= claimed:
        return Found(longest, True)
    if any(fit is False for length, fit in fits.items() if length <= claimed):
        return Found(longest, False)
    raise UndecidedError(f"nothing longer than {longest:,} bp was measured, which fits.")


def judge_crossover(rows: pd.DataFrame) -> Found:
    """Find the length beyond which sparse attention needs less memory than dense attention.

    A crossing agrees if it is within one step of the study's lengths.
    """
    claimed_bp = get_value("memory.crossover_bp")
    both = _columns_by_model(rows, "peak_memory_gb", NUM_LAYERS)
    excess = both["bigbird"] - both["dense"]
    lengths = [int(length) for length in both.index]
    if (excess < 0).all():
        if lengths[0] <= claimed_bp - LENGTH_STEP_BP:
            return Found("less at every measured length", False)
        raise UndecidedError(f"nothing shorter than {lengths[0]:,} bp was measured.")
    if excess.iloc[-1] >= 0:
        if lengths[-1] >= claimed_bp + LENGTH_STEP_BP:
            return Found(f"not reached at {lengths[-1]:,} bp", False)
        raise UndecidedError(f"not reached at {lengths[-1]:,} bp, the longest that was measured.")
    after = max(i for i in range(len(lengths)) if excess.iloc[i] >= 0) + 1
    share = excess.iloc[after - 1] / (excess.iloc[after - 1] - excess.iloc[after])
    exact_bp = lengths[after - 1] + share * (lengths[after] - lengths[after - 1])
    return Found(float(f"{exact_bp:.3g}"), abs(exact_bp - claimed_bp) <= LENGTH_STEP_BP)


def judge_studys_crossover(rows: pd.DataFrame) -> Found:
    """Compare the compiled crossing of the study's code with its run on a CPU.

    If the claimed length lies between the two crossings, the claim is left open.
    """
    claimed_bp = get_value("memory.crossover_bp")
    compiled = judge_crossover(rows)
    dense_gb, bigbird_gb = (studys_cpu_peaks_gb(attention) for attention in _MODELS)
    longest = max(dense_gb)
    if not isinstance(compiled.measured, float) or bigbird_gb[longest] < dense_gb[longest]:
        return compiled
    lies_between = compiled.measured < claimed_bp < longest
    return Found(
        f"{compiled.measured:,.0f} bp compiled for its card; beyond {longest:,} bp on a CPU",
        None if lies_between else False,
        "where the two cross depends on how the code is run.",
    )


def judge_growth(rows: pd.DataFrame) -> Found:
    """Compute how a step's memory beyond its weights grows with each doubling of the length.

    Quadratic growth is an exponent above 1.5 at every doubling, linear growth one below.
    """
    exponents, phrases = {}, []
    for attention, name in _MODELS.items():
        steps = select_study_steps(rows, attention).dropna(subset="peak_memory_gb")
        step_gb = (steps["peak_memory_gb"] - steps["resident_memory_gb"]).to_numpy()
        by_length = dict(zip(steps["sequence_length_bp"], step_gb, strict=True))
        doublings = [
            math.log2(by_length[2 * length] / by_length[length])
            for length in by_length
            if 2 * length in by_length
        ]
        if not doublings:
            raise UndecidedError(f"{name}: no two lengths, one twice the other, were measured.")
        exponents[attention] = (min(doublings), max(doublings))
        phrases.append(f"{name} to the power {min(doublings):.1f} to {max(doublings):.1f}")
    (dense_low, dense_high), (sparse_low, sparse_high) = exponents["dense"], exponents["bigbird"]
    agrees = None
    if dense_low > 1.5 > sparse_high:
        agrees = True
    elif dense_high < 1.5 or sparse_low > 1.5:
        agrees = False
    return Found(f"with each doubling of the length, {'; '.join(phrases)}", agrees)


def judge_layer(rows: pd.DataFrame) -> Found:
    """Compare the memory of a sparse layer at 786,432 bp with a dense one at 393,216 bp."""
    layer_gb = {}
    for attention, length in (("bigbird", 786_432), ("dense", 393_216)):
        peaks = {}
        for layers in (1, NUM_LAYERS):
            steps = select_study_steps(rows, attention, layers)
            found = steps.loc[steps["sequence_length_bp"] == length, "peak_memory_gb"].dropna()
            if found.empty:
                raise UndecidedError(
                    f"no peak of {_MODELS[attention]} at {length:,} bp with {_num_layers(layers)}."
                )
            peaks[layers] = float(found.iloc[0])
        layer_gb[attention] = (peaks[NUM_LAYERS] - peaks[1]) / (NUM_LAYERS - 1)
    measured = (
        f"a sparse layer {layer_gb['bigbird']:.3g} GB, a dense layer {layer_gb['dense']:.3g} GB"
    )
    return Found(measured, layer_gb["bigbird"] < layer_gb["dense"])


def judge_slower(rows: pd.DataFrame, *, layers: tuple[int, ...]) -> Found:
    """Count the lengths at which sparse attention is slower: "many" is at least half.

    A length where the ranges of the timed steps overlap counts for neither. A single timed step has
    no range and leaves the claim open.
    """
    phrases, answers = zip(*(_count_slower(rows, number) for number in layers), strict=True)
    agrees = answers[0] if len(set(answers)) == 1 else None
    return Found("; ".join(phrases), agrees)


def _count_slower(rows: pd.DataFrame, layers: int) -> tuple[str, bool | None]:
    seconds = {
        end: _columns_by_model(rows, f"step_seconds_{end}", layers) for end in ("min", "max")
    }
    is_slower = seconds["min"]["bigbird"] > seconds["max"]["dense"]
    is_faster = seconds["max"]["bigbird"] < seconds["min"]["dense"]
    num_lengths, num_slower, num_faster = len(is_slower), is_slower.sum(), is_faster.sum()
    phrase = f"slower at {num_slower} of {num_lengths} lengths with {_num_layers(layers)}"
    if rows["steps"].min() < 2:
        return f"{phrase}, by one timed step each", None
    num_equal = num_lengths - num_slower - num_faster
    agrees = None
    if 2 * num_slower >= num_lengths:
        agrees = True
    elif 2 * (num_slower + num_equal) < num_lengths:
        agrees = False
    return phrase + (f", about equal at {num_equal}" if num_equal else ""), agrees


def studys_cpu_peaks_gb(attention: str) -> dict[int, float]:
    """Return the peaks of the study's code on a CPU in GB, by length in bp."""
    return {
        length: get_value(f"memory.code_{attention}_{length}bp_gb")
        for length in claims.CODE_LENGTHS_BP
    }


def _on_studys_card(compiled: pd.DataFrame) -> pd.DataFrame:
    """Select steps that were compiled for the study's card, in the columns of measured steps."""
    rows = compiled[(compiled["device"] == STUDYS_CARD) & compiled["peak_memory_gb"].notna()]
    return rows.assign(status="ok", resident_memory_gb=rows["argument_gb"], budget_gb=None)


def _columns_by_model(rows: pd.DataFrame, value: str, layers: int) -> pd.DataFrame:
    """Return one column per model, indexed by the lengths at which both were measured."""
    columns = {}
    for attention in _MODELS:
        steps = select_study_steps(rows, attention, layers)
        columns[attention] = steps.set_index("sequence_length_bp")[value]
    both = pd.DataFrame(columns).dropna().sort_index()
    if len(both) < 2:
        raise UndecidedError("fewer than two lengths at which both kinds were measured.")
    return both


def _fits_by_length(rows: pd.DataFrame) -> dict[int, bool | None]:
    """Tell for each length whether a step fits the study's card; None if that is unknown.

    A step that failed, or ran out of less memory than the card has, decides nothing.
    """
    card_gb = get_value("memory.budget_gb")
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


def _num_layers(layers: int) -> str:
    return f"{layers} layer{'s' if layers > 1 else ''}"


_Extract = Callable[[pd.DataFrame], Found]

_EXTRACTORS: dict[str, _Extract] = {
    "memory.dense_out_of_memory_bp": judge_out_of_memory,
    "memory.bigbird_trains_bp": judge_longest,
    "memory.crossover_bp": judge_crossover,
    "memory.growth": judge_growth,
    "memory.per_layer": judge_layer,
}
_STUDYS_EXTRACTORS = _EXTRACTORS | {"memory.crossover_bp": judge_studys_crossover}


def _judge_compiled(tables: Tables, *, extract: _Extract) -> Found:
    found = extract(tables["studys_code"])
    return found._replace(reason=found.reason or COMPILED)


def _judge_own(tables: Tables, *, extract: _Extract) -> Found:
    return extract(tables["this_code"])


def _judge_studys_time(tables: Tables) -> Found:
    steps = tables["studys_code"]
    where = f"run on an {steps['ran_on'].iloc[0]}, compiled as a whole, with 11 layers alone."
    return judge_slower(steps, layers=(NUM_LAYERS,))._replace(difference=where)


def _judge_own_time(tables: Tables) -> Found:
    return judge_slower(tables["this_code"], layers=(1, NUM_LAYERS))


MEMORY_JUDGES = tuple(
    judge
    for key, extract in _EXTRACTORS.items()
    for judge in (
        Judge(
            key,
            STUDYS_CODE,
            functools.partial(_judge_compiled, extract=_STUDYS_EXTRACTORS[key]),
            difference="",
            needs="studys_code",
        ),
        Judge(key, THIS_CODE, functools.partial(_judge_own, extract=extract), OTHER_CODE),
    )
)
"""Judges of `memory_tables`."""

RUNTIME_JUDGES = (
    Judge("runtime.slower", STUDYS_CODE, _judge_studys_time),
    Judge("runtime.slower", THIS_CODE, _judge_own_time, OTHER_CODE),
)
"""Judges of `runtime_tables`."""
