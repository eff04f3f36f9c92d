import re
from collections import Counter

import numpy as np
import pytest
from senformer_book import diagrams

from senformer.model.attention.random_blocks import random_blocks


@pytest.mark.parametrize("plan", ["published", "uniform"])
def test_the_blocks_that_are_drawn_are_those_that_a_head_attends_to(plan):
    pattern = diagrams.attention_pattern(plan)
    [drawn] = random_blocks(24 * 64, num_heads=1, plan=plan)
    for row in range(1, 23):
        ends, window = {0, 23}, {row - 1, row, row + 1} - {0, 23}
        assert set(np.flatnonzero(pattern[row] == "global")) == ends
        assert set(np.flatnonzero(pattern[row] == "window")) == window
        assert set(np.flatnonzero(pattern[row])) == ends | window | set(drawn[row - 1])
    assert set(pattern[0]) == set(pattern[-1]) == {"global"}


def test_every_computed_pair_is_one_square():
    pattern = diagrams.attention_pattern("published")
    drawing = diagrams.sparse_attention().split("</svg>")[0]
    squares = Counter(re.findall(r'<rect class="diagram-(global|window|random)"', drawing))
    assert squares == Counter(pattern[pattern != ""])


@pytest.mark.parametrize("draw", [diagrams.architecture, diagrams.sparse_attention])
def test_drawings_speak_to_who_cannot_see_them(draw):
    drawing = draw()
    labelled = re.findall(r'<svg class="diagram" [^>]*role="img" aria-label="[^"]{40,}"', drawing)
    assert len(labelled) == drawing.count('<svg class="diagram"') > 0
