import re

import numpy as np
import pytest

from senformer.model.attention.random_blocks import random_blocks
from senformer.workflow import site

NUM_BLOCKS = 24
PLANS = ("published", "uniform")


def expected_pattern(plan):
    """Return the part of the pattern, or "", of each pair of blocks in the first head."""
    [drawn] = random_blocks(NUM_BLOCKS * 64, num_heads=1, plan=plan)
    pattern = np.full((NUM_BLOCKS, NUM_BLOCKS), "", dtype="<U6")
    for query in range(1, NUM_BLOCKS - 1):
        pattern[query, drawn[query - 1]] = "random"
        pattern[query, query - 1 : query + 2] = "window"
    pattern[[0, -1], :] = pattern[:, [0, -1]] = "global"
    return pattern


@pytest.mark.parametrize("plan", PLANS)
def test_pattern_drawing_shows_the_first_head(plan):
    panels = (site.BOOK / "diagrams/sparse_attention.html").read_text().split("</svg>")
    drawn = np.full((NUM_BLOCKS, NUM_BLOCKS), "", dtype="<U6")
    square = r'class="diagram-(\w+)" [^>]*><title>Block (\d+) attends to block (\d+): \1<'
    for part, query, key in re.findall(square, panels[PLANS.index(plan)]):
        drawn[int(query), int(key)] = part
    np.testing.assert_array_equal(drawn, expected_pattern(plan))


@pytest.mark.parametrize("name", ["architecture.svg", "sparse_attention.html"])
def test_drawings_have_a_text_alternative(name):
    drawing = (site.BOOK / "diagrams" / name).read_text()
    labelled = re.findall(r'<svg class="diagram" [^>]*role="img" aria-label="[^"]{40,}"', drawing)
    assert len(labelled) == drawing.count('<svg class="diagram"') > 0
