"""Load is shed while the event loop lags, and no longer."""

from service.inference.load_shedding import (
    HIGH_LAG_MS,
    HIGH_TICKS,
    LOW_LAG_MS,
    LOW_TICKS,
    MAX_ONE_OF,
    LoadShedder,
)


def test_lasting_high_lag_sheds_load_and_lasting_low_lag_ends_it():
    shedder, seen = LoadShedder(), []
    for ms in (
        HIGH_LAG_MS,
        *[9_999.0] * (HIGH_TICKS - 1),
        HIGH_LAG_MS,
        *[HIGH_LAG_MS + 1] * (HIGH_TICKS - 1),
    ):
        shedder.update(ms)
        assert shedder.one_of == 1
    for _ in range(100):
        shedder.update(HIGH_LAG_MS + 1)
        seen.append(shedder.one_of)
    assert seen[:4] == [2, 3, 4, 6]
    assert seen[-1] == MAX_ONE_OF
    for _ in range(LOW_TICKS - 1):
        shedder.update(LOW_LAG_MS)
    assert shedder.one_of == MAX_ONE_OF
    shedder.update(LOW_LAG_MS + 1)
    for _ in range(LOW_TICKS):
        shedder.update(LOW_LAG_MS)
    assert shedder.one_of == MAX_ONE_OF * 3 // 4
    for _ in range(100 * LOW_TICKS):
        shedder.update(0)
    assert shedder.one_of == 1
