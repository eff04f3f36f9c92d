import pytest

from senformer.lean_styles import classes_of, lean_css

PAGE = """<p class="used btn-primary" id="x">unused</p><p class='md:wide'><p class="">"""
USED = classes_of([PAGE], ["element.classList.add('from-script')"])


@pytest.mark.parametrize(
    ("css", "lean"),
    [
        ("p, .used { color: red }", "p,.used{color: red}"),
        (".unused { color: red } p { margin: 0 }", "p{margin: 0}"),
        (".used .unused, .used > .btn-primary { a: b }", ".used > .btn-primary{a: b}"),
        (".from-script:hover { a: b }", ".from-script:hover{a: b}"),
        (".md\\:wide, .md\\:unused { a: b }", ".md\\:wide{a: b}"),
        ("p:not(.unused) { a: b }", "p:not(.unused){a: b}"),
        (":is(.unused, p) { a: b }", ":is(.unused, p){a: b}"),
        ("@media print { .unused { a: b } .used { c: d } }", "@media print{.used{c: d}}"),
        ("@media print { .unused { a: b } }", ""),
        ("@keyframes k { from { a: b } to { c: d } }", "@keyframes k{ from { a: b } to { c: d } }"),
        ("@import url(a.css); .unused { a: b }", "@import url(a.css);"),
        ("/* .used { */ p { a: b }", "p{a: b}"),
        ('p::after { content: "} .unused {" }', 'p::after{content: "} .unused {"}'),
        ("p { width: 1.5em; background: url(a.png) }", "p{width: 1.5em; background: url(a.png)}"),
    ],
)
def test_only_rules_that_can_apply_stay(css, lean):
    assert lean_css(css, USED) == lean


@pytest.mark.parametrize("css", ["p { a: b", 'p::after { content: "x }', "p"])
def test_a_broken_style_sheet_is_refused(css):
    with pytest.raises(ValueError, match="style sheet"):
        lean_css(css, USED)
