"""The report of a picture model: every figure and picture on one page that loads nothing."""

import re

import numpy as np
import pytest

from training.pictures.learn import metrics
from training.reporting.pictures import markdown, render

CLASSES = ["box", "disc", "wedge"]
PIXEL = "data:image/png;base64,AA=="


@pytest.fixture(scope="module")
def facts():
    """Two sources of 30 pictures; every third picture of a class is taken for the next class."""
    labels = np.repeat(np.arange(3), 10)
    said = np.where(np.arange(30) % 3 == 0, (labels + 1) % 3, labels)
    scores = (0.1 + 0.7 * np.eye(3)[said]).astype(np.float32)
    first = [
        metrics.Evaluation(name, "new things", scores, labels, np.arange(30))
        for name in ("filled", "thick")
    ]
    both = np.concatenate([scores, scores]), np.concatenate([labels, labels])
    figures = metrics.measure(scores, labels, top=(1, 2))
    network = {
        "minimum_loss": 0.5, "best_epoch": 1, "valid_macro_f1": 0.6, "test_accuracy": 0.6,
        "macro_f1": 0.6, "majority": 0.3, "seconds_to_best": 1.0, "seconds": 2.0, "weights": 1234,
    }  # fmt: skip
    epoch = {"loss": 1.0, "valid_loss": 0.5, "valid_accuracy": 0.6}
    return {
        "name": "shapes",
        "version": "1",
        "about": "Which of 3 <shapes>.",
        "classes": CLASSES,
        "top": 2,
        "mean": figures,
        "tests": {one.name: {one.test_set: figures} for one in first},
        "networks": {"T1": network},
        "labels": metrics.by_class(*both, CLASSES, top=2),
        "confusion": metrics.matrix(*both),
        "confused": metrics.confused(*both, CLASSES),
        "reliability": metrics.calibration(first),
        "mistakes": [
            {**one, "path": f"{one['is']}/{one['row']}.png"}
            for one in metrics.mistakes(first, CLASSES)
        ],
        "history": {"T1": [epoch, epoch]},
        "provenance": [{"source": "drawn", "licence": "CC BY 4.0", "use": "training"}],
        "libraries": {"keras": "3"},
        "origin": {"recipe": "name = 1"},
        "created": "2026-01-01",
        "files": {"size": "1 MB"},
    }


def test_every_section_is_on_a_page_that_loads_nothing(facts):
    page = render(facts, lambda row: PIXEL)
    for heading in (
        "Tests",
        "Networks",
        "Classes",
        "Learning",
        "Confusion",
        "Calibration",
        "Worst mistakes",
        "Material",
        "Origin",
    ):
        assert f">{heading}</h2>" in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert "Which of 3 &lt;shapes&gt;." in page


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ({}, "saw none of its pictures"),
        ({"tested": True}, "saw none of its pictures"),
        ({"tested": False}, "No part tests"),
    ],
)
def test_the_report_says_whether_anything_tests(facts, known, told):
    for text in (render(facts | known, lambda row: PIXEL), markdown(facts | known)):
        assert told in text
        assert ("No part tests" in text) is (told == "No part tests")


def test_each_mistake_has_its_picture_and_the_first_six_a_heatmap(facts):
    asked = []
    page = render(facts, lambda row: PIXEL, lambda row: asked.append(row) or PIXEL)
    rows = [one["row"] for one in facts["mistakes"]]
    assert rows
    assert asked == rows[:6]
    assert page.count('<div class="clip">') == len(rows) + len(asked)
    assert ">Heatmaps</h2>" in page
    many = render(facts | {"mistakes": 4 * facts["mistakes"]}, lambda row: PIXEL, lambda row: PIXEL)
    assert many.count('<div class="clip">') == 4 * len(rows) + 6


def test_without_a_mistake_there_are_no_pictures(facts):
    page = render(facts | {"mistakes": []}, lambda row: PIXEL, lambda row: PIXEL)
    assert '<div class="clip">' not in page
    assert ">Heatmaps</h2>" not in page


def test_report_md_has_a_row_a_source_a_class_and_a_confusion(facts):
    text = markdown(facts)
    assert "filled, never seen: new things" in text
    pictures = re.findall(r"^\| (?:box|disc|wedge) \| (\d+) \|", text, flags=re.MULTILINE)
    assert sum(map(int, pictures)) == np.array(facts["confusion"]).sum() == 60
    for true, predicted, count in facts["confused"]:
        assert f"| {true} | {predicted} | {count} |" in text


def test_a_column_that_no_network_has_a_figure_for_is_neither_shown_nor_explained(facts):
    few = {"test_accuracy": 0.5, "minimum_loss": None, "seconds": 1.0}
    text = markdown(facts | {"networks": {"machines": few}})
    assert "| network | test accuracy | s in all |" in text
    for word in ("Minimum loss", "Majority: ", "The best on the validation part first"):
        assert word not in text
    two = markdown(facts | {"networks": {"machines": few, "T1": facts["networks"]["T1"]}})
    for word in ("minimum loss", "Minimum loss", "The best on the validation part first"):
        assert word in two
