"""HTML as a tree, and selectors."""

import sys

import pytest

from common.errors import InputError
from training.common.recipe import RecipeError
from training.pictures.collect import html
from training.pictures.collect.html import Selector, parse

PAGE = """
<html><body class="shop dark">
<nav id=tree><ul><li><a href="/a" rel=next>A &amp; B</a>\
<li><a class="big red" href=/c>C</a></ul></nav>
<div class="card"><p>one<p>two<img src="1.png"><br/><script>var a = "<p>no</p>";</script></div>
<div class="card wide"><span><img data-x='y z'></span></div>
<p>open <b>bold</p> after
"""


def found(selector, html=PAGE):
    return [
        element.attributes.get("href") or element.tag
        for element in Selector.parse(selector).all(parse(html))
    ]


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
        ("body > nav li a", ["/a", "/c"]),
        ("body > ul li > a", []),
        ("div > p img, div > div", ["img"]),
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
    deep = 5_000
    assert deep > sys.getrecursionlimit()
    page = parse("<div>" * deep + "<a href=/x>x</a>" + "</div>" * deep)
    assert found("a", "<div>" * deep + "<a href=/x>x</a>") == ["/x"]
    assert page.text == "x"


@pytest.mark.parametrize(
    "html", ["", "<", "<a", "</p></p>", "<!--", "<![CDATA[", "\0<a href=>", "<a href='x"]
)
def test_broken_pages_are_read_as_far_as_they_go(html):
    assert found("a", "<a href=/y>y</a>" + html)[0] == "/y"


@pytest.mark.parametrize(
    ("html", "attributes"),
    [
        ("<a href=/x/ CLASS='b c'>", {"href": "/x/", "class": "b c"}),
        ("<a href = '/x' href=/y>", {"href": "/x"}),
        ('<a data-a="1 > 0" b>', {"data-a": "1 > 0", "b": ""}),
        ("<a href=/x?a=1&amp;b=2 / >", {"href": "/x?a=1&b=2"}),
        ("<a =b c=d>e", {"=b": "", "c": "d"}),
        ("<a\nhref\n=\n/x\n>", {"href": "/x"}),
    ],
)
def test_attributes_are_read_as_browsers_do(html, attributes):
    assert Selector.parse("a").all(parse(html))[0].attributes == attributes


def test_what_is_no_tag_is_passed_over():
    head = "<!doctype html><?xml x?><![if mso]></3><!-- <a> > -->"
    page = parse(f"{head}<p>1 < 2<style>p{{}}</style ><STYLE><a></sTyLe> ok")
    assert Selector.parse("a").all(page) == []
    assert page.text == "1 < 2 ok"


@pytest.mark.parametrize(
    "part",
    [
        "<",
        "<a",
        "<a b='",
        "<!--",
        "<!",
        "<?",
        "</a",
        "</a>",
        "<![CDATA[",
        "<script>",
        "<a x ",
        "&",
        "&#x",
        "x=\"'",
    ],
)
def test_a_page_made_to_take_for_ever_is_read_at_once(part):
    text = part * 30_000
    assert parse(text).tag == ""
    assert Selector.parse("nav div a").all(parse("<a " + text)) == []


def test_a_selector_looks_once_at_each_element_however_deep_the_page_is(monkeypatch):
    seen, real = [], html._matching_parts
    monkeypatch.setattr(
        html, "_matching_parts", lambda *given: seen.append(given[-1]) or real(*given)
    )
    page = parse("<ul>" * 150 + "<a>" * 1_000)
    assert Selector.parse("nav ul ul ul a, nav > ul ul > a").all(page) == []
    assert len(seen) == 2 * 1_150


def test_the_elements_of_a_page_are_bounded(monkeypatch):
    monkeypatch.setattr(html, "MAX_ELEMENTS", 2_000)
    assert len(parse("<br>" * 2_000).children) == 2_000
    with pytest.raises(InputError, match="more than 2,000 elements"):
        parse("<br>" * 2_001)
