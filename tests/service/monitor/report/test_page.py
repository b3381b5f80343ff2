"""The page of a report: an empty lane is none heard, a hatched one is not listening."""

import re
from zoneinfo import ZoneInfo

import pytest

from service.monitor.report.archive import read_archives
from service.monitor.report.page import MOST_LANES, _length, html_page
from tests.service.monitor.report.test_archive import DAY, HOUR, event, heard, written

ZONE = ZoneInfo("UTC")


async def page(path, *records):
    return html_page(read_archives([await written(path, *records)], zone=ZONE), "a,b\n")


def masks(text, number=0):
    """The stops at which hatching begins and ends: (not listening, for a part)."""
    found = re.search(rf"\.source{number} \.track {{ --off: (.*); --part: (.*); }}", text)
    return [re.findall(r"#000 ([\d.]+)% ([\d.]+)%", each) for each in found.groups()]


async def test_minutes_without_sound_are_hatched_and_those_without_events_are_not(tmp_path):
    text = await page(
        tmp_path / "a",
        heard(DAY, 4),
        heard(DAY + 4 * 60_000, 2, not_connected_ms=60_000),
        heard(DAY + 6 * 60_000, 2),
        [event(DAY + 60_000, 30)],
    )
    assert masks(text) == [[("50.000", "75.000")], []]
    # Half of a minute has the third shade; that minute only.
    assert re.findall(r'class="event (o\d)" d="(.*?)"', text) == [("o3", "M1 0h1v100h-1z")]


@pytest.mark.parametrize(
    ("heard_ms", "off", "part"), [(0, 1, 0), (1, 0, 1), (53_000, 0, 1), (55_000, 0, 0)]
)
async def test_a_part_that_was_not_heard_is_hatched_paler(heard_ms, off, part, tmp_path):
    other = heard(DAY, 1, heard_ms=heard_ms, not_connected_ms=60_000 - heard_ms)
    text = await page(tmp_path / "a", other, heard(DAY + 60_000))
    assert [len(each) for each in masks(text)] == [off, part]


async def test_the_coverage_is_as_high_as_its_shares(tmp_path):
    states = {"heard_ms": 30_000, "clipped_ms": 15_000, "not_connected_ms": 15_000}
    text = await page(tmp_path / "a", heard(DAY, 2, **states))
    assert re.findall(r'class="s(\d)" d="(.*?)"', text) == [
        ("0", "M0 50h2v50h-2z"),
        ("2", "M0 25h2v25h-2z"),
    ]


async def test_a_source_that_began_later_was_not_listening_before(tmp_path):
    text = await page(tmp_path / "a", heard(DAY, 4), heard(DAY + 120_000, 2, source="yard"))
    assert masks(text, 1)[0] == [("0.000", "50.000")]


async def test_hours_are_rates_of_the_time_listened(tmp_path):
    events = [event(DAY + number * 1_000, 0.5) for number in range(3)]
    text = await page(tmp_path / "a", heard(DAY, 30), heard(DAY + HOUR, 60), events)
    assert "0:00: 6 an hour, 30 min listened" in text
    assert "1:00: 0 an hour, 60 min listened" in text
    assert text.count(": not listening") == 22
    assert "at most 6 at 0:00" in text


@pytest.mark.parametrize(("labels", "more"), [(MOST_LANES, False), (MOST_LANES + 1, True)])
async def test_lanes_are_limited_and_the_rest_is_told(labels, more, tmp_path):
    events = [event(DAY, 1, label=f"bird {number}") for number in range(labels)]
    text = await page(tmp_path / "a", heard(DAY), events)
    assert text.count('class="lane"') == MOST_LANES
    assert ("1 labels with fewer events" in text) is more


async def test_nothing_heard_at_all_is_said(tmp_path):
    assert "no event of any label" in await page(tmp_path / "a", heard(DAY))


async def test_the_page_asks_nobody_for_anything_and_escapes_labels(tmp_path):
    text = await page(tmp_path / "a", heard(DAY), [event(DAY, 1, label="<script>&\n")])
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert re.findall(r'(?:href|src)="(\w+:)', text) == ["data:"]


async def test_a_month_of_two_sources_is_a_small_page(tmp_path):
    month = [each for name in ("a", "b") for each in heard(DAY, 600, source=name)]
    ends = heard(DAY + 30 * 24 * HOUR) + heard(DAY + 30 * 24 * HOUR, source="b")
    events = [
        event(DAY + number * 100_000, 2, label=f"bird {number % 40}") for number in range(1_700)
    ]
    assert len(await page(tmp_path / "a", month, ends, events)) < 200_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (38, "38 s"), (99.4, "99 s"), (100, "2 min"), (5_999, "100 min"),
        (6_000, "1.7 h"), (36e6, "10,000.0 h"),
    ],
)  # fmt: skip
def test_a_length_of_time_has_its_own_unit(seconds, text):
    assert _length(seconds) == text
