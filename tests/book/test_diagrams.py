import re
from collections import Counter

import numpy as np
import pytest
from senformer_book import diagrams

from senformer.model.attention import bigbird


@pytest.mark.parametrize("plan", ["published", "uniform"])
def test_drawn_pattern_has_the_parts_of_the_attention_that_is_computed(plan):
    pattern = diagrams.attention_pattern(plan=plan)
    computed = bigbird.random_blocks(24 * 64, num_heads=200, plan=plan)
    for row in range(1, 23):
        drawn = set(np.flatnonzero(pattern[row] == "random"))
        assert len(drawn) == 3
        assert drawn <= set(computed[:, row - 1].ravel())
        assert set(np.flatnonzero(pattern[row] == "global")) == {0, 23}
        assert set(np.flatnonzero(pattern[row] == "window")) == {row - 1, row, row + 1} - {0, 23}
    assert set(pattern[0]) == set(pattern[-1]) == {"global"}


def test_every_computed_pair_is_one_square():
    pattern = diagrams.attention_pattern()
    drawing = diagrams.sparse_attention().split("</svg>")[0]
    squares = Counter(re.findall(r'<rect class="diagram-(global|window|random)"', drawing))
    assert squares == Counter(pattern[pattern != ""])


@pytest.mark.parametrize("draw", [diagrams.architecture, diagrams.sparse_attention])
def test_drawings_speak_to_who_cannot_see_them(draw):
    drawing = draw()
    labelled = re.findall(r'<svg class="diagram" [^>]*role="img" aria-label="[^"]{40,}"', drawing)
    assert len(labelled) == drawing.count('<svg class="diagram"') > 0
