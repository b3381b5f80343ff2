"""Kept recordings are heard by both versions as a clip's events are."""

import numpy as np
import pytest

from common.errors import InputError, Unprocessable
from models.store import Store
from service.cli.offline import opened
from service.rehearsal.play import STEPS, Played, check_models, play, recordings
from tests.models.colours import write_colours
from tests.service.conftest import noise, tone, wav

SOUND = np.concatenate([tone(3), noise(4), 0 * tone(3), tone(2.7)])


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    for name in ("a.wav", "hall/b.wav", "hall/2026/c.wav"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(wav(SOUND))
    (folder / "hall" / "broken.wav").write_bytes(b"RIFF")
    (folder / "notes.txt").write_text("no sound")
    return folder


@pytest.fixture(scope="module")
def models(artefacts):
    store = Store(artefacts)
    return store.load("toy", "1"), store.load("toy", "2")


@pytest.fixture(scope="module")
def played(archive, models):
    return dict(play(recordings(archive, models[0]), archive, *models))


def test_each_recording_has_the_folder_as_its_source_or_an_error(played, archive):
    found = {
        str(path.relative_to(archive)): each.source if isinstance(each, Played) else type(each)
        for path, each in played.items()
    }
    assert issubclass(found.pop("hall/broken.wav"), InputError)
    assert found == {"a.wav": "", "hall/b.wav": "hall", "hall/2026/c.wav": "hall"}
    assert played[archive / "a.wav"].seconds == pytest.approx(12.7)


@pytest.mark.parametrize("threshold", [None, STEPS[5], STEPS[15]])
async def test_the_events_are_those_of_the_classifier(threshold, played, archive, artefacts):
    settings = {} if threshold is None else {"*": {"threshold": threshold}}
    options = {"hop": None, "top_k": None, "metadata": {}, "event_settings": settings}
    async with opened("toy", artefacts=artefacts) as local:
        answer = await local.classifier(**options)((archive / "a.wav").read_bytes())
    wanted = sorted((each["label"], each["start"], each["end"]) for each in answer["events"])
    mine = played[archive / "a.wav"]
    some = (
        mine.after
        if threshold is None
        else [event for at in mine.at.values() for event in at[threshold]]
    )
    assert sorted((e.label, round(e.start, 6), round(e.end, 6)) for e in some) == wanted
    assert wanted


def test_a_folder_without_sound_and_one_that_is_none_are_errors(tmp_path, models):
    with pytest.raises(InputError, match="no sound file"):
        recordings(tmp_path, models[0])
    with pytest.raises(InputError, match="is no folder"):
        recordings(tmp_path / "none", models[0])


def test_models_of_pictures_have_no_events(tmp_path, models):
    write_colours(tmp_path)
    with pytest.raises(Unprocessable, match="has no events"):
        check_models(models[0], Store(tmp_path).load("colours"))
