import json
from pathlib import Path

import numpy as np
import pytest

from common.page import Html
from models.kinds import KINDS
from training.judge.classes import Matched
from training.judge.figures import judgement
from training.judge.judged_model import JudgedModel
from training.judge.report import render, text, write
from training.judge.scoring import Scored


def report(classes, each=3):
    """A judgement of a model that takes every class for the first one half of the time."""
    labels = np.repeat(np.arange(classes), each)
    scores = np.full((len(labels), classes), 0.01, np.float32)
    scores[np.arange(len(labels)), np.where(np.arange(len(labels)) % 2, labels, 0)] = 0.9
    scores /= scores.sum(axis=1, keepdims=True)
    names = [f"class <{number}>" for number in range(classes)]
    model = JudgedModel("made.onnx", "", names, False, KINDS["picture"], None, None)
    found = Scored(
        Matched({}, ["nothing & more"], {"crane": ["crane 1", "crane 2"]}),
        [f"{label}/{at}.png" for at, label in enumerate(labels.tolist())],
        labels,
        np.arange(len(labels)),
        scores,
        [("a/broken.png", "damaged")],
    )
    return judgement(model, found, Path("folder"), more_than=2)


def picture(path):
    return Html(f'<img alt="{path}">')


@pytest.mark.parametrize("classes", [2, 40, 41, 83])
def test_the_page_has_every_figure_for_any_number_of_classes(classes):
    page = render(report(classes), picture)
    for heading in (
        "Tests",
        "Not judged",
        "Classes",
        "Choice of classes",
        "Confusion",
        "Worst mistakes",
    ):
        assert f">{heading}</h2>" in page
    assert "class &lt;1&gt;" in page
    assert "class <1>" not in page
    assert ("<details>" in page) == (classes > 40)
    assert ("<svg" in page.partition(">Confusion</h2>")[2].partition("</h2>")[0]) == (classes > 40)
    assert "rank 2" in page


def test_the_text_says_what_was_not_judged_and_which_classes_are_best():
    said = text(report(3))
    assert "made.onnx on folder: 9 files of 3 of its 3 classes." in said
    assert "Folders that are no class of the model: nothing & more" in said
    assert "Folder crane could be crane 1 or crane 2" in said
    assert "1 files left out: a/broken.png: damaged" in said
    assert "Best of those with more than 2 files: class <" in said
    for name in ("top-1", "loss", "macro-F1", "majority", "calibration error"):
        assert name in said


def test_the_folder_is_written_anew(tmp_path):
    write(report(3), tmp_path / "out", picture)
    write(report(2), tmp_path / "out", picture)
    found = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert len(found["classes"]) == 2
    assert {"tests", "labels", "choice", "confusion_pairs", "mistakes"} <= found.keys()
    assert "made.onnx" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
