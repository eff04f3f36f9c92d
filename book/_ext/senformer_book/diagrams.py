"""The book's drawings, as SVG in the page: the architecture and the pattern of sparse attention.

They follow the page's theme (`currentColor`, CSS classes of diagrams.css) and need no script. A
page asks for one with the directive `diagram`, by its name.
"""

import html
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from senformer.attention_kinds import attention_kind
from senformer.model.attention.random_blocks import DEFAULT_BLOCK_SIZE, random_blocks

NUM_BLOCKS = 24
"""Blocks that Enformer's 1,536 tokens make."""

_STYLE = Path(__file__).parent / "diagrams.css"
_WIDTH = 440
_CELL = 16


def attention_pattern(plan: str) -> np.ndarray:
    """Say which part of sparse attention, if any, lets one block of tokens see another.

    Args:
        plan: Where random blocks are drawn from, as of `random_blocks`: the first head of the first
            layer is drawn, as the models draw it.

    Returns:
        Array of strings `[query blocks, key blocks]`: `global`, `window`, `random` or "". Rows of
        the first and last block are all `global`.
    """
    [drawn] = random_blocks(NUM_BLOCKS * DEFAULT_BLOCK_SIZE, num_heads=1, plan=plan)
    pattern = np.full((NUM_BLOCKS, NUM_BLOCKS), "", dtype="<U6")
    for query in range(1, NUM_BLOCKS - 1):
        pattern[query, drawn[query - 1]] = "random"
        pattern[query, query - 1 : query + 2] = "window"
    pattern[[0, -1], :] = "global"
    pattern[:, [0, -1]] = "global"
    return pattern


def sparse_attention() -> str:
    """Draw the two plans of random blocks side by side, with one legend."""
    legend = "".join(
        f'<span class="diagram-key"><svg viewBox="0 0 1 1" aria-hidden="true">'
        f'<rect class="diagram-{part}" width="1" height="1"/></svg>{words}</span>'
        for part, words in (
            ("global", "global: the first and last block see and are seen by all"),
            ("window", "window: a block and its two neighbours"),
            ("random", "random: three more blocks"),
        )
    )
    panels = _pattern_svg("published", "Random blocks as published") + _pattern_svg(
        "uniform", "Random blocks drawn from everywhere"
    )
    return f'<div class="diagram-panels">{panels}</div><p class="diagram-legend">{legend}</p>'


def _pattern_svg(plan: str, title: str) -> str:
    pattern = attention_pattern(plan)
    size = len(pattern)
    top, left = 44, 26
    cells = "".join(
        f'<rect class="diagram-{pattern[query, key]}"'
        f' x="{left + key * _CELL}" y="{top + query * _CELL}"'
        f' width="{_CELL - 1}" height="{_CELL - 1}">'
        f"<title>Block {query} sees block {key}: {pattern[query, key]}</title></rect>"
        for query, key in zip(*np.nonzero(pattern), strict=True)
    )
    side = size * _CELL
    frame = (
        f'<rect class="diagram-frame" x="{left - 1}" y="{top - 1}"'
        f' width="{side + 1}" height="{side + 1}"/>'
    )
    middle = left + side / 2
    words = (
        _text(middle, 14, title, "diagram-title")
        + _text(middle, 36, "Block of keys (64 tokens each)")
        + _text(-(top + side / 2), 14, "Block of queries", transform="rotate(-90)")
    )
    label = f"{title}: {size} by {size} blocks, of which {np.count_nonzero(pattern)} are computed."
    return _svg(left + side + 4, top + side + 4, frame + cells + words, label)


# Each stage: its name, what it does, and the shape after it at Enformer's size.
_STAGES = (
    ("DNA, one-hot", "A, C, G, T; N is zeros", "196,608 × 4"),
    ("Stem", "convolution of 15, then pooling by 2", "98,304 × 768"),
    ("Tower", "six times: convolution of 5, pooling by 2", "1,536 × 1,536"),
    ("Transformer", "eleven times: attention, then two dense layers", "1,536 × 1,536"),
    ("Crop", "320 tokens off each end", "896 × 1,536"),
    ("Pointwise", "one more convolution, of 1", "896 × 3,072"),
)


def architecture() -> str:
    """Draw Enformer from DNA to tracks, with the one place where the two models differ."""
    gap, box_height, y = 22, 46, 6
    parts = []
    for name, what, shape in _STAGES:
        parts.append(_box(20, y, _WIDTH - 40, box_height, name, what, shape))
        y += box_height
        if name == "Transformer":
            parts.append(_two_kinds_of_attention(y))
            y += 74
        parts.append(_arrow(_WIDTH / 2, y, y + gap))
        y += gap
    half = (_WIDTH - 50) / 2
    parts.append(_box(20, y, half, box_height, "Human head", "5,313 tracks"))
    parts.append(_box(30 + half, y, half, box_height, "Mouse head", "1,643 tracks"))
    label = (
        "Enformer: DNA passes a convolutional stem and tower to 1,536 tokens, eleven transformer "
        "layers, a crop to 896 tokens and a head for each organism. S-Enformer replaces the "
        "attention alone."
    )
    return _svg(_WIDTH, y + box_height + 6, "".join(parts), label)


def _two_kinds_of_attention(y: float) -> str:
    half = (_WIDTH - 90) / 2
    return (
        f'<path class="diagram-line" d="M20 {y} V{y + 66} H{_WIDTH - 20} V{y}"/>'
        + _box(38, y + 10, half, 46, "Enformer", "self-attention", attention="dense")
        + _box(52 + half, y + 10, half, 46, "S-Enformer", "sparse attention", attention="bigbird")
    )


def _box(
    x: float,
    y: float,
    width: float,
    height: float,
    name: str,
    what: str,
    shape: str = "",
    attention: str = "",
) -> str:
    stroke = f"stroke:{attention_kind(attention).color};stroke-width:2.5" if attention else ""
    return (
        f'<rect class="diagram-box" style="{stroke}" x="{x}" y="{y}"'
        f' width="{width}" height="{height}" rx="5"/>'
        + _text(x + 12, y + 19, name, "diagram-title", anchor="start")
        + _text(x + 12, y + 36, what, "diagram-note", anchor="start")
        + (_text(x + width - 12, y + 19, shape, "diagram-note", anchor="end") if shape else "")
    )


def _arrow(x: float, top: float, bottom: float) -> str:
    head = f"M{x - 5} {bottom - 8} L{x} {bottom - 1} L{x + 5} {bottom - 8}"
    return f'<path class="diagram-line" d="M{x} {top + 2} V{bottom - 1} {head}"/>'


def _text(
    x: float, y: float, words: str, style: str = "", *, anchor: str = "middle", transform: str = ""
) -> str:
    turned = f' transform="{transform}"' if transform else ""
    place = f'x="{x}" y="{y}" text-anchor="{anchor}"{turned}'
    return f'<text class="{style}" {place}>{html.escape(words)}</text>'


def _svg(width: float, height: float, content: str, label: str) -> str:
    return (
        f'<svg class="diagram" viewBox="0 0 {width:g} {height:g}" style="max-width:{width:g}px"'
        f' role="img" aria-label="{html.escape(label)}">{content}</svg>'
    )


_DIAGRAMS: dict[str, Callable[[], str]] = {
    "architecture": architecture,
    "sparse-attention": sparse_attention,
}


class Diagram(SphinxDirective):
    """Put a drawing on the page; the directive's content is its caption."""

    required_arguments = 1
    has_content = True

    def run(self) -> Sequence[nodes.Node]:
        """Build the figure's nodes.

        Raises:
            docutils.parsers.rst.DirectiveError: if there is no such drawing.
        """
        name = self.arguments[0]
        if name not in _DIAGRAMS:
            raise self.error(f"unknown diagram {name!r}, expected one of {', '.join(_DIAGRAMS)}")
        figure = nodes.container(classes=["diagram-figure"])
        figure += nodes.raw("", _DIAGRAMS[name](), format="html")
        caption = nodes.container(classes=["diagram-caption"])
        self.state.nested_parse(self.content, self.content_offset, caption)
        return [figure, caption]


def setup(app: Sphinx) -> None:
    """Register the directive and the style."""
    app.add_directive("diagram", Diagram)
    app.connect("builder-inited", _copy_style)
    app.add_css_file(_STYLE.name)


def _copy_style(app: Sphinx) -> None:
    if app.builder.format == "html":
        static = Path(app.outdir) / "_static"
        static.mkdir(parents=True, exist_ok=True)
        (static / _STYLE.name).write_bytes(_STYLE.read_bytes())
