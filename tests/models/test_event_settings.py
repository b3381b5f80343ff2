"""Other settings of events make another version of the same model."""

import json

import pytest

from common.errors import NotFound, Unprocessable
from models.cli import main
from models.event_settings import change, set_thresholds
from models.store import Store


def test_a_version_with_other_settings_is_the_same_model(artefacts, tmp_path):
    store = Store(artefacts)
    before = store.load("trio")
    settings = {"*": {"rise": 1.0}, before.labels[0]: {"gap": 0.5}}
    folder = change(store, "trio", None, settings, out=tmp_path / "new")
    assert folder == tmp_path / "new" / "trio" / "2"
    after = Store(tmp_path / "new").load("trio")
    assert [label.events for label in after.manifest.labels] == [
        {"rise": 1.0, "gap": 0.5},
        {"rise": 1.0},
        {"rise": 1.0},
    ]
    for name in ("metrics", "provenance", "libraries", "input"):
        assert getattr(after.manifest, name) == getattr(before.manifest, name)
    thresholds = [[one.threshold for one in each.manifest.labels] for each in (before, after)]
    assert thresholds[0] == thresholds[1]
    for name in ("model.onnx", "golden.npz"):
        assert after.manifest.files[name] == before.manifest.files[name]
    told = 'Version 1 with `{"*": {"rise": 1.0}, "piano": {"gap": 0.5}}`.'
    assert (folder / "report.md").read_text().endswith(f"\n## Settings of events\n\n{told}\n")
    assert after.manifest.origin["events_of"] == "1"


def test_what_is_not_named_stays_and_the_next_version_is_taken(artefacts):
    store = Store(artefacts)
    change(store, "trio", None, {"*": {"rise": 1.0}}, out=artefacts)
    assert change(store, "trio", None, {"*": {"gap": 0.0}}, out=artefacts).name == "3"
    labels = Store(artefacts).load("trio").manifest.labels
    assert {tuple(label.events.items()) for label in labels} == {(("rise", 1.0), ("gap", 0.0))}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"*": {"threshold": 0.5}}, "off, gap, min_length and rise"),
        ({}, "off, gap, min_length and rise"),
        ({"tuba": {"gap": 1}}, "unknown label 'tuba'"),
        ({"*": {"rise": 1.01}}, "from 0 to 1"),
        ({"*": {"rise": -0.01}}, "from 0 to 1"),
        ([], "event_settings must be like"),
    ],
)
def test_settings_that_no_label_can_have_are_named(artefacts, settings, words):
    with pytest.raises(Unprocessable, match=words):
        change(Store(artefacts), "trio", None, settings, out=artefacts)
    assert Store(artefacts).versions("trio") == ["1"]


def test_an_unknown_model_is_named(artefacts):
    with pytest.raises(NotFound, match="duo"):
        change(Store(artefacts), "duo", None, {"*": {"rise": 1.0}}, out=artefacts)


def test_the_command_prints_where_the_version_is(artefacts, tmp_path, capsys):
    options = ["--artefacts", str(artefacts), "--out", str(tmp_path / "new"), "--json"]
    assert main(["events", "trio", "--set", '{"*": {"rise": 1}}', *options]) == 0
    folder = json.loads(capsys.readouterr().out)["path"]
    assert folder == str(tmp_path / "new" / "trio" / "2")
    assert main(["events", "trio", "--set", "rise=1", *options]) == 1
    assert "--set is not JSON" in capsys.readouterr().err


def test_thresholds_make_another_version_whose_report_says_so(artefacts, tmp_path):
    store = Store(artefacts)
    change(store, "trio", None, {"*": {"off": 0.45, "gap": 0.5}}, out=artefacts)
    folder = set_thresholds(store, "trio", None, {"violin": 0.7}, out=tmp_path / "new")
    labels = {label.name: label for label in Store(tmp_path / "new").load("trio").manifest.labels}
    assert {name: label.threshold for name, label in labels.items()} == {
        "piano": 0.5,
        "violin": 0.7,
        "flute": 0.5,
    }
    # Where an event may end belonged to the threshold before.
    assert labels["violin"].events == {"gap": 0.5}
    assert labels["piano"].events == {"off": 0.45, "gap": 0.5}
    assert "The figures above are of those before." in (folder / "report.md").read_text()


@pytest.mark.parametrize(
    ("thresholds", "words"),
    [
        ({}, "must be like"),
        ([], "must be like"),
        ({"tuba": 0.5}, "unknown label 'tuba'"),
        ({"*": 0.5}, "of one label each"),
        ({"piano": 1.01}, "from 0 to 1"),
        ({"piano": -0.01}, "from 0 to 1"),
        ({"piano": "0.5"}, "from 0 to 1"),
    ],
)
def test_thresholds_that_no_label_can_have_are_named(artefacts, thresholds, words):
    with pytest.raises(Unprocessable, match=words):
        set_thresholds(Store(artefacts), "trio", None, thresholds, out=artefacts)
    assert Store(artefacts).versions("trio") == ["1"]
