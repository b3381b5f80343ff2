"""What a check says, as text and as a page of one file."""

from service.monitor.check.findings import findings
from service.monitor.check.page import NOTHING, html_page, text_lines
from tests.service.monitor.check.sounds import hum, measured, room


def test_a_fault_is_told_with_what_to_do_and_shown_where_it_is():
    sound = measured(room() + hum(50, level=-40))
    found = findings(sound)
    lines = list(text_lines("mic", sound, found))
    assert lines[0] == "mic: 12.0 s of 24,000 Hz, 1 channel"
    assert lines[2].startswith("  wrong: hum of the mains (50 Hz)")
    assert lines[3].startswith("  to do: ")
    page = html_page("mic", sound, found)
    assert page.count('class="mark"') == 3
    assert "Hum of the mains (50 Hz)" in page
    assert NOTHING not in page


def test_a_good_sound_is_told_to_be_good():
    sound = measured(room())
    assert list(text_lines("mic", sound, []))[-1].strip() == NOTHING
    page = html_page("mic", sound, [])
    assert NOTHING in page
    assert 'class="mark"' not in page


def test_the_page_asks_nobody_for_anything_and_escapes_the_name():
    page = html_page("<b>&", measured(room()[:100]), [])
    assert "<b>&</h1>" not in page
    assert "&lt;b&gt;&amp;" in page
    assert not any(each in page for each in ("src=", "href=", "url(", "@import", "<script"))
