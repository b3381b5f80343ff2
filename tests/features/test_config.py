import json
import math
from dataclasses import asdict, fields, replace
from typing import get_args

import pytest

from common.errors import Unprocessable
from features.config import DEFAULT, AudioConfig, Kind, Metadata, PictureConfig


def test_the_default_is_two_seconds_at_22050_hertz():
    assert (DEFAULT.sample_rate, DEFAULT.window, DEFAULT.n_fft, DEFAULT.hop_length) == (
        22_050,
        44_100,
        2_048,
        512,
    )
    assert DEFAULT.frames == 87
    assert DEFAULT.shape("features") == (26,)


@pytest.mark.parametrize(
    ("seconds", "samples"), [(0.5, 11_264), (1, 22_016), (2, 44_032), (0.001, 512), (0.02, 512)]
)
def test_the_live_hop_is_the_nearest_multiple_of_512(seconds, samples):
    assert DEFAULT.live_hop(seconds) == samples


@pytest.mark.parametrize("name", [field.name for field in fields(AudioConfig)])
def test_every_setting_changes_the_fingerprint(name):
    other = replace(DEFAULT, **{name: getattr(DEFAULT, name) + 1})
    assert other.fingerprint("features") != DEFAULT.fingerprint("features")


def test_the_kind_changes_the_fingerprint():
    assert len({DEFAULT.fingerprint(kind) for kind in get_args(Kind)}) == 3


@pytest.mark.parametrize("field", ["sample_rate", "window"])
def test_the_fingerprint_of_samples_is_that_of_their_number_and_rate(field):
    other = replace(DEFAULT, **{field: getattr(DEFAULT, field) + 1})
    assert other.fingerprint("samples") != DEFAULT.fingerprint("samples")
    assert replace(DEFAULT, n_mels=64).fingerprint("samples") == DEFAULT.fingerprint("samples")


def test_the_fingerprint_survives_json():
    again = AudioConfig(**json.loads(json.dumps(asdict(DEFAULT))))
    assert again.fingerprint("features") == DEFAULT.fingerprint("features")


@pytest.mark.parametrize(
    "changes",
    [
        {"height": 223},
        {"fit": "pad"},
        {"resample": "box"},
        {"metadata": (Metadata(name="region", values=("north",)),)},
    ],
)
def test_every_setting_of_a_picture_changes_its_fingerprint(changes):
    assert (
        PictureConfig(**changes).fingerprint()
        != PictureConfig().fingerprint()
        == PictureConfig().fingerprint()
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"height": 0}, "between 1 and 4096"),
        ({"width": 4_097}, "between 1 and 4096"),
        ({"fit": "stretch"}, "squash, crop, pad"),
        ({"resample": "nearest"}, "box, bilinear"),
        ({"metadata": (Metadata(name="top_k", values=("1",)),)}, "cannot be called"),
        ({"metadata": (Metadata(name="", values=("1",)),)}, "named, each once"),
        ({"metadata": (Metadata(name="a", values=("1", "1")),)}, "named, each once"),
        (
            {"metadata": (Metadata(name="a", values=("1",)), Metadata(name="a", values=("1",)))},
            "named, each once",
        ),
        ({"metadata": (Metadata(name="a", values=()),)}, "must have values"),
    ],
)
def test_a_picture_that_cannot_be_is_rejected(changes, words):
    with pytest.raises(Unprocessable, match=words):
        PictureConfig(**changes)


def test_the_largest_and_the_smallest_picture_are_taken():
    assert PictureConfig(height=1, width=4_096).shape == (1, 4_096, 3)


@pytest.mark.parametrize("seconds", [0.1, 2.0])
def test_a_hop_between_the_shortest_and_one_window_is_accepted(seconds):
    DEFAULT.check_hop(seconds, shortest=0.1)


@pytest.mark.parametrize("seconds", [0.09, 2.01, math.nan, -1.0])
def test_a_hop_out_of_range_is_rejected_with_the_range(seconds):
    with pytest.raises(Unprocessable, match=rf"hop={seconds} must be between 0\.1 and 2\.0 s"):
        DEFAULT.check_hop(seconds, shortest=0.1)
