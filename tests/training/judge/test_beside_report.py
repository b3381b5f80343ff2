import csv
import json
from pathlib import Path

import numpy as np
import pytest

from common.page import Html
from models.kinds import KINDS
from training.judge.beside import beside
from training.judge.beside_report import render, text, write
from training.judge.classes import Matched
from training.judge.figures import judgement
from training.judge.judged_model import JudgedModel
from training.judge.scoring import Scored


def picture(path):
    return Html(f'<img alt="{path}">')


@pytest.fixture(params=[2, 41])
def compared(request):
    """The second model takes every second file for the class after it."""
    names = [f"class <{number}>" for number in range(request.param)]
    labels = np.repeat(np.arange(len(names)), 2)
    files = [f"{label}/{at}.png" for at, label in enumerate(labels.tolist())]
    models, every = [], []
    for number in range(2):
        said = (labels + number * (np.arange(len(labels)) % 2)) % len(names)
        scores = np.full((len(labels), len(names)), 0.1 / len(names), np.float32)
        scores[np.arange(len(labels)), said] += 0.9
        models.append(JudgedModel("a b.onnx", "", names, False, KINDS["picture"], None, None))
        matched = Matched({}, ["nothing & more"] * number, {})
        rows = np.arange(len(labels))
        every.append(Scored(matched, files, labels, rows, scores, [("x", "broken")] * number))
    judged = [
        judgement(model, one, Path("folder"), more_than=1)
        for model, one in zip(models, every, strict=True)
    ]
    return beside(models, every, Path("folder")), judged


def test_the_page_shows_both_models_and_leads_to_the_page_of_each(compared):
    page = render(compared[0], ["1-a", "2-a"], picture)
    for heading in ("Models", "Which is right", "Classes", "Files with a worse rank"):
        assert f">{heading}</h2>" in page
    assert ">Files with a better rank</h2>" not in page
    assert '<a href="1-a/report.html">a b.onnx (1)</a>' in page
    assert "Folders that are no class of a b.onnx: nothing &amp; more" in page
    assert "class &lt;1&gt;" in page
    assert "class <1>" not in page


def test_the_text_tells_what_was_lost(compared):
    said = text(compared[0])
    files = compared[0]["files"]
    assert f"{files} files of {files // 2} classes that all of them have" in said
    assert "Classes most changed" in said
    assert "1 files that a b.onnx cannot read" in said
    for name in ("top-1", "top-1 among common classes", "loss", "mean rank", "only the first"):
        assert name in said


def test_the_folder_holds_the_page_of_each_model_and_every_file(compared, tmp_path):
    report, judged = compared
    write(report, judged, tmp_path / "out", picture)
    write(report, judged, tmp_path / "out", picture)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.html",
        "report.json",
        "files.csv",
        "1-a-b.onnx-1",
        "2-a-b.onnx-2",
    }
    assert (tmp_path / "out" / "2-a-b.onnx-2" / "report.html").is_file()
    told = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert told["right"] == [
        {
            "both": report["files"] // 2,
            "first": report["files"] // 2,
            "other": 0,
            "neither": 0,
        }
    ]
    with (tmp_path / "out" / "files.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == report["files"]
    assert {row["rank, a b.onnx (1)"] for row in rows} == {"1"}
    assert sum(row["rank, a b.onnx (2)"] == "1" for row in rows) == report["files"] // 2
