"""`timbre models` shows what is there, and its exit code tells a script."""

import json
import subprocess

import pytest

from models.artefact import write
from models.cli import main
from tests.models.colours import write_colours


@pytest.fixture
def broken(artefacts, fields):
    """The artefacts folder with a second version that is refused."""
    (write(artefacts, **fields) / "report.md").write_text("another report")
    return artefacts


def test_list_shows_name_version_input_and_status(artefacts, capsys):
    assert main(["list", "--artefacts", str(artefacts)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines if "trio" in line] == [
        ["trio", "1", "multi-label", "features", "26", "3", "0.1", "CPU", "ok"]
    ]


def test_list_shows_a_broken_version_as_rejected_with_the_reason(broken, capsys):
    assert main(["list", "--artefacts", str(broken), "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["version"], first["status"], first["labels"]) == ("1", "ok", 3)
    assert second["version"] == "2"
    assert second["status"].startswith("rejected: trio 2: report.md")


@pytest.mark.parametrize("command", ["list", "verify"])
def test_all_versions_are_verified_by_one_process(broken, fields, command, monkeypatch):
    write(broken, **fields | {"name": "duo"})
    started = []
    Popen = subprocess.Popen  # noqa: N806 - a class
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **o: started.append(a) or Popen(*a, **o))
    main([command, "--artefacts", str(broken)])
    assert len(started) == 1


def test_list_of_an_empty_folder_is_empty(tmp_path, capsys):
    assert main(["list", "--artefacts", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_show_prints_every_part_of_the_manifest_uncut(artefacts, capsys):
    assert main(["show", "trio", "--artefacts", str(artefacts)]) == 0
    shown = "".join(capsys.readouterr().out.split())
    manifest = json.loads((artefacts / "trio" / "1" / "manifest.json").read_text())
    for expected in (
        "trio1",
        "multi-label",
        "44100",
        "violin",
        "micro_f1",
        "madeup",
        "CC0-1.0",
        "training",
        "numpy",
    ):
        assert expected in shown
    for sha256 in manifest["files"].values():
        assert sha256[:40] in shown


def test_show_as_json_is_the_manifest(artefacts, capsys):
    assert main(["show", "trio", "1", "--json", "--artefacts", str(artefacts)]) == 0
    assert capsys.readouterr().out == (artefacts / "trio" / "1" / "manifest.json").read_text()


def test_show_takes_the_version_asked_for(broken, capsys):
    assert main(["show", "trio", "1", "--artefacts", str(broken)]) == 0
    assert main(["show", "trio", "--artefacts", str(broken)]) == 1
    assert "rejected: trio 2: report.md" in capsys.readouterr().err


def test_words_in_brackets_are_shown_as_they_are(tmp_path, fields, capsys):
    write(tmp_path, **fields | {"metrics": {"f1 [bold]": "[/]"}})
    assert main(["show", "trio", "--artefacts", str(tmp_path)]) == 0
    assert "f1 [bold]" in capsys.readouterr().out


def test_verify_answers_0_if_all_is_well(artefacts):
    assert main(["verify", "--artefacts", str(artefacts)]) == 0
    assert main(["verify", "trio", "--artefacts", str(artefacts)]) == 0


def test_verify_answers_1_and_the_reason_if_one_is_rejected(broken, capsys):
    assert main(["verify", "trio", "--artefacts", str(broken)]) == 1
    assert "rejected" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["show", "quartet"], ["show", "trio", "7"], ["verify", "quartet"]]
)
def test_an_unknown_model_or_version_answers_3_and_names_what_there_is(
    artefacts, capsys, arguments
):
    assert main([*arguments, "--artefacts", str(artefacts)]) == 3
    assert "there is " in capsys.readouterr().err


def test_verifying_nothing_is_not_success(tmp_path, capsys):
    assert main(["verify", "--artefacts", str(tmp_path)]) == 3
    assert "no models in" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["sing"], ["show"], ["list", "--colour"]])
def test_wrong_usage_answers_2(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "usage: timbre models" in capsys.readouterr().err


def test_models_of_pictures_are_listed_shown_and_verified(tmp_path, capsys):
    write_colours(tmp_path)
    there = ["--artefacts", str(tmp_path)]
    assert main(["list", *there]) == 0
    assert "picture 24x32x3" in capsys.readouterr().out
    assert main(["show", "places", *there]) == 0
    shown = capsys.readouterr().out
    for expected in ("crop", "bilinear", "region", "land", "uint8"):
        assert expected in shown
    assert main(["verify", *there]) == 0
