"""Which files are meant, and what stays bounded."""

from pathlib import Path

import pytest

from features.errors import ArtefactError, InputError
from service.local import classify, sound_files
from tests.service.conftest import tone, wav


def test_folders_give_their_sound_files_and_named_files_are_always_tried(tmp_path):
    for name in ("b.mp3", "a.OGG", "c.txt", "in/d.flac"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    odd = tmp_path / "c.txt"
    assert sound_files([odd, tmp_path]) == [odd, *(tmp_path / name for name in ("a.OGG", "b.mp3", "in/d.flac"))]
    assert sound_files([Path("none.wav")]) == [Path("none.wav")]


async def test_a_folder_without_sounds_is_an_error_of_its_own(tmp_path, artefacts):
    [(path, error)] = [
        each async for each in classify(sound_files([tmp_path]), model="toy", hop=None, artefacts=artefacts)
    ]
    assert path == tmp_path
    assert isinstance(error, InputError)
    assert str(error) == "no sound files in this folder"


async def test_a_reader_who_has_enough_leaves_nothing_running(tmp_path, artefacts):
    for index in range(40):
        (tmp_path / f"{index:02}.wav").write_bytes(wav(tone(2)))
    answers = classify(sound_files([tmp_path]), model="toy", hop=None, artefacts=artefacts)
    path, answer = await anext(answers)
    await answers.aclose()
    assert (path.name, answer["labels"]) == ("00.wav", ["tone"])


async def test_a_model_that_is_not_there_is_refused_before_any_file_is_read(tmp_path, artefacts):
    with pytest.raises(ArtefactError, match="tuba"):
        await anext(classify([tmp_path / "none.wav"], model="tuba", hop=None, artefacts=artefacts))
