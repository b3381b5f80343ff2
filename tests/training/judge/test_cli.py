"""`timbre models judge` from the command line to the page."""

import csv
import json
import shutil
import tomllib

import numpy as np
import pytest
import soundfile

from tests.test_house import ROOT
from training.judge.cli import main


def judge(*words):
    return main([str(word) for word in words])


def test_an_artefact_is_judged_on_pictures_it_never_saw(seeing, album, tmp_path, capsys):
    words = ("colours", album, "--artefacts", seeing, "--out", tmp_path / "out", "--more-than", "6")
    assert judge(*words) == 0
    said = capsys.readouterr().out
    assert "20 files of 3 of its 3 classes" in said
    assert "no class of the model: light red" in said
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["tests"]["pictures"]["top1"] == pytest.approx(0.9)
    assert [one["label"] for one in report["choice"]] == ["red"]
    assert {one["path"] for one in report["mistakes"]} <= {"red/6.png", "red/7.png"}
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png") == len(report["mistakes"]) == 1


def test_a_file_with_its_classes_is_judged_alike(seeing, album, tmp_path):
    (tmp_path / "classes.txt").write_text("red\ngreen\nblue\n", encoding="utf-8")
    model = seeing / "colours" / "1" / "model.onnx"
    words = ("--classes", tmp_path / "classes.txt", "--out", tmp_path / "file")
    assert judge(model, album, *words) == 0
    assert judge(seeing / "colours" / "1", album, "--out", tmp_path / "folder") == 0
    first, second = (
        json.loads((tmp_path / name / "report.json").read_text(encoding="utf-8"))["tests"]
        for name in ("file", "folder")
    )
    assert first == second


def test_a_zip_of_pictures_is_judged_as_the_folder_in_it(
    seeing, album, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    path = shutil.make_archive(str(tmp_path / "album"), "zip", album.parent, album.name)
    assert judge("colours", path, "--artefacts", seeing, "--out", tmp_path / "out") == 0
    assert "20 files of 3 of its 3 classes" in capsys.readouterr().out
    with (tmp_path / "out" / "files.csv").open(encoding="utf-8") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    assert len(rows) == 20
    assert (rows["red/6.png"]["said"], rows["red/6.png"]["rank"]) == ("blue", "3")
    assert (rows["Green/0.png"]["class"], rows["Green/0.png"]["rank"]) == ("green", "1")


def test_an_artefact_is_judged_beside_the_file_of_another(seeing, album, linear, tmp_path, capsys):
    """The file knows red and blue alone, from other pixels; its page and the other's are there."""
    (tmp_path / "two.txt").write_text("red\nsea green\nblue\n", encoding="utf-8")
    words = ("--artefacts", seeing, "--beside", linear, "--classes", tmp_path / "two.txt")
    assert judge("colours", *words, album, "--out", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "14 files of 2 classes that all of them have" in said
    assert "no class of linear.onnx: Green, light red" in said
    told = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert told["models"] == ["colours 1", "linear.onnx"]
    assert told["tests"][0]["top1"] == pytest.approx(12 / 14)
    for name in ("1-colours-1", "2-linear.onnx"):
        assert (tmp_path / "out" / name / "report.html").is_file()


def test_sounds_are_judged_by_windows_and_clips_and_can_be_heard(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("piano", "violin"):
        (tmp_path / "sounds" / name).mkdir(parents=True)
        sound = 0.1 * rng.standard_normal(3 * 22_050)
        soundfile.write(tmp_path / "sounds" / name / "a.wav", sound, 22_050)
    assert judge("instruments-forest", tmp_path / "sounds", "--out", tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert {name: one["pictures"] for name, one in report["tests"].items()} == {
        "windows": 2,
        "clips": 2,
    }
    assert "<audio" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_what_cannot_be_judged_is_told(seeing, album, tmp_path, capsys):
    assert judge("shapes", album, "--artefacts", seeing) == 1
    assert "shapes" in capsys.readouterr().err
    assert judge("colours", tmp_path / "none", "--artefacts", seeing) == 1
    assert "no folder" in capsys.readouterr().err


def test_timbre_models_finds_the_command():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["timbre.models"]["judge"] == "training.judge.cli:main"
