"""What is stored was decoded to its end, and has the suffix that training knows it by."""

import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from common.errors import InputError, TooLarge, UnsupportedMedia
from features.file_kinds import PICTURES as PICTURE_SUFFIXES
from features.file_kinds import SOUNDS as SOUND_SUFFIXES
from features.image_files.image_header import KINDS
from service.settings import Settings
from service.trainings.clip_check import PICTURES, SOUNDS, suffix_of
from tests.service.conftest import tone, wav


def sound(kind, subtype=None):
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(1), 22_050, format=kind, subtype=subtype)
    return buffer.getvalue()


def picture(kind, size=(64, 48)):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    return buffer.getvalue()


def checked(data, **settings):
    return suffix_of(data, Settings(**settings), lambda: None)


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [
        ("WAV", ".wav"),
        ("FLAC", ".flac"),
        ("OGG", ".ogg"),
        ("MP3", ".mp3"),
        ("AIFF", ".aiff"),
        ("AU", ".au"),
        ("CAF", ".caf"),
        ("W64", ".w64"),
    ],
)
def test_sounds_get_the_suffix_of_their_kind(kind, suffix):
    assert checked(sound(kind)) == suffix


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_pictures_get_the_suffix_of_their_kind(kind):
    assert checked(picture(kind)) == PICTURES[kind]


def test_training_knows_every_suffix():
    assert set(PICTURES.values()) <= PICTURE_SUFFIXES
    assert set(SOUNDS.values()) <= SOUND_SUFFIXES
    assert set(PICTURES) >= set(KINDS)


@pytest.mark.parametrize("data", [b"x", b"<html>", b"%PDF-1.4", b"\0" * 100, b"PK\x03\x04"])
def test_other_files_are_rejected(data):
    with pytest.raises(UnsupportedMedia):
        checked(data)


@pytest.mark.parametrize(
    "data",
    [wav(tone(1))[:-1_000], sound("FLAC")[:-50], picture("PNG")[:-50], picture("JPEG")[:500]],
)
def test_a_file_with_something_missing_is_rejected(data):
    with pytest.raises(InputError):
        checked(data)


def test_length_and_pixels_are_bounded():
    assert checked(wav(tone(2)), max_seconds=2.0) == ".wav"
    with pytest.raises(TooLarge):
        checked(wav(tone(2.1)), max_seconds=2.0)
    assert checked(picture("PNG"), max_pixels=64 * 48) == ".png"
    with pytest.raises(TooLarge):
        checked(picture("PNG"), max_pixels=64 * 48 - 1)
