import json
from dataclasses import asdict, fields, replace

import pytest

from features.config import DEFAULT, AudioConfig


def test_the_default_is_two_seconds_at_22050_hertz():
    assert (DEFAULT.sample_rate, DEFAULT.window, DEFAULT.n_fft, DEFAULT.hop_length) == (22_050, 44_100, 2_048, 512)
    assert DEFAULT.frames == 87
    assert DEFAULT.shape("features") == (26,)


@pytest.mark.parametrize(("seconds", "samples"), [(0.5, 11_264), (1, 22_016), (2, 44_032), (0.001, 512), (0.02, 512)])
def test_the_live_hop_is_the_nearest_multiple_of_512(seconds, samples):
    assert DEFAULT.live_hop(seconds) == samples


@pytest.mark.parametrize("name", [field.name for field in fields(AudioConfig)])
def test_every_setting_changes_the_fingerprint(name):
    other = replace(DEFAULT, **{name: getattr(DEFAULT, name) + 1})
    assert other.fingerprint("features") != DEFAULT.fingerprint("features")


def test_the_kind_changes_the_fingerprint():
    assert DEFAULT.fingerprint("features") != DEFAULT.fingerprint("log_mel")


def test_the_fingerprint_survives_json():
    again = AudioConfig(**json.loads(json.dumps(asdict(DEFAULT))))
    assert again.fingerprint("features") == DEFAULT.fingerprint("features")
