from senformer_book.external_links import list_links


def test_list_links_names_each_address_once():
    pages = {
        "b.html": '<a class="x" href="https://doi.org/1?a=1&amp;b=2">1</a> <a href="a.html">a</a>',
        "a.html": '<a href="https://doi.org/1?a=1&amp;b=2">1</a><a href="http://z.org/">z</a>',
    }
    assert list_links(pages) == "http://z.org/\ta.html\nhttps://doi.org/1?a=1&b=2\ta.html, b.html\n"
