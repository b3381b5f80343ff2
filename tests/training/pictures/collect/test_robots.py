"""Rules for crawlers."""

import pytest

from training.pictures.collect.robots import Robots


def allowed(rules, path, *, agent="Timbre/0.1"):
    return Robots.parse(rules, agent).allow(f"https://s.example{path}")


@pytest.mark.parametrize(
    ("rule", "path", "free"),
    [
        ("", "/x", True),
        ("/", "/x", False),
        ("/x", "/xy", False),
        ("/x", "/", True),
        ("/x/", "/x", True),
        ("/*?sid=", "/c/a?sid=1", False),
        ("/*?sid=", "/c/a?page=1", True),
        ("/*.png$", "/a/b.png", False),
        ("/*.png$", "/a/b.png?x", True),
        ("/a*b*c$", "/abbc", False),
        ("/a*b*c$", "/abcb", True),
        ("/a*a$", "/a", True),
        ("/a$", "/a", False),
        ("/a$", "/ab", True),
        ("*", "/x", False),
        ("/caf%C3%A9", "/caf\u00e9/1", False),
        ("/caf\u00e9", "/caf%c3%a9/1", False),
        ("/a%20b", "/a b", False),
    ],
)
def test_a_rule_forbids_what_it_says(rule, path, free):
    assert allowed(f"User-agent: *\nDisallow: {rule}\n", path) == free


@pytest.mark.parametrize(
    ("path", "free"),
    [("/a", False), ("/a/b", True), ("/a/b/c", False), ("/tie", True), ("/else", True)],
)
def test_the_longest_rule_decides_and_of_two_alike_the_one_that_allows(path, free):
    rules = (
        "User-agent: *\nDisallow: /a\nAllow: /a/b\nDisallow: /a/b/c\nAllow: /tie\nDisallow: /tie"
    )
    assert allowed(rules, path) == free


GROUPS = """\ufeff# about us
Sitemap: https://s.example/map
Disallow: /before-any-agent

User-agent: Other
User-agent: timbre # us
Crawl-delay: 2.5
Disallow: /one
User-Agent: *
Disallow: /all

user-agent:Timbre/2
DISALLOW : /two
"""


@pytest.mark.parametrize(
    ("agent", "forbidden"),
    [
        ("Timbre/0.1", ["/one", "/two"]),
        ("timbre (me@s.example)", ["/one", "/two"]),
        ("Other", ["/one"]),
        ("Timbrel", ["/all"]),
        ("", ["/all"]),
    ],
)
def test_rules_are_those_of_ones_own_name_else_those_for_all(agent, forbidden):
    paths = ("/before-any-agent", "/one", "/two", "/all")
    assert [path for path in paths if not allowed(GROUPS, path, agent=agent)] == forbidden


@pytest.mark.parametrize(
    ("value", "delay"), [("2.5", 2.5), ("10", 10), ("-1", 0), ("nan", 0), ("1e9", 0), ("", 0)]
)
def test_the_delay_is_a_plain_number(value, delay):
    assert Robots.parse(f"User-agent: *\nCrawl-delay: {value}", "x").delay == delay


@pytest.mark.parametrize(
    "text", ["", "<html>404</html>", "User-agent", ":::", "\0" * 1_000, "Disallow: /"]
)
def test_what_holds_no_rules_forbids_nothing(text):
    assert allowed(text, "/x")


def test_many_stars_are_matched_at_once():
    rules = "User-agent: *\nDisallow: /" + "a*" * 100_000 + "b$"
    assert allowed(rules, "/" + "a" * 200_000)
