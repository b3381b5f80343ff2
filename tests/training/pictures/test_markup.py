"""HTML as a tree, and selectors."""

import sys

import pytest

from training.pictures.markup import Selector, parse
from training.recipe import RecipeError

PAGE = """
<html><body class="shop dark">
<nav id=tree><ul><li><a href="/a" rel=next>A &amp; B</a><li><a class="big red" href=/c>C</a></ul></nav>
<div class="card"><p>one<p>two<img src="1.png"><br/><script>var a = "<p>no</p>";</script></div>
<div class="card wide"><span><img data-x='y z'></span></div>
<p>open <b>bold</p> after
"""


def found(selector, html=PAGE):
    return [element.attributes.get("href") or element.tag for element in Selector.parse(selector).all(parse(html))]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("a", ["/a", "/c"]),
        (".red.big", ["/c"]),
        ("#tree a[rel=next]", ["/a"]),
        ('a[rel="next"]', ["/a"]),
        ("ul > a", []),
        ("li > a.red", ["/c"]),
        ("body.dark .card img", ["img", "img"]),
        (".card > img", []),
        (".card > span > img, nav#tree > ul", ["ul", "img"]),
        ("div.wide > *", ["span"]),
        ("[data-x]", ["img"]),
        ("p img", ["img"]),
        ("video", []),
        ("A", ["/a", "/c"]),
    ],
)
def test_a_selector_finds_what_it_says_in_the_order_of_the_page(selector, expected):
    assert found(selector) == expected


@pytest.mark.parametrize("selector", ["", "a,", "> a >", "a:hover", "a[", "a + b", "li..x", "a >"])
def test_what_is_not_understood_is_refused(selector):
    with pytest.raises(RecipeError, match="selector"):
        Selector.parse(selector)


def test_text_is_what_a_reader_sees():
    page = parse(PAGE)
    assert Selector.parse("#tree li").first(page).text == "A & B"
    assert Selector.parse(".card").first(page).text == "one two"
    assert Selector.parse("video").first(page) is None


def test_elements_nested_without_end_do_not_end_the_program():
    deep = 50_000
    assert deep > sys.getrecursionlimit()
    page = parse("<div>" * deep + "<a href=/x>x</a>" + "</div>" * deep)
    assert found("a", "<div>" * deep + "<a href=/x>x</a>") == ["/x"]
    assert page.text == "x"


@pytest.mark.parametrize("html", ["", "<", "<a", "</p></p>", "<!--", "<![CDATA[", "\0<a href=>", "<a href='x"])
def test_broken_pages_are_read_as_far_as_they_go(html):
    assert found("a", "<a href=/y>y</a>" + html)[0] == "/y"
