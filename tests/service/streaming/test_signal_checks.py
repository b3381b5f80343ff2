"""Warnings on common faults of a stream's sound, without repeats and without false alarms."""

import numpy as np
import pytest

from service.streaming.signal_checks import SignalChecker, check_header
from tests.service.conftest import noise, tone

RATE = 16_000


def kinds(samples, *, chunk=1_600, every=30.0):
    checker = SignalChecker(RATE, every_s=every)
    found = [
        warning
        for at in range(0, len(samples), chunk)
        for warning in checker.feed(samples[at : at + chunk], at=at)
    ]
    return [warning.kind for warning in found]


def test_good_sound_gives_no_warning():
    assert kinds(noise(20, rate=RATE)) == []
    assert (
        kinds(np.tile(noise(2, rate=RATE), 10) * np.linspace(0.1, 1, 20 * RATE, dtype=np.float32))
        == []
    )


@pytest.mark.parametrize(
    ("kind", "samples"),
    [
        ("clipping", np.clip(noise(3, rate=RATE, level=0.7), -1, 1)),
        ("silence", np.zeros(3 * RATE, np.float32)),
        ("dc_offset", noise(3, rate=RATE) + np.float32(0.2)),
        ("sample_rate", tone(12, 440, rate=RATE)),
    ],
)
@pytest.mark.parametrize("chunk", [7, 1_600, 16_000])
def test_each_fault_is_noticed_whatever_the_chunks(kind, samples, chunk):
    assert kinds(samples, chunk=chunk) == [kind]


def test_a_wrong_rate_is_noticed_whenever_it_begins():
    for seconds in range(0, 20, 2):
        sound = np.concatenate((noise(seconds, rate=RATE), tone(20, 440, rate=RATE)))
        assert kinds(sound) == ["sample_rate"]


def test_silence_is_not_reported_as_a_wrong_rate():
    assert "sample_rate" not in kinds(np.zeros(20 * RATE, np.float32))


def test_a_warning_is_repeated_only_after_the_pause():
    assert kinds(np.zeros(20 * RATE, np.float32), every=9.0) == ["silence", "silence"]


@pytest.mark.parametrize(
    ("data", "kind"), [(b"RIFF\0\0", "WAV"), (b"fLaC", "FLAC"), (b"OggS", "Ogg"), (b"ID3\4", "MP3")]
)
def test_the_header_of_a_file_is_noticed(data, kind):
    (warning,) = check_header(memoryview(data), at=7)
    assert (warning.kind, warning.from_sample) == ("header", 7)
    assert f"begins like a {kind} file" in warning.detail


@pytest.mark.parametrize("data", [b"", bytes(4)])
def test_bare_samples_have_no_header(data):
    assert check_header(data, at=0) == []
