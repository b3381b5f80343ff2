"""The order of jobs: live before clips, round robin of streams, no starvation."""

from collections import Counter, defaultdict

import pytest

from service.queue.fair import STALE, FairQueue, RoundRobin


@pytest.fixture
def queue():
    return FairQueue(limit=3, max_size=10)


def put(queue, key, *, live=True, size=1, stale=9.0):
    queue.add(key[0], key, key, live=live, size=size, stale=stale)


def test_streams_take_turns_and_keep_their_own_order():
    turns = RoundRobin()
    for item in ("a1", "a2", "a3", "b1", "c1", "b2"):
        turns.add(item[0], item, item)
    assert [turns.pop() for _ in range(len(turns))] == [
        (item, []) for item in ("a1", "b1", "c1", "a2", "b2", "a3")
    ]


def test_a_discarded_item_is_never_popped_and_frees_all_state():
    turns = RoundRobin()
    turns.add("a", "a1", 1, size=5)
    turns.add("a", "a2", 2, size=7)
    turns.discard("a", "a1")
    turns.discard("a", "a1")
    turns.discard("b", "b1")
    assert (len(turns), turns.size, turns.pop(), len(turns), turns.size) == (1, 7, (2, []), 0, 0)
    with pytest.raises(KeyError):
        turns.pop()
    assert turns._streams == {}


@pytest.mark.parametrize(("now", "found"), [(4.9, [("a1", []), ("b1", []), ("a2", []), ("a3", [])]),
                                            (5.0, [("a3", ["a1", "a2"]), ("b1", [])])])  # fmt: skip
def test_once_the_oldest_of_a_stream_is_stale_its_newest_goes_in_its_turn(now, found):
    turns = RoundRobin()
    for at, item in enumerate(("a1", "b1", "a2", "a3")):
        turns.add(item[0], item, item, stale=5.0 + at)
    assert [turns.pop(now=now) for _ in found] == found
    assert len(turns) == 0


def test_a_stream_that_was_late_once_keeps_its_place_in_turn():
    turns = RoundRobin()
    for item in ("a1", "b1", "a2"):
        turns.add(item[0], item, item)
    turns.discard("a", "a1")
    assert [turns.pop()[0], turns.pop()[0]] == ["a2", "b1"]


def test_only_a_streams_own_oldest_is_replaced():
    turns = RoundRobin()
    for item in ("a1", "b1", "a2"):
        turns.add(item[0], item, item)
    assert (turns.pop_oldest("a"), turns.pop_oldest("c"), len(turns)) == ("a1", None, 2)


def test_live_items_come_before_clips_that_wait_longer(queue):
    for key, live in (("c1", False), ("c2", False), ("s1", True)):
        put(queue, key, live=live)
    assert queue.pop(2, now=0.0) == (["s1", "c1"], [])
    assert queue.pop(2, now=0.0) == (["c2"], [])
    assert queue.pop(2, now=0.0) == ([], [])


def test_stale_items_do_not_count_towards_the_batch(queue):
    for key in ("a1", "a2", "b1"):
        put(queue, key, stale=1.0)
    assert queue.pop(2, now=1.0) == (["a2", "b1"], ["a1"])


def test_windows_of_a_clip_are_never_replaced_however_long_they_wait(queue):
    for key in ("c1", "c2", "d1"):
        put(queue, key, live=False, stale=1.0)
    assert queue.pop(3, now=9.0) == (["c1", "d1", "c2"], [])


def test_clips_cannot_take_the_room_of_live_items(queue):
    for key in "123":
        put(queue, key, live=False)
    assert queue.full(live=False, size=0)
    assert not queue.full(live=True, size=0)
    queue.discard("2", "2", live=False)
    assert not queue.full(live=False, size=0)


@pytest.mark.parametrize(("size", "full"), [(3, False), (4, True)])
def test_the_bound_in_size_holds_at_both_sides(queue, size, full):
    put(queue, "a1", size=7)
    assert queue.full(live=True, size=size) == full
    assert not queue.full(live=False, size=10)
    queue.pop(1, now=0.0)
    assert not queue.full(live=True, size=10)


class Simulation:
    """Streams that submit on a schedule and a model of a fixed speed, without a clock."""

    BATCH, STEP_MS = 8, 16
    DEADLINE_MS = 400

    def __init__(self):
        self.queue = FairQueue(limit=1_000, max_size=10_000)
        self.full_batches = 0
        self.answered = Counter()
        self.overtaken = Counter()
        self.ages_ms = defaultdict(list)

    def run(self, streams, *, steps):
        """streams: name: milliseconds between two jobs."""
        due = dict.fromkeys(streams, 0)
        for now in range(0, steps * self.STEP_MS, self.STEP_MS):
            for stream, every in streams.items():
                while due[stream] <= now:
                    self.submit(stream, due[stream])
                    due[stream] += every
            items, overtaken = self.queue.pop(self.BATCH, now=now)
            self.full_batches += len(items) == self.BATCH
            self.overtaken.update(stream for stream, _ in overtaken)
            for stream, since in items:
                self.answered[stream] += 1
                self.ages_ms[stream].append(now + self.STEP_MS - since)

    def submit(self, stream, now):
        item = (stream, now)
        stale = now + STALE * self.DEADLINE_MS
        if self.queue.full(live=True, size=1):
            self.queue.pop_oldest(stream)
        self.queue.add(stream, now, item, live=True, size=1, stale=stale)


def test_under_threefold_overload_batches_stay_full_results_are_recent_and_shares_fair():
    simulation = Simulation()
    # 75 streams every 50 ms are 1,500 jobs a second; the model runs 500.
    simulation.run({f"s{n}": 50 for n in range(75)}, steps=200)
    assert simulation.full_batches == 200
    ages = [age for each in simulation.ages_ms.values() for age in each]
    assert max(ages) < simulation.DEADLINE_MS
    assert min(simulation.answered.values()) >= 0.7 * 200 * 8 / 75


def test_a_stream_ten_times_too_fast_delays_no_other():
    simulation = Simulation()
    # 20 streams need 200 jobs a second of 500; the greedy one alone submits 1,000.
    simulation.run({"greedy": 1} | {f"s{n}": 100 for n in range(20)}, steps=200)
    assert simulation.overtaken.keys() == {"greedy"}
    for n in range(20):
        assert simulation.answered[f"s{n}"] == 32
        # At most the steps in which all streams have their turn once, and the one that runs.
        assert max(simulation.ages_ms[f"s{n}"]) <= (21 // 8 + 2) * 16
    # The greedy one gets the rest.
    assert simulation.answered["greedy"] > 200


def test_the_oldest_clip_is_that_which_was_added_first_of_all_streams():
    queue = FairQueue(limit=9, max_size=9)
    for name, live in (("a1", False), ("a2", False), ("b1", False), ("c1", True)):
        queue.add(name[0], name, name, live=live, size=1, stale=0.0)
    assert queue.oldest_clip == "a1"
    queue.discard("a", "a1", live=False)
    assert queue.oldest_clip == "a2"
    queue.pop(2, now=0.0)
    assert queue.oldest_clip == "b1"
    queue.discard("b", "b1", live=False)
    assert queue.oldest_clip is None
