"""The page of a rehearsal holds all it needs, and says what other thresholds would have told."""

import json
import re
from pathlib import Path

import pytest

from models.manifest import Label
from models.store import Store
from service.rehearsal.compare import Heard, changes
from service.rehearsal.page import MOST_ROWS, counts, html_page, thresholds, to_be_heard
from service.rehearsal.play import STEPS, Played

PATH = Path("hall/<b>.wav")
BEFORE = [Heard("tone", 1, 2, 0.9), Heard("tone", 20, 24, 0.8)]
AFTER = [Heard("tone", 20, 27, 0.8), Heard("noise", 40, 41, 0.7)]


def played(before=BEFORE, after=AFTER, *, lower=()):
    at = {
        name: {
            step: [each for each in (*after, *(lower if step < 0.5 else ())) if each.label == name]
            for step in STEPS
        }
        for name in ("tone", "noise")
    }
    return Played(PATH, "hall", 60.0, list(before), list(after), changes(before, after), at)


@pytest.fixture(scope="module")
def manifest(artefacts):
    return Store(artefacts).load("toy").manifest


def page(manifest, *some, clips=None, command="timbre"):
    parts = html_page(manifest, manifest, some, [], clips or {}, command=command)
    return "".join(parts)


def data(text):
    return json.loads(re.search(r'id="data">(.*?)</script>', text)[1])


def test_events_are_counted_by_label():
    assert counts([played()]) == {
        "noise": {"before": 0, "after": 1, "won": 1, "lost": 0, "moved": 0},
        "tone": {"before": 2, "after": 1, "won": 0, "lost": 1, "moved": 1},
    }


def test_a_change_is_shown_with_its_sound_and_its_place(manifest):
    text = page(manifest, played(), clips={(PATH, 0): "data:a", (PATH, 9): "data:b"})
    assert re.findall(r'class="kind (\w+)".*?</div>', text) == ["won", "lost", "moved"]
    # The lost event at 1 s begins with its clip, the won one at 40 s 3 s behind its own.
    assert re.findall(r'data-clip="(\d)" data-at="([\d.]+)"', text) == [
        ("1", "3.00"),
        ("0", "0.00"),
    ]
    assert "20.0 to 27.0 s, before 20.0 to 24.0 s" in text
    assert data(text)["clips"] == ["data:a", "data:b"]


@pytest.mark.parametrize(("count", "more"), [(MOST_ROWS, 0), (MOST_ROWS + 3, 3)])
def test_rows_are_limited_and_the_rest_is_told(count, more, manifest):
    events = [Heard("tone", 2 * number, 2 * number + 1, 0.9) for number in range(count)]
    text = page(manifest, played([], events))
    assert text.count('class="kind won"') == MOST_ROWS
    assert (f"{more} more are not shown" in text) is bool(more)


def test_a_slider_knows_what_each_threshold_would_have_told(manifest):
    found = data(page(manifest, played(lower=[Heard("tone", 50, 51, 0.4)])))["labels"]["tone"]
    by_step = {step: (count, len(more), len(less)) for step, count, more, less in found["steps"]}
    assert (found["threshold"], found["count"]) == (0.5, 1)
    assert by_step[0.5] == by_step[0.95] == (1, 0, 0)
    assert by_step[0.45] == by_step[0.05] == (2, 1, 0)


@pytest.mark.parametrize(("threshold", "count"), [(0.5, 19), (0.437, 20), (0.99, 20)])
def test_the_own_threshold_is_a_position(threshold, count):
    steps = thresholds(Label(name="a", threshold=threshold))
    assert threshold in steps
    assert len(steps) == count


def test_changes_are_heard_before_what_thresholds_would_change():
    wanted = to_be_heard([played(lower=[Heard("tone", 50, 51, 0.4)])])[PATH]
    assert [each.start for each in wanted[:3]] == [1, 20, 40]
    assert 50 in {each.start for each in wanted}


def test_the_page_asks_nobody_and_escapes_what_it_is_given(manifest):
    text = page(manifest, played(), command="</script><b>'")
    assert "<b>.wav" not in text
    assert text.count("</script>") == 2
    assert data(text)["command"] == "</script><b>'"
    assert not re.search(r"https?://|src=|@import|url\(", text)
