"""Markdown shows text of users verbatim and runs nothing of it."""

import pytest
from docutils import nodes
from docutils.core import publish_doctree
from myst_parser.parsers.docutils_ import Parser

from senformer.report import markdown

TEXTS = (
    "AMD EPYC (family 25, model 17), 2 CPU cores, TensorFlow's own kernels",
    "<script>window.ran=1</script>",
    "a\n\n<script>window.ran=1</script>\n\nb",
    "```{literalinclude} /etc/hostname\n```",
    "a\n````{include} /etc/hostname\n````\n",
    ":::{note}\nx\n:::",
    "{{ title }} and {% raw %} and ${HOME} and $(id)",
    "{doc}`index` {download}`x </etc/hostname>`",
    "`code` ``more`` *emphasis* __strong__ ~~no~~ $x^2$ $$y$$",
    "[x](javascript:1) ![y](z) <https://a.b> [^1] [x]: y",
    "&amp; &lt;b&gt; &#60; \\< \\n",
    "\"double\" 'single' -- --- ...",
    "1. one",
    "- one",
    "+ one",
    "(target)=",
    "% comment",
    "# title",
    "> quote",
    "| a | b |\n| - | - |",
    "term\n: definition",
    "    indented",
    "---",
    "{.class} [x]{.class}",
    "{x}",
    "a | b \\",
)


def parse(text):
    extensions = ["colon_fence", "deflist", "dollarmath", "substitution", "attrs_inline"]
    options = {"myst_enable_extensions": extensions, "myst_substitutions": {"title": "X"}}
    return publish_doctree(text, parser=Parser(), settings_overrides={"report_level": 1, **options})


@pytest.mark.parametrize("text", TEXTS)
def test_escape_shows_text_verbatim(text):
    verbatim = " ".join(text.split())
    for before, after in (("", ""), ("before ", " after"), ("* - ", "")):
        shown = parse(f"{before}{markdown.escape(text)}{after}")
        kinds = {type(node) for node in shown.findall(nodes.Element)}
        assert kinds <= {nodes.document, nodes.paragraph, nodes.bullet_list, nodes.list_item}
        assert shown.astext() == f"{before}{verbatim}{after}".removeprefix("* - ")


@pytest.mark.parametrize("text", TEXTS)
def test_fence_shows_text_verbatim(text):
    [block] = parse(markdown.fence(text)).children
    assert isinstance(block, nodes.literal_block)
    assert block.astext().rstrip() == text.rstrip()
