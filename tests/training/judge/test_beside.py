from pathlib import Path

import numpy as np
import pytest

from models.kinds import KINDS
from training.common.errors import MaterialError
from training.judge.beside import beside, names_of
from training.judge.classes import Matched
from training.judge.judged_model import JudgedModel
from training.judge.scoring import Scored

WIDE = ["cat", "dog", "crane", "pelican"]
NARROW = ["pelican", "crane"]
FILES = ["cat/0", "crane/0", "crane/1", "pelican/0", "pelican/1"]
WIDE_SCORES = [
    [0.7, 0.1, 0.1, 0.1],
    [0.1, 0.1, 0.7, 0.1],
    [0.6, 0.1, 0.2, 0.1],
    [0.4, 0.3, 0.1, 0.2],
    [0.1, 0.1, 0.2, 0.6],
]
NARROW_SCORES = [[0.4, 0.6], [0.7, 0.3], [0.9, 0.1], [0.8, 0.2]]


def made(name, labels, kind="picture"):
    return JudgedModel(name, "", labels, False, KINDS[kind], None, None)


def scored(labels, files, scores, unknown=()):
    own = np.array([labels.index(path.split("/")[0]) for path in files])
    rows = np.arange(len(files))
    return Scored(Matched({}, list(unknown), {}), files, own, rows, np.float32(scores), [])


@pytest.fixture
def report():
    """A network of four classes, and one that was retrained for two; cats are no class of it."""
    return beside(
        [made("wide.onnx", WIDE), made("narrow", NARROW)],
        # Each model may have read the files in an order of its own.
        [
            scored(WIDE, FILES[::-1], WIDE_SCORES[::-1]),
            scored(NARROW, FILES[1:], NARROW_SCORES, ["cat"]),
        ],
        Path("folder"),
    )


def test_models_are_compared_on_the_files_whose_classes_all_have(report):
    assert (report["files"], sorted(report["classes"])) == (4, ["crane", "pelican"])
    wide, narrow = report["tests"]
    assert (wide["pictures"], wide["top1"], narrow["top1"]) == (4, 0.5, 0.75)
    assert report["left_out"][1]["unknown_folders"] == ["cat"]
    assert wide["mean_rank"] == pytest.approx((1 + 2 + 3 + 1) / 4)
    right = [0.7, 0.2, 0.2, 0.6]
    assert wide["loss"] == pytest.approx(-np.log(right).mean())


def test_among_common_classes_the_others_do_not_count(report):
    """Cat and dog keep the wide network from two files that are right among crane and pelican."""
    assert [one["top1_among_common"] for one in report["tests"]] == [1.0, 0.75]


def test_each_file_is_counted_where_it_is_right(report):
    assert report["right"] == [{"both": 2, "first": 0, "other": 1, "neither": 1}]
    assert sum(report["right"][0].values()) == report["files"]


def test_classes_that_lost_most_come_first(report):
    assert [(one["label"], one["top1"]) for one in report["labels"]] == [
        ("crane", [0.5, 0.5]),
        ("pelican", [0.5, 1.0]),
    ]


def test_the_rank_of_the_right_class_of_each_file_is_told(report):
    ranks = {row["path"]: row["rank"] for row in report["rows"]}
    assert ranks == {
        "crane/0": [1, 1],
        "crane/1": [2, 2],
        "pelican/0": [3, 1],
        "pelican/1": [1, 1],
    }
    assert [row["path"] for row in report["better"]] == ["pelican/0"]
    assert report["worse"] == []
    row = report["better"][0]
    assert (row["is"], row["said"]) == ("pelican", ["cat", "pelican"])
    assert row["right"] == pytest.approx([0.2, 0.9])


def test_models_without_a_class_in_common_are_refused():
    first, second = made("a.onnx", ["cat"]), made("b.onnx", ["crane"])
    both = [scored(["cat"], ["cat/0"], [[1]]), scored(["crane"], ["crane/0"], [[1]])]
    with pytest.raises(MaterialError, match=r"no folder of folder is a class of a\.onnx and of b"):
        beside([first, second], both, Path("folder"))


def test_sounds_and_pictures_are_not_compared():
    first, second = made("a.onnx", ["cat"]), made("b.onnx", ["cat"], "log_mel")
    both = [scored(["cat"], ["cat/0"], [[1]])] * 2
    with pytest.raises(MaterialError, match=r"a\.onnx takes pictures, b\.onnx takes sounds"):
        beside([first, second], both, Path("folder"))


def test_models_of_the_same_name_are_told_apart():
    assert names_of([made("a.onnx", []), made("b.onnx", []), made("a.onnx", [])]) == [
        "a.onnx (1)",
        "b.onnx",
        "a.onnx (2)",
    ]
