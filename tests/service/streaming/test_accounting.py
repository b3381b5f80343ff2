"""Every sample is counted with exactly one outcome."""

from hypothesis import given
from hypothesis import strategies as st

from service.streaming.accounting import SampleAccount


@st.composite
def histories(draw):
    """Windows in order of start, some answered, some dropped, with gaps between segments."""
    length = draw(st.integers(1, 40))
    hop = draw(st.integers(1, length))
    start, windows = 0, []
    for _ in range(draw(st.integers(0, 30))):
        windows.append((start, start + length, draw(st.booleans())))
        start += hop if draw(st.integers(0, 9)) else length + draw(st.integers(0, 50))
    return windows


@given(windows=histories(), tail=st.integers(0, 20))
def test_the_sums_equal_those_of_sets_of_samples(windows, tail):
    ledger = SampleAccount()
    answered, dropped = set(), set()
    for start, end, is_answered in windows:
        (ledger.answer if is_answered else ledger.drop)(start, end)
        (answered if is_answered else dropped).update(range(start, end))
        ledger.received = (windows[-1][1] if windows else 0) + tail
        assert ledger.processed == len(answered)
        assert ledger.dropped == len(dropped - answered)
        assert ledger.received == ledger.processed + ledger.dropped + ledger.tail
    assert ledger.windows == sum(is_answered for *_, is_answered in windows)
