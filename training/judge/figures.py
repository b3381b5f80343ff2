"""What a judgement measures: accuracy, top-k, loss, F1, confusion, the choice of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from training.evaluation.metrics import multi_label
from training.judge.classes import is_one_word
from training.judge.judged_model import probabilities
from training.pictures.learn import metrics

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from training.evaluation.metrics import Scores
    from training.judge.judged_model import JudgedModel
    from training.judge.scoring import Scored

TOP = (1, 3, 5)
MORE_THAN = 25
"""Pictures of a class that is chosen."""


def judgement(
    model: JudgedModel, scored: Scored, folder: Path, *, more_than: int
) -> dict[str, Any]:
    """Return everything that text, page, report.json and files.csv show.

    more_than: pictures of a class to choose.
    """
    tests, main = _tests(model, scored)
    top = max((k for k in TOP if k < len(model.labels)), default=1)
    classes = _classes(model, main, top=top)
    return {
        "name": model.name,
        "version": model.version,
        "folder": str(folder),
        "medium": model.medium,
        "classes": model.labels,
        "classes_judged": len(classes),
        "unknown_folders": scored.matched.unknown,
        "ambiguous_folders": scored.matched.ambiguous,
        "problems": [list(one) for one in scored.problems],
        "top": top,
        "tests": {one.test_set: _measured(model, one) for one in tests},
        "labels": classes,
        "choice": choice(classes, more_than=more_than),
        "more_than": more_than,
        "confusion_pairs": metrics.pairs(main.scores, main.labels),
        "confused": metrics.confused(main.scores, main.labels, model.labels),
        "reliability": metrics.calibration([main]),
        "mistakes": [
            {**one, "path": scored.files[one["row"]]}
            for one in metrics.mistakes([main], model.labels)
        ],
        "rows": _rows(model, main, scored.files),
    }


def _rows(
    model: JudgedModel, one: metrics.Evaluation, files: list[str]
) -> list[tuple[str, str, str, int, float]]:
    """Return path, class, answer, and rank and score of the class, of each file."""
    ranks, right = (
        metrics.rank(one.scores, one.labels),
        one.scores[np.arange(len(files)), one.labels],
    )
    said, names = one.scores.argmax(axis=1), model.labels
    return [
        (
            path,
            names[one.labels[at]],
            names[said[at]],
            int(ranks[at]) + 1,
            round(float(right[at]), 6),
        )
        for at, path in enumerate(files)
    ]


def _measured(model: JudgedModel, one: metrics.Evaluation) -> dict[str, Any]:
    loss = loss_of_each(one.scores, one.labels, several=model.several).mean()
    measured = metrics.measure(one.scores, one.labels, top=TOP)
    return {**measured, "loss": float(loss), **_at_thresholds(model, one)}


def _classes(model: JudgedModel, one: metrics.Evaluation, *, top: int) -> list[dict[str, Any]]:
    """Return the figures of each class that occurs, the hardest first."""
    found = metrics.by_class(one.scores, one.labels, model.labels, top=top)
    if model.several:
        losses = loss_of_each(one.scores, one.labels, several=True)
        means = {model.labels[at]: losses[one.labels == at].mean() for at in np.unique(one.labels)}
        found = [{**each, "loss": float(means[each["label"]])} for each in found]
    return found


def loss_of_each(
    scores: Scores, labels: metrics.Labels, *, several: bool
) -> npt.NDArray[np.float64]:
    """Return the cross-entropy of each row, (n,).

    several: whether each score is a probability of its own; then the mean over the labels.
    """
    if not several:
        return metrics.cross_entropy(scores, labels)
    right, at = 1 - np.asarray(scores, np.float64), np.arange(len(labels))
    right[at, labels] = scores[at, labels]
    means: npt.NDArray[np.float64] = -np.log(np.maximum(right, metrics.LOWEST)).mean(axis=1)
    return means


def choice(classes: list[dict[str, Any]], *, more_than: int) -> list[dict[str, Any]]:
    """Return the classes with more than so many files: the most accurate come first.

    By top-1, then top-k, then the loss; names of one word before others that are as good.
    """
    enough = [
        {**one, "one_word": is_one_word(one["label"])}
        for one in classes
        if one["support"] > more_than
    ]
    return sorted(
        enough,
        key=lambda one: (
            -one["top1"],
            -one["topk"],
            one["loss"],
            not one["one_word"],
            one["label"],
        ),
    )


def main_test(model: JudgedModel, scored: Scored) -> metrics.Evaluation:
    """Return the scores of each file: of a picture, or the means of the windows of a sound."""
    return _tests(model, scored)[1]


def _tests(
    model: JudgedModel, scored: Scored
) -> tuple[list[metrics.Evaluation], metrics.Evaluation]:
    """Return the tests, and the one that counts: of pictures, or of whole sounds."""
    scores = scored.scores if model.several else probabilities(scored.scores)
    files = np.arange(len(scored.files))
    if model.medium == "picture":
        one = metrics.Evaluation("all", "pictures", scores, scored.labels, files)
        return [one], one
    windows = metrics.Evaluation("all", "windows", scores, scored.labels[scored.rows], scored.rows)
    counts = np.bincount(scored.rows)
    sums = np.zeros((len(files), scores.shape[1]))
    np.add.at(sums, scored.rows, scores)
    means = (sums / counts[:, None]).astype(np.float32)
    clips = metrics.Evaluation("all", "clips", means, scored.labels, files)
    return [windows, clips], clips


def _at_thresholds(model: JudgedModel, one: metrics.Evaluation) -> dict[str, Any]:
    """Return what the labels over their thresholds are worth, where several can be right."""
    if model.model is None or not model.several:
        return {}
    truth = np.zeros(one.scores.shape, np.bool_)
    truth[np.arange(len(truth)), one.labels] = True
    found = multi_label(one.scores, truth, thresholds=model.model.thresholds, names=model.labels)
    keys = (
        *("accuracy", "accuracy_all_negative", "macro_f1", "macro_f1_all_on"),
        *("mean_average_precision", "mean_average_precision_constant"),
    )
    return {"at_thresholds": {key: found[key] for key in keys}}
