"""The record of a rehearsal holds for one candidate against one served version."""

import dataclasses
import json

import pytest

from common.errors import InputError
from models.rehearsal import identity, problems, read, record
from models.store import Store


@pytest.fixture
def manifest(artefacts):
    return Store(artefacts).load("trio").manifest


def changed(manifest, **values):
    first = dataclasses.replace(manifest.labels[0], **values)
    return dataclasses.replace(manifest, labels=(first, *manifest.labels[1:]))


def test_a_version_is_the_same_and_what_decides_on_events_is_not(manifest):
    same = dataclasses.replace(manifest, version="7", metrics={}, origin={"a": 1})
    assert identity(same) == identity(manifest)
    others = [
        changed(manifest, threshold=0.51),
        changed(manifest, name="oboe"),
        changed(manifest, events={"gap": 0.5}),
        dataclasses.replace(manifest, files={**manifest.files, "model.onnx": "0"}),
        dataclasses.replace(manifest, name="duo"),
    ]
    assert len({identity(each) for each in (manifest, *others)}) == 6


def test_a_record_holds_for_its_own_two_versions_only(manifest, tmp_path):
    other = changed(manifest, threshold=0.9)
    path = tmp_path / "r.json"
    path.write_text(json.dumps(record(other, manifest, recordings=1, seconds=2.0, events={})))
    found = read(path)
    assert list(problems(found, other, manifest)) == []
    assert [
        len(list(problems(found, *pair))) for pair in [(manifest, manifest), (other, other)]
    ] == [
        1,
        1,
    ]
    (told,) = problems(found, other, None)
    assert "no served version" in told


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"rehearsal": 2}', '{"rehearsal": 1, "candidate": {}, "served": {}}', None],
)
def test_a_file_that_is_no_rehearsal_is_named(text, tmp_path):
    path = tmp_path / "r.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=r"r\.json"):
        read(path)
