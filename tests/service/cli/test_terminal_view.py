"""The picture in the terminal, at the sizes people have."""

import io

import numpy as np
import pytest
from rich.console import Console

from service.cli.stream_state import MESSAGE_WINDOWS, StreamState
from service.cli.terminal_view import arrange, bar, hue, render
from service.client.events import Reconnect
from service.protocol import Dropped, Warn
from tests.service.cli.test_stream_state import board, label_event, window

INSTRUMENTS = [
    "piano",
    "harpsichord",
    "violin",
    "viola",
    "cello",
    "contrabass",
    "horn",
    "oboe",
    "bassoon",
    "clarinet",
    "flute",
]


def lines(seen, width, height):
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(render(seen, width=width, height=height))
    return console.file.getvalue().rstrip("\n").split("\n")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 17), (200, 60)])
def test_eleven_lanes_fit_the_terminal_to_the_column(width, height):
    seen = board(source="a-rather-long-name-of-a-recording-of-a-quintet.ogg")
    seen.thresholds = dict.fromkeys(INSTRUMENTS, 0.5)
    for _ in range(300):
        seen.record(window())
    seen.add_samples(np.full(1_000, 0.5, np.float32))
    shown = lines(seen, width, height)
    assert len(shown) <= height
    assert max(map(len, shown)) == width - 2
    for name in INSTRUMENTS:
        assert sum(f" {name} " in line for line in shown) == 1
    assert any(line.endswith("▇" * 15) or "█" * 15 in line for line in shown)


def test_a_lane_shows_label_score_threshold_and_history():
    seen = board()
    for violin in (0.1, 0.5, 1.0):
        seen.record(window(violin=violin))
    [lane] = [line for line in lines(seen, 80, 8) if "violin" in line]
    assert lane.startswith("  ● violin ")
    assert "┃" in lane
    assert " 1.00 " in lane
    assert lane.endswith(" ▁▄█")
    [other] = [line for line in lines(seen, 80, 8) if "cello" in line]
    assert "●" not in other
    assert "│" in other


def test_the_history_is_taller_where_there_is_room():
    assert arrange(INSTRUMENTS, width=80, height=24).rows == 1
    assert arrange(INSTRUMENTS, width=120, height=40).rows == 2
    assert arrange(INSTRUMENTS, width=120, height=80).rows == 3


def test_a_warning_is_shown_and_its_kind_stays():
    seen = board()
    seen.record(Warn(kind="silence", detail="is the microphone on?", from_sample=0))
    assert "is the microphone on?" in lines(seen, 80, 8)[-1]
    for _ in range(MESSAGE_WINDOWS + 1):
        seen.record(window())
    assert lines(seen, 80, 8)[-1].strip() == "warnings: silence"


def test_drops_are_drawn_as_a_gap():
    seen = board()
    seen.record(window())
    seen.record(Dropped(from_sample=0, to_sample=2_000, reason="late"))
    seen.record(window())
    shown = lines(seen, 80, 8)
    assert sum("╎" in line for line in shown) == 2
    assert "dropped 1" in shown[1]
    assert "dropped 2.0 s (late)" in shown[-1]


def test_a_lost_connection_is_shown_with_its_reason():
    seen = board()
    seen.record(Reconnect(attempt=1, wait_s=0.1, detail="cannot reach http://h:1"))
    shown = lines(seen, 80, 24)
    assert "● reconnecting" in shown[0]
    assert "cannot reach http://h:1" in shown[-1]


def test_lanes_that_do_not_fit_are_counted():
    seen = board()
    seen.thresholds = dict.fromkeys(INSTRUMENTS, 0.5)
    shown = lines(seen, 80, 12)
    assert len(shown) <= 12
    assert "5 more labels" in shown[-1]


@pytest.mark.parametrize("width", [1, 10, 30])
def test_a_tiny_terminal_is_no_error(width):
    seen = StreamState(source="mic", rate=1, url="http://h", model="toy", thresholds={})
    lines(seen, width, 1)
    lines(board(), width, 3)


def test_the_bar_has_its_mark_at_the_threshold_and_half_columns():
    assert bar(0.0, 0.5, 4, "red").plain == "──│─"
    assert bar(0.375, 0.75, 4, "red").plain == "━╸─│"
    assert bar(1.0, 0.5, 4, "red").plain == "━━┃━"
    assert bar(7.0, 1.0, 4, "red").plain == "━━━┃"


def test_every_lane_has_its_own_colour():
    assert len({hue(index, 11) for index in range(11)}) == 11


def test_events_that_last_are_in_the_last_line():
    seen = board()
    seen.record(window())
    seen.record(label_event("violin", 0.0))
    assert lines(seen, 80, 24)[-1].strip() == "events: violin 0:02"
    seen.record(label_event("violin", 0.0, 2.0))
    assert "events" not in lines(seen, 80, 24)[-1]
