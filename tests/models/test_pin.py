"""Which version is served: the newest, the one chosen, and when a choice ends."""

import json

import pytest

from common.errors import ArtefactError
from models.pin import FILE, Pin, in_line, read_choice, successors, write_choice

CHOSEN = Pin(version="2", newest="9")


def test_a_choice_is_kept_read_and_taken_back_and_leaves_nothing_beside_it(tmp_path):
    assert read_choice(tmp_path) is None
    write_choice(tmp_path, CHOSEN)
    assert read_choice(tmp_path) == CHOSEN
    assert [each.name for each in tmp_path.iterdir()] == [FILE]
    write_choice(tmp_path, None)
    write_choice(tmp_path, None)
    assert list(tmp_path.iterdir()) == []


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
def test_nonsense_is_no_choice_and_says_what_one_looks_like(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ArtefactError, match='"newest"'):
        read_choice(tmp_path)


def test_a_choice_that_cannot_be_written_leaves_the_one_before(tmp_path):
    write_choice(tmp_path, CHOSEN)
    with pytest.raises(TypeError):
        write_choice(tmp_path, "nonsense")
    assert json.loads((tmp_path / FILE).read_text()) == {"version": "2", "newest": "9"}
    assert [each.name for each in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize(
    ("choice", "line"),
    [
        (None, ["10", "9", "2", "1"]),
        (Pin(version="2", newest="9"), ["10", "2", "9", "1"]),
        (Pin(version="2", newest="10"), ["2", "10", "9", "1"]),
        (Pin(version="3", newest="10"), ["10", "9", "2", "1"]),
        (Pin(version="10", newest="9"), ["10", "9", "2", "1"]),
    ],
)
def test_at_the_start_newer_ones_go_before_the_choice_and_the_choice_before_the_others(
    choice, line
):
    assert in_line(["1", "2", "9", "10"], choice) == line


@pytest.mark.parametrize(
    ("current", "choice", "changed", "expected"),
    [
        ("2", None, False, ["10", "9"]),
        ("10", None, False, []),
        ("11", None, False, []),  # its folder was removed
        ("2", CHOSEN, False, ["10"]),
        ("2", Pin(version="2", newest="10"), False, []),
        ("10", CHOSEN, False, []),  # newer than all there was: the choice is over
        ("9", CHOSEN, True, ["10", "2"]),
        ("2", CHOSEN, True, ["10"]),
        ("10", Pin(version="2", newest="10"), True, ["2"]),
        ("2", None, True, ["10", "9"]),  # taken back
        ("11", None, True, ["10", "9", "2", "1"]),
    ],
)
def test_while_one_is_served_only_newer_ones_or_a_new_choice_take_over(
    current, choice, changed, expected
):
    assert successors(["1", "2", "9", "10"], choice, current=current, changed=changed) == expected
