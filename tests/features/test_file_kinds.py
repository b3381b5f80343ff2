"""A file is known by its name, or else by what it begins with."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from features.containers import kinds
from features.file_kinds import is_picture, is_sound
from features.image_files.image_header import KINDS
from tests.features.heic_file import HEIC
from tests.features.pictures import FILES, save, scene

M4A = b"\0\0\0\x1cftypM4A \0\0\0\0M4A mp42isom"


def sound(kind):
    file = io.BytesIO()
    soundfile.write(file, np.sin(np.arange(44_100) / 9), 44_100, format=kind)
    return file.getvalue()


def known(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    return is_sound(path), is_picture(path)


@pytest.mark.parametrize("name", ["IMG_1", "a.dat", "photo.wrong", "x.txt", "a.b.c"])
@pytest.mark.parametrize("kind", FILES)
def test_a_picture_of_any_other_name_is_known_by_its_first_bytes(kind, name, tmp_path):
    assert known(tmp_path, name, FILES[kind]()) == (False, True)


@pytest.mark.parametrize("name", ["a.jfif", "A.JPE", "a.heic", "a.HIF", "a.avif", "a.dib"])
def test_a_name_is_enough(name, tmp_path):
    assert known(tmp_path, name, b"") == (False, True)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF", "CAF", "AU", "W64"])
@pytest.mark.parametrize("name", ["memo", "memo.dat", "memo.mp5"])
def test_a_sound_of_any_other_name_is_known_by_its_first_bytes(kind, name, tmp_path):
    assert known(tmp_path, name, sound(kind)) == (True, False)


@pytest.mark.parametrize("name", ["a.wav", "a.png", "a"])
def test_a_pipe_is_neither_and_is_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert not is_sound(tmp_path / name)
    assert not is_picture(tmp_path / name)


def test_heic_is_a_picture_and_m4a_a_sound(tmp_path):
    assert known(tmp_path, "heic", HEIC) == (False, True)
    assert known(tmp_path, "memo", M4A) == (True, False)
    assert known(tmp_path, "tagged", b"ID3\3\0\0\0\0\1\0" + bytes(128) + sound("FLAC")) == (
        True, False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [b"", b"BMW is a car", b"text", b"%PDF-1.7", b"PK\3\4", b"\0" * 99, b"8BPS\0\1", b"<svg/>"],
)
def test_other_files_are_neither(data, tmp_path):
    assert known(tmp_path, "x", data) == (False, False)


def test_what_cannot_be_read_is_neither(tmp_path):
    assert not is_picture(tmp_path)
    assert not is_sound(tmp_path / "gone")


def test_a_bitmap_without_a_name_is_a_picture(tmp_path):
    assert known(tmp_path, "x", save(Image.new("1", (9, 9)), "BMP")) == (False, True)
    assert known(tmp_path, "y", save(scene(), "DIB")) == (False, False)


def test_the_page_on_training_names_every_kind_that_is_read():
    page = Path("TRAINING.md").read_text(encoding="utf-8")
    for name in (*KINDS, "HEIC", *kinds.READ):
        assert name.casefold() in page.casefold(), name
