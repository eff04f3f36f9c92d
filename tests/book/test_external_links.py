from senformer_book.external_links import listed


def test_each_address_is_listed_once_with_the_pages_that_link_to_it():
    pages = {
        "b.html": '<a class="x" href="https://doi.org/1?a=1&amp;b=2">1</a> <a href="a.html">a</a>',
        "a.html": '<a href="https://doi.org/1?a=1&amp;b=2">1</a><a href="http://z.org/">z</a>',
    }
    assert listed(pages) == "http://z.org/\ta.html\nhttps://doi.org/1?a=1&b=2\ta.html, b.html\n"
