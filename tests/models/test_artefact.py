"""An artefact appears whole and loadable, or not at all."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from common.errors import ArtefactError, Unprocessable, UnsupportedMedia
from features.config import DEFAULT
from models import artefact
from models.artefact import write
from models.manifest import Label, Manifest
from models.store import Store
from tests.models import colours


def test_what_is_written_can_be_loaded_and_says_the_same(tmp_path, fields, windows):
    folder = write(tmp_path, **fields)
    assert folder == tmp_path / "trio" / "1"
    model = Store(tmp_path).load("trio")
    manifest = model.manifest
    assert (manifest.task, manifest.metrics) == (fields["task"], fields["metrics"])
    assert (manifest.provenance, manifest.libraries) == (fields["provenance"], fields["libraries"])
    assert list(manifest.labels) == fields["labels"]
    assert (manifest.input.shape, manifest.input.dtype) == ((26,), "float32")
    assert manifest.input.fingerprint == DEFAULT.fingerprint("features")
    assert datetime.now(UTC) - datetime.fromisoformat(manifest.created) < timedelta(minutes=5)
    assert (folder / "report.md").read_text() == "# Trio\n"
    with np.load(folder / "golden.npz") as golden:
        np.testing.assert_array_equal(golden["inputs"], windows[0][:20])
        np.testing.assert_array_equal(golden["scores"], model.predict(windows[0][:20]))


def test_the_folder_holds_the_files_of_the_manifest_and_nothing_else(tmp_path, fields):
    folder = write(tmp_path, **fields)
    manifest = Manifest.from_json((folder / "manifest.json").read_bytes())
    hashes = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    del hashes["manifest.json"]
    assert hashes == manifest.files


def test_the_next_free_version_is_taken(tmp_path, fields):
    write(tmp_path, **fields, version="9")
    assert write(tmp_path, **fields).name == "10"


def test_another_user_may_read_it(tmp_path, fields):
    assert write(tmp_path, **fields).stat().st_mode & 0o777 == 0o755


def test_a_version_is_never_overwritten(tmp_path, fields):
    before = (write(tmp_path, **fields) / "manifest.json").read_bytes()
    with pytest.raises(ArtefactError, match="trio 1 exists already"):
        write(tmp_path, **fields | {"metrics": {}}, version="1")
    assert (tmp_path / "trio" / "1" / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": [Label(name="piano", threshold=0.5)]},
        {"kind": "log_mel"},
        {"config": replace(DEFAULT, n_mfcc=13)},
        {"metrics": {"f1": float("nan")}},
        {"name": "../trio"},
        {"name": "Trio"},
        {"version": "one"},
        {"version": "../1"},
        {"onnx": b"no graph"},
        {
            "provenance": [
                {"source": "made up", "licence": "CC0-1.0", "use": "training", "price": "3"}
            ]
        },
        {"task": "regression"},
    ],
    ids=" ".join,
)
def test_parts_that_do_not_fit_are_rejected_and_leave_nothing(tmp_path, fields, changes):
    inside = tmp_path / "a" / "b"
    with pytest.raises(ArtefactError):
        write(inside, **fields | changes)
    assert [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() or path.name not in {"a", "b", "trio"}
    ] == []


@pytest.mark.parametrize(
    "inputs", [np.zeros((2, 25), np.float32), np.zeros((2, 26)), np.zeros((0, 26), np.float32)]
)
def test_golden_inputs_of_another_shape_or_type_are_rejected(tmp_path, fields, inputs):
    with pytest.raises(Unprocessable):
        write(tmp_path, **fields | {"golden_inputs": inputs})
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_version_leave_one_whole_artefact(tmp_path, fields):
    def attempt(number):
        try:
            return write(tmp_path, **fields | {"metrics": {"writer": number}}, version="1")
        except ArtefactError as error:
            return error

    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(attempt, range(4)))
    winners = [
        number for number, outcome in enumerate(outcomes) if not isinstance(outcome, ArtefactError)
    ]
    assert len(winners) == 1
    assert Store(tmp_path).load("trio").manifest.metrics == {"writer": winners[0]}
    assert [path.name for path in (tmp_path / "trio").iterdir()] == ["1"]


def test_a_target_that_appears_while_the_files_are_written_is_left_as_it_is(
    tmp_path, fields, monkeypatch
):
    def read_and_come_second(draft):
        (tmp_path / "trio" / "1").mkdir()
        (tmp_path / "trio" / "1" / "first.txt").write_text("mine")

    monkeypatch.setattr(artefact, "read", read_and_come_second)
    with pytest.raises(ArtefactError, match="trio 1 exists already"):
        write(tmp_path, **fields, version="1")
    assert [path.name for path in (tmp_path / "trio" / "1").iterdir()] == ["first.txt"]
    assert [path.name for path in (tmp_path / "trio").iterdir()] == ["1"]


def test_the_manifest_is_readable_json(tmp_path, fields):
    text = (write(tmp_path, **fields) / "manifest.json").read_text()
    assert json.loads(text)["name"] == "trio"
    assert text.count("\n") > 20


@pytest.mark.parametrize(
    "config", [colours.CONFIG, replace(colours.CONFIG, metadata=(colours.REGION, colours.SEASON))]
)
def test_an_artefact_of_pictures_is_written_and_loaded(tmp_path, config):
    write(tmp_path, name="colours", **colours.fields(config))
    model = Store(tmp_path).load("colours")
    assert (model.kind, model.config, model.picture) == ("picture", config, config)
    assert (model.manifest.input.dtype, model.manifest.input.shape) == ("uint8", config.shape)
    with pytest.raises(UnsupportedMedia, match="takes pictures, not sound"):
        _ = model.sound


@pytest.mark.parametrize(
    "changes",
    [
        {"config": DEFAULT},
        {"kind": "features"},
        {"config": replace(colours.CONFIG, height=25)},
        {"config": replace(colours.CONFIG, metadata=(colours.REGION,))},
        {"onnx": colours.graph(replace(colours.CONFIG, width=31))},
    ],
)
def test_parts_of_pictures_that_do_not_fit_are_rejected(tmp_path, changes):
    with pytest.raises((ArtefactError, Unprocessable)):
        write(tmp_path, name="colours", **colours.fields() | changes)
    assert not any(tmp_path.rglob("*.*"))


def test_a_model_of_sound_has_no_pictures(tmp_path, fields):
    write(tmp_path, **fields)
    model = Store(tmp_path).load("trio")
    assert model.sound == (DEFAULT, "features")
    with pytest.raises(UnsupportedMedia, match="takes sound, not pictures"):
        _ = model.picture
