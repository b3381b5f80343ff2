"""The pages that numbered links name, and those between them."""

import pytest

from training.pictures.collect.result_pages import Link, numbered_pages


def pages_of(links, *, most=200):
    return numbered_pages([Link(*link) for link in links.items()], most=most)


@pytest.mark.parametrize(
    "url",
    [
        "http://s.example/c?page={0}",
        "http://s.example/c2/p{0}.html?n=100",
        "http://s.example/c/{0}/",
        "http://s.example/c?from={00}&n=100",
    ],
)
def test_pages_between_two_links_are_found_up_to_the_highest_number(url):
    def of(page):
        return url.replace("{00}", str(100 * (page - 1))).replace("{0}", str(page))

    found = pages_of({"1": "http://s.example/c", "2": of(2), "3": of(3), "12": of(12)})
    assert found == {page: of(page) for page in range(2, 13)}


def test_a_link_to_the_last_page_counts_by_its_url():
    found = pages_of({"2": "/c?p=2", "3": "/c?p=3", "»": "/c?p=2", "last": "/c?p=9", "Help": "/h"})
    assert found == {page: f"/c?p={page}" for page in range(2, 10)}


@pytest.mark.parametrize(("most", "last"), [(4, 4), (5, 5), (200, 5)])
def test_pages_end_at_the_limit(most, last):
    links = {"2": "/c?p=2", "3": "/c?p=3", "5": "/c?p=5"}
    assert list(pages_of(links, most=most)) == list(range(2, last + 1))


def test_a_number_of_a_billion_is_cut_at_the_limit():
    links = {"2": "/c?p=2", "3": "/c?p=3", "1000000000": "/c?p=1000000000"}
    assert list(pages_of(links)) == list(range(2, 201))


def test_urls_that_follow_no_rule_are_taken_as_they_are():
    assert pages_of({"2": "/c/two", "3": "/c/three", "7": "/c/x7"}) == {
        2: "/c/two",
        3: "/c/three",
        7: "/c/x7",
    }
    assert pages_of({"2": "/c?p=02", "4": "/c?p=04"}) == {2: "/c?p=02", 4: "/c?p=04"}
    assert pages_of({"2": "/c?p=2"}) == {2: "/c?p=2"}
    assert pages_of({"3": "/c?p=1", "4": "/c?p=0"}) == {3: "/c?p=1", 4: "/c?p=0"}


def test_without_numbers_there_are_no_pages():
    assert pages_of({"next": "/c?p=2", "1": "/c", "²": "/c?p=3", "-2": "/d", "": "/e"}) == {}
