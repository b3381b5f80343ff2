"""Which files are meant, and what stays bounded."""

from pathlib import Path

import pytest

from common.errors import ArtefactError, InputError, Unprocessable
from models.kinds import KINDS
from service.cli.offline import files_in, opened
from tests.features.pictures import save, scene
from tests.models.colours import write_colours
from tests.service.conftest import tone, wav

PLAIN = {"hop": None, "top_k": None, "metadata": {}}


def test_folders_give_their_sound_files_and_named_files_are_always_tried(tmp_path):
    for name in ("b.mp3", "a.OGG", "c.txt", "in/d.flac", "e.png", "in/f.JPG"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "voice").write_bytes(wav(tone(0.1)))
    (tmp_path / "photo.old").write_bytes(save(scene(), "JPEG"))
    (tmp_path / "._a.OGG").touch()
    odd = tmp_path / "c.txt"
    found, others = files_in([odd, tmp_path], KINDS["log_mel"].takes)
    names = ("a.OGG", "b.mp3", "in/d.flac", "voice")
    assert found == [odd, *(tmp_path / name for name in names)]
    names = ("c.txt", "e.png", "in/f.JPG", "photo.old")
    assert others == [tmp_path / name for name in names]
    found, others = files_in([tmp_path], KINDS["picture"].takes)
    assert found == [tmp_path / name for name in ("e.png", "in/f.JPG", "photo.old")]
    assert len(others) == 5
    assert files_in([Path("none.wav")], KINDS["log_mel"].takes) == ([Path("none.wav")], [])


async def test_a_folder_without_sounds_is_an_error_of_its_own(tmp_path, artefacts):
    async with opened("toy", artefacts=artefacts) as local:
        [(path, error)] = [
            each
            async for each in local.results(local.files([tmp_path])[0], local.classifier(**PLAIN))
        ]
    assert path == tmp_path
    assert isinstance(error, InputError)
    assert str(error) == "no sound files in this folder"


async def test_an_abandoned_iteration_stops_all_work(tmp_path, artefacts):
    for index in range(40):
        (tmp_path / f"{index:02}.wav").write_bytes(wav(tone(2)))
    async with opened("toy", artefacts=artefacts) as local:
        answers = local.results(local.files([tmp_path])[0], local.classifier(**PLAIN))
        path, answer = await anext(answers)
        await answers.aclose()
    assert (path.name, answer["labels"]) == ("00.wav", ["tone"])


async def test_an_unknown_model_is_rejected_before_any_file_is_read(artefacts):
    with pytest.raises(ArtefactError, match="tuba"):
        async with opened("tuba", artefacts=artefacts):
            pass


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ("toy", {"metadata": {"region": "sea"}}, "takes no metadata"),
        ("toy", {"hop": 9.0}, "hop=9"),
        ("colours", {"hop": 1.0}, "no hop"),
        ("colours", {"metadata": {"region": "sea"}}, "unknown metadata"),
        ("places", {}, "'region' is missing"),
        ("places", {"metadata": {"region": "air"}}, "land, sea"),
    ],
)
async def test_invalid_metadata_is_rejected_before_any_file_is_read(
    tmp_path, artefacts, model, options, words
):
    folder = artefacts if model == "toy" else write_colours(tmp_path)
    async with opened(model, artefacts=folder) as local:
        with pytest.raises(Unprocessable, match=words):
            local.classifier(**PLAIN | options)
