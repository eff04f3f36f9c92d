"""Colours and markers are distinct, on light and dark pages and for all readers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from senformer.attention_kinds import KINDS
from senformer.data.tracks import TRACK_TYPES
from senformer.report.figures import style

ATTENTION_COLORS = [kind.color for kind in KINDS.values()]
TRACK_TYPE_COLORS = [look.color for look in style.TRACK_TYPE_LOOKS.values()]
PALETTES = [[*ATTENTION_COLORS, style.NEUTRAL_COLOR], list(dict.fromkeys(TRACK_TYPE_COLORS))]


def test_kinds_of_attention_have_distinct_looks():
    for name in ("color", "symbol", "label"):
        values = [getattr(kind, name) for kind in KINDS.values()]
        assert len(set(values)) == len(values)


def test_track_types_have_distinct_looks():
    assert tuple(style.TRACK_TYPE_LOOKS) == TRACK_TYPES
    assert len({look[1:3] for look in style.TRACK_TYPE_LOOKS.values()}) == len(TRACK_TYPES)


def test_models_of_one_colour_differ_in_marker():
    models = ["S-Enformer, warm start", "S-Enformer, warm start, untrained", "mine"]
    first, second, other = style.model_looks(models).values()
    assert first.color == second.color == KINDS["bigbird_relative"].color
    assert first.symbol != second.symbol
    assert other.color == style.NEUTRAL_COLOR


@pytest.mark.parametrize("page", ["#ffffff", "#121212"])
@pytest.mark.parametrize("color", sorted({*PALETTES[0], *PALETTES[1]}))
def test_colours_contrast_with_a_page(color, page):
    light, dark = sorted([luminance(color), luminance(page)], reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 3


@pytest.mark.parametrize("colors", PALETTES, ids=["attention", "track_type"])
@pytest.mark.parametrize("sight", ["normal", "protanopia", "deuteranopia", "tritanopia"])
def test_colours_differ_for_colour_blind_readers(sight, colors):
    seen = [lab(SIGHT[sight] @ linear(color)) for color in colors]
    for (a, first), (b, second) in itertools.combinations(zip(colors, seen, strict=True), 2):
        assert np.linalg.norm(first - second) > 12, (a, b)


# Machado, Oliveira, Fernandes 2009: linear RGB as seen with each kind of colour blindness.
SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}


def linear(color: str) -> np.ndarray:
    srgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def luminance(color: str) -> float:
    return float(linear(color) @ [0.2126, 0.7152, 0.0722])


def lab(rgb: np.ndarray) -> np.ndarray:
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = to_xyz @ np.clip(rgb, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
