"""Each fault is told on one side of its bound, and a good sound is told to be one."""

from pathlib import Path

import numpy as np
import pytest

from service.monitor.check import findings as rules
from service.monitor.check.findings import ADVICE, findings
from tests.service.monitor.check.sounds import (
    NOISE,
    RATE,
    TIME,
    db,
    hum,
    low_passed,
    measured,
    recording,
    room,
    wind,
)

AUDIO = Path(__file__).parents[5] / "shared" / "data" / "audio"
LONG = [
    "ensemble/string-orchestra-brahms-hungarian-dance-5.ogg",
    "philharmonia/clarinet/clarinet_D3_very-long_piano_normal.mp3",
    "vsco/horn/G2-soft.ogg",
]


def kinds(sound, **options):
    return [each.kind for each in findings(measured(sound, **options))]


def test_a_room_with_notes_is_fine():
    assert kinds(room()) == []


@pytest.mark.parametrize("mains", [50, 49.9, 60, 60.1])
def test_hum_is_told_with_its_mains_and_harmonics(mains):
    (found,) = findings(measured(room() + hum(mains, level=-50)))
    near = round(mains / 10) * 10
    assert found.kind == "hum"
    assert found.hertz == (near, 2 * near, 3 * near)
    assert f"({near} Hz) at -49 dB" in found.detail


def test_hum_of_a_rectifier_lacks_its_first_harmonic():
    (found,) = findings(measured(room() + hum(50, level=-50, numbers=(2, 4))))
    assert found.hertz == (100, 200)


@pytest.mark.parametrize(("level", "told"), [(-77, ["hum"]), (-84, [])])
def test_hum_that_is_quieter_than_sound_is_none(level, told):
    assert kinds(room(level=-100) + hum(60, level=level)) == told


@pytest.mark.parametrize(
    "sound",
    [
        hum(50, level=-50, numbers=(1,)),
        hum(55, level=-50),
        hum(49, level=-50),
        hum(50, level=-40) * (TIME % 3 < 1.5),
        hum(50, level=-50) * (TIME < 6),
    ],
    ids=["one line", "55 Hz", "49 Hz", "a bass that pauses", "half of the time"],
)
def test_other_low_sound_is_no_hum(sound):
    assert "hum" not in kinds(room() + sound)


def test_a_short_note_is_no_hum():
    assert kinds((room() + hum(50, level=-50))[: 9 * RATE]) == []
    assert kinds((room() + hum(50, level=-50))[: 10 * RATE]) == ["hum"]


@pytest.mark.parametrize(("share", "told"), [(0.75, []), (0.85, ["rumble"])])
def test_wind_is_nearly_all_there_is(share, told):
    tone = np.sin(2 * np.pi * 440 * TIME)
    both = wind(level=-23) * share**0.5 + tone * 0.1 * (1 - share) ** 0.5
    assert kinds(both + db(-60) * NOISE) == told


@pytest.mark.parametrize("level", [-57, -63])
def test_a_breath_that_is_hardly_heard_is_no_wind(level):
    assert ("rumble" in kinds(wind(level=level))) is (level > rules.WIND_DB)


def test_a_low_note_is_no_wind():
    assert kinds(np.sin(2 * np.pi * 41.2 * TIME) * 0.1 * (TIME % 3 < 2) + db(-60) * NOISE) == []


@pytest.mark.parametrize("rate", [8_000, 11_025, 12_000, 16_000])
def test_sound_of_a_lower_rate_is_told_with_that_rate(rate):
    (found,) = findings(measured(low_passed(room(), rate / 2)))
    assert (found.kind, found.hertz) == ("narrow_band", (rate / 2,))
    assert f"converted from {rate:,} Hz" in found.detail


@pytest.mark.parametrize(("drop", "told"), [(23, []), (27, ["narrow_band"])])
def test_a_band_that_falls_slowly_is_natural(drop, told):
    sound = low_passed(room(), 8_000)
    assert kinds(sound + db(-drop) * (room() - sound)) == told


@pytest.mark.parametrize(("level", "told"), [(-51.5, []), (-48.5, ["noise"])])
def test_steady_noise_is_told_with_its_level(level, told):
    assert kinds(room(level=level)) == told


def test_noise_that_comes_and_goes_is_sound():
    assert kinds(db(-30) * NOISE * (TIME % 4 < 2)) == []


@pytest.mark.parametrize(("peak", "told"), [(-48, []), (-52, ["quiet"])])
def test_a_gain_that_is_too_low_is_told(peak, told):
    assert kinds(db(peak) * 10 * room(level=-90)) == told


@pytest.mark.parametrize(
    ("sound", "told"),
    [
        (0 * TIME, "silence"),
        (np.clip(30 * room(), -1, 1), "clipping"),
        (room() + 0.1, "dc_offset"),
        (np.stack([room(), -room()], axis=1), "opposite_channels"),
    ],
)
def test_what_any_file_is_checked_for_is_told_too(sound, told):
    assert kinds(sound)[0] == told


def test_every_kind_has_something_to_do():
    assert {"hum", "rumble", "noise", "quiet", "gaps", "silence", "clipping"} <= set(ADVICE)
    assert all(ADVICE.values())


@pytest.mark.skipif(not AUDIO.exists(), reason="the recordings are not here")
@pytest.mark.parametrize("name", LONG)
def test_long_notes_and_an_orchestra_are_fine(name):
    assert findings(recording(AUDIO / name)) == []
