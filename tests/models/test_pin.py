"""Which version is served: the newest, the pinned one, and when a pin ends."""

import json

import pytest

from common.errors import ArtefactError
from models.pin import FILE, Pin, load_order, read_pin, update_candidates, write_pin

PINNED = Pin(version="2", newest="9")


def test_a_pin_is_kept_read_and_taken_back_and_leaves_nothing_beside_it(tmp_path):
    assert read_pin(tmp_path) is None
    write_pin(tmp_path, PINNED)
    assert read_pin(tmp_path) == PINNED
    assert [each.name for each in tmp_path.iterdir()] == [FILE]
    write_pin(tmp_path, None)
    write_pin(tmp_path, None)
    assert list(tmp_path.iterdir()) == []


def test_only_the_pin_of_an_unloaded_model_says_so(tmp_path):
    write_pin(tmp_path, PINNED)
    assert json.loads((tmp_path / FILE).read_text()) == {"version": "2", "newest": "9"}
    unloaded = Pin(version="2", newest="9", unloaded=True)
    write_pin(tmp_path, unloaded)
    assert read_pin(tmp_path) == unloaded


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "2",
        '{"version": "2"}',
        '{"version": 2, "newest": "9"}',
        '{"version": "../2", "newest": "9"}',
    ],
)
def test_nonsense_is_no_pin_and_says_what_one_looks_like(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ArtefactError, match='"newest"'):
        read_pin(tmp_path)


def test_a_pin_that_cannot_be_written_leaves_the_one_before(tmp_path):
    write_pin(tmp_path, PINNED)
    with pytest.raises(TypeError):
        write_pin(tmp_path, "nonsense")
    assert json.loads((tmp_path / FILE).read_text()) == {"version": "2", "newest": "9"}
    assert [each.name for each in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize(
    ("pin", "line"),
    [
        (None, ["10", "9", "2", "1"]),
        (Pin(version="2", newest="9"), ["10", "2", "9", "1"]),
        (Pin(version="2", newest="10"), ["2", "10", "9", "1"]),
        (Pin(version="3", newest="10"), ["10", "9", "2", "1"]),
        (Pin(version="10", newest="9"), ["10", "9", "2", "1"]),
    ],
)
def test_at_the_start_newer_ones_go_before_the_pin_and_the_pin_before_the_others(pin, line):
    assert load_order(["1", "2", "9", "10"], pin) == line


@pytest.mark.parametrize(
    ("current", "pin", "changed", "expected"),
    [
        ("2", None, False, ["10", "9"]),
        ("10", None, False, []),
        ("11", None, False, []),  # its folder was removed
        ("2", PINNED, False, ["10"]),
        ("2", Pin(version="2", newest="10"), False, []),
        ("10", PINNED, False, []),  # newer than all there was: the pin is over
        ("9", PINNED, True, ["10", "2"]),
        ("2", PINNED, True, ["10"]),
        ("10", Pin(version="2", newest="10"), True, ["2"]),
        ("2", None, True, ["10", "9"]),  # taken back
        ("11", None, True, ["10", "9", "2", "1"]),
    ],
)
def test_while_one_is_served_only_newer_ones_or_a_new_pin_take_over(
    current, pin, changed, expected
):
    assert (
        update_candidates(["1", "2", "9", "10"], pin, current=current, pin_changed=changed)
        == expected
    )
