"""A shop's pages."""

import pytest

from training.pictures.collect.crawl_state import Item
from training.pictures.collect.fetcher import Fetched
from training.pictures.collect.shop import Select, Shop, slug

SELECT = Select(categories="nav a", products=".product", next="a.next")
PAGE = """
<nav><a href="/c/electric?sid=9#x">Electric guitars</a><a href="b/">  bass
 guitars </a><a href="/d">Drums</a><a>No link</a></nav>
<div class=product><img src="data:x" data-src="//img.example/1.png"><h3>First</h3></div>
<div class=product><img src="i/2.png?v=2" alt="Second one">text</div>
<div class=product><img src="">nothing</div><div class=product>no picture</div>
<a class=next href="?page=2&sid=9">more</a>
"""


def shop(**changes):
    return Shop(**{"root": "http://s.example", "select": SELECT, **changes})


def read(html=PAGE, item=None, **changes):
    item = item or Item(kind="page", url="http://s.example/c/", path=("Guitars",))
    return shop(**changes).read(item, Fetched(item.url, "text/html", "utf-8", html.encode()))


def of_kind(items, kind, number=1):
    return [item for item in items if item.kind == kind and item.number == number]


def test_the_root_is_the_first_page():
    assert shop().start() == [Item(kind="page", url="http://s.example/")]


def test_products_give_pictures_with_title_page_and_path():
    first, second = of_kind(read(), "picture")
    assert first.url == "http://img.example/1.png"
    assert first.about == {"title": "First", "page": "http://s.example/c/"}
    assert second.url == "http://s.example/c/i/2.png?v=2"
    assert second.about["title"] == "Second one"
    assert second.path == ("Guitars",)


def test_categories_that_begin_with_an_allowed_word_are_followed():
    items = of_kind(read(allow=("ELECTRIC", "bass"), ignore=("sid",)), "page")
    assert [(item.url, item.path) for item in items] == [
        ("http://s.example/c/electric", ("Guitars", "Electric guitars")),
        ("http://s.example/c/b/", ("Guitars", "bass guitars")),
    ]
    assert len(of_kind(read(), "page")) == 3


@pytest.mark.parametrize(("depth", "count"), [(1, 0), (2, 3)])
def test_categories_end_at_the_depth(depth, count):
    assert len(of_kind(read(depth=depth), "page")) == count


@pytest.mark.parametrize(("number", "more"), [(1, True), (2, True), (3, False)])
def test_results_end_at_their_bound_and_only_their_first_page_has_categories(number, more):
    item = Item(kind="page", url="http://s.example/c/", path=("Guitars",), number=number)
    items = read(item=item, results=3, ignore=("sid",))
    following = of_kind(items, "page", number + 1)
    assert [one.url for one in following] == ["http://s.example/c/?page=2"] * more
    assert bool([one for one in items if one.kind == "page" and one.number == 1]) is (number == 1)


def numbers(*pages):
    return "".join(f"<a class=page href='?page={page}'>{page}</a>" for page in pages)


def following(html, number=1, **changes):
    """Return number and query of the results pages that a page leads to."""
    item = Item(kind="page", url="http://s.example/c/", path=("Guitars",), number=number)
    found = [one for one in read(html, item, **changes) if one.kind == "page"]
    return [(one.number, one.url.partition("?")[2]) for one in found]


def upto(last):
    return [(page, f"page={page}") for page in range(2, last + 1)]


@pytest.mark.parametrize(
    "select",
    [
        {},
        {"next": "a.page"},
        {"pages": "a.page"},
        {"pages": "a.page", "next": "a.last"},
    ],
)
def test_numbered_pages_are_all_followed_up_to_the_highest_number(select):
    chosen = Select(categories="nav a", products=".product", **select)
    assert following(numbers(1, 2, 3, 9), select=chosen) == upto(9)


def test_a_next_link_is_followed_alone_unless_pages_are_selected():
    html = "<a class=next href='?page=2'>next</a>" + numbers(2, 3, 9)
    assert following(html) == [(2, "page=2")]
    both = Select(categories="nav a", products=".product", next="a.next", pages="a.page")
    assert following(html, select=both) == upto(9)


def test_numbers_that_do_not_lead_on_are_no_pages():
    assert following(numbers(38, 39, 40)) == []
    assert following(numbers(1, 2, 3), number=3) == []
    assert following(numbers(1, 2, 4), number=3) == [(2, "page=2"), (4, "page=4")]


@pytest.mark.parametrize(("results", "last"), [(1, 1), (3, 3), (4, 4), (9, 4)])
def test_numbered_pages_end_at_the_limit_of_results(results, last):
    assert following(numbers(2, 3, 4), results=results) == upto(last)


def test_labels_are_named_by_the_recipe_or_the_last_category():
    named = shop(labels={"elec": "guitar", "bass": "bass"})
    assert named.label(("All", "Electric guitars", "Bass-like")) == "guitar"
    assert named.label(("All", "Acoustic & more")) == "acoustic-more"
    assert named.label(()) == "unsorted"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../etc", "etc"),
        ("Été / Hiver", "été-hiver"),
        ("...", "unnamed"),
        ("a" * 200, "a" * 80),
        ("日" * 90, "日" * 26),
    ],
)
def test_a_name_becomes_a_folder_that_stays_inside(name, expected):
    assert slug(name) == expected


def test_links_that_are_no_addresses_are_handed_on_to_be_refused_by_name():
    html = (
        "<nav><a href='http://[oops'>x</a></nav><div class=card><img src='http://[' alt='"
        + "y" * 5_000
        + "'></div>"
    )
    items = read(html, select=Select(categories="nav a", products=".card"))
    assert [item.url for item in items] == ["http://[", "http://[oops"]
    assert len(items[0].about["title"]) == 200
