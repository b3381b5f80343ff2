"""Who is next: live before clips, streams in turn, nobody for ever."""

import pytest

from service.backlog import Backlog, Turns


@pytest.fixture
def backlog():
    return Backlog(limit=3)


def test_streams_take_turns_and_keep_their_own_order():
    turns = Turns()
    for item in ("a1", "a2", "a3", "b1", "c1", "b2"):
        turns.add(item[0], item, item)
    assert [turns.pop() for _ in range(len(turns))] == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_what_is_discarded_never_comes_and_leaves_no_trace():
    turns = Turns()
    turns.add("a", "a1", 1)
    turns.add("a", "a2", 2)
    turns.discard("a", "a1")
    turns.discard("a", "a1")
    turns.discard("b", "b1")
    assert (len(turns), turns.pop(), len(turns)) == (1, 2, 0)
    with pytest.raises(KeyError):
        turns.pop()
    assert turns._streams == {}


def test_live_items_come_before_clips_that_wait_longer(backlog):
    backlog.add("clip", "c1", "c1", live=False)
    backlog.add("clip", "c2", "c2", live=False)
    backlog.add("stream", "s1", "s1", live=True)
    assert backlog.take(2) == ["s1", "c1"]
    assert backlog.take(2) == ["c2"]
    assert backlog.take(2) == []


def test_clips_cannot_take_the_room_of_live_items(backlog):
    for key in "123":
        backlog.add("clip", key, key, live=False)
    assert backlog.full(live=False)
    assert not backlog.full(live=True)
    backlog.discard("clip", "2", live=False)
    assert not backlog.full(live=False)
