"""The replay buffer and the account of a client, without a network."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.client.replay import AnsweredWindows, ReplayBuffer


def account(rate=22_050, *, hop=11_264, window=44_100):
    ratio = rate / 22_050
    return AnsweredWindows(
        hop=hop * ratio, window=window * ratio, sample_rate=rate, model_rate=22_050
    )


def test_a_buffer_returns_what_was_appended_until_it_is_dropped():
    buffer = ReplayBuffer(frame_bytes=2, capacity=10)
    buffer.append(b"aabbcc")
    assert (buffer.start, buffer.end, buffer.room) == (0, 3, 7)
    assert buffer.read(1, limit=1) == b"bb"
    buffer.forget(2)
    assert buffer.read(2, limit=9) == b"cc"
    assert (buffer.start, buffer.end) == (2, 3)


def test_a_full_buffer_loses_its_oldest_samples_only():
    buffer = ReplayBuffer(frame_bytes=1, capacity=4)
    for data in (b"abc", b"def", b"g"):
        buffer.append(data)
    assert (buffer.start, buffer.end) == (3, 7)
    assert buffer.read(3, limit=9) == b"defg"


def test_a_buffer_takes_whole_frames_only():
    with pytest.raises(ValueError, match="3 bytes"):
        ReplayBuffer(frame_bytes=2, capacity=4).append(b"abc")


def test_a_window_has_one_answer_however_often_it_comes():
    book = account()
    assert book.answer(0)
    assert not book.answer(0)
    assert book.answer(2 * 11_264)
    assert not book.answer(2 * 11_264)
    assert book.next == 1
    assert book.answer(11_264)
    assert book.next == 3


def test_a_drop_gives_up_the_windows_wholly_inside_it():
    book = account()
    book.answer(0)
    assert book.drop(11_264, 11_264 + 44_100) == 1
    assert book.next == 2
    assert book.drop(2 * 11_264, 4 * 11_264 + 44_100) == 3
    assert book.drop(5 * 11_264, 5 * 11_264 + 44_000) == 0


def test_replay_begins_at_the_window_itself_when_nothing_is_resampled():
    book = account()
    book.answer(0)
    assert book.needed() == 11_264


@given(
    rate=st.sampled_from([8_000, 11_025, 16_000, 44_100, 48_000, 96_000, 192_000]),
    windows=st.integers(0, 500),
)
def test_replay_begins_where_both_rates_meet_and_early_enough_for_the_resampler(rate, windows):
    book = account(rate)
    for index in range(windows):
        assert book.answer(book.start(index))
    needed = book.needed()
    assert needed * 22_050 % rate == 0
    assert needed == 0 or 0.1 * rate <= book.start(windows) - needed <= 0.2 * rate


@given(
    rate=st.sampled_from([8_000, 22_050, 48_000]),
    gone=st.integers(0, 10**7),
    answered=st.integers(0, 30),
)
def test_dropped_sound_is_counted_and_the_rest_is_kept(rate, gone, answered):
    book = account(rate)
    for index in range(answered):
        book.answer(book.start(index))
    first, lost = book.resume(gone)
    assert first == book.needed()
    assert lost == book.next - answered
    assert lost == 0 or first >= gone
    # The window before the first one kept could not have been had.
    assert lost == 0 or book.start(book.next - 1) - gone < 0.15 * rate + 160


def test_windows_answered_out_of_order_are_not_counted_as_lost():
    book = account()
    book.answer(2 * 11_264)
    assert book.resume(11_264 * 4) == (4 * 11_264, 3)
