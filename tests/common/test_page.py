"""Pages stand alone, and what people call their labels stays text."""

import re
from html.parser import HTMLParser

import pytest

from common.page import (
    LONG,
    STYLE,
    Html,
    bar,
    cards,
    chart,
    escape,
    folded,
    join,
    matrix,
    page,
    paragraph,
    table,
)

VOID = {"meta", "img", "br", "link"}


class Strict(HTMLParser):
    """Fails on a tag that is closed out of turn."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(text):
    parser = Strict()
    parser.feed(text)
    assert parser.open == []
    return parser.seen


@pytest.fixture
def whole():
    parts = join(
        table(["label", "F1"], [["<b>flute</b>", 0.51239], ["all", None]], strong="all"),
        matrix(["a", "b", "none"], [[3, 1], [0, 4], [0, 0]]),
        folded("More", "a < b"),
        chart("<svg><g></g></svg>", "x & y"),
        bar(0.25),
    )
    lead = paragraph("Which <i>instrument</i>?")
    return page(
        "A & B", [("One two", parts), ("Empty", Html())], lead=lead, before=cards([("0.5", "F1")])
    )


def test_every_tag_is_closed_in_turn_and_every_link_has_its_target(whole):
    seen = parsed(whole)
    ids = {attributes.get("id") for _, attributes in seen}
    links = [attributes["href"] for tag, attributes in seen if tag == "a"]
    assert links == ["#one-two"], "a section without content is left out"
    assert {link.removeprefix("#") for link in links} <= ids


def test_nothing_is_asked_of_the_network(whole):
    assert not re.search(r"https?://|@import|url\(|<script|<link", whole)


def test_words_of_others_stay_words(whole):
    assert "<b>flute</b>" not in whole
    assert "&lt;b&gt;flute&lt;/b&gt;" in whole
    assert "<title>A &amp; B</title>" in whole
    assert "<i>instrument" not in whole


def test_numbers_have_three_decimals_and_nothing_is_a_dash():
    assert [escape(value) for value in (0.51239, 7, None, Html("<b>"))] == [
        "0.512",
        "7",
        "-",
        "<b>",
    ]
    assert bar(None) == "-"


def test_a_matrix_shows_percentages_of_its_rows_and_leaves_out_empty_ones(whole):
    assert re.findall(r'title="(\d+)"[^>]*>(\d*)<', whole) == [
        ("3", "75"),
        ("1", "25"),
        ("0", ""),
        ("4", "100"),
    ]
    assert "<td>none</td>" not in whole


@pytest.mark.parametrize("length", [1, LONG, LONG + 1, 300])
def test_a_long_name_in_a_first_cell_is_cut_to_lines_and_has_all_as_its_title(length):
    name = "x" * length
    seen = [attributes for tag, attributes in parsed(table(["label"], [[name]])) if tag == "span"]
    assert seen == ([{"class": "long", "title": name}] if length > LONG else [])


def test_every_table_is_in_a_container_that_scrolls_and_that_the_keyboard_reaches(whole):
    tables = [match.start() for match in re.finditer("<table", whole)]
    assert len(tables) == 2
    for at in tables:
        assert whole[:at].endswith(
            '<div class="scroll" tabindex="0" role="region" aria-label="table">'
        )


def test_drawings_are_never_wider_than_their_page():
    rules = re.findall(r"([^{}]*svg)\s*\{([^}]*)\}", STYLE.read_text(encoding="utf-8"))
    charts = [body for selector, body in rules if selector.strip() == ".chart svg"]
    assert [("max-width: 100%" in body, "min-width" in body) for body in charts] == [(True, False)]


@pytest.mark.parametrize(
    ("value", "text"),
    [(-0.0004, "0.000"), (-0.0006, "-0.001"), (0.0, "0.000"), (None, "-"), (-3, "-3")],
)
def test_a_number_that_rounds_to_nothing_has_no_sign(value, text):
    assert escape(value) == text


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("share", [0, 0.25, 0.5, 0.75, 1])
def test_the_figure_in_a_cell_of_a_matrix_is_read_on_every_shade(theme, share):
    at = 0 if theme == "light" else 1
    style = STYLE.read_text(encoding="utf-8")
    paper, ink, accent = (
        [int(colours[at][n : n + 2], 16) for n in (0, 2, 4)]
        for name in ("paper", "ink", "accent")
        if (colours := re.findall(rf"--{name}: #([0-9a-f]{{6}})", style))
    )
    shade = share * int(re.findall(r"--fullest: (\d+)%", style)[at]) / 100
    ground = [shade * a + (1 - shade) * p for a, p in zip(accent, paper, strict=True)]
    dark, bright = sorted((_luminance(ink), _luminance(ground)))
    assert (bright + 0.05) / (dark + 0.05) >= 4.5, "WCAG AA"


def _luminance(colour):
    linear = [
        value / 255 / 12.92 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4
        for value in colour
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
