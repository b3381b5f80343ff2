"""Models beside each other on the same files: what retraining won, and what a network forgot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from training.common.errors import MaterialError
from training.judge.figures import TOP, loss_of_each, main_test
from training.pictures.learn import metrics

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from training.judge.judged_model import JudgedModel
    from training.judge.scoring import Scored

EXAMPLES = 12
"""Files of each direction whose right class moved the furthest."""
WHERE_RIGHT = ("both", "first", "other", "neither")


@dataclass(frozen=True)
class _Part:
    """What one model gives for the files that all of them know."""

    model: JudgedModel
    scores: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    @property
    def ranks(self) -> npt.NDArray[np.int64]:
        return metrics.rank(self.scores, self.labels)

    @property
    def right(self) -> npt.NDArray[np.float32]:
        """Scores of the right classes."""
        return np.asarray(self.scores[np.arange(len(self.labels)), self.labels], np.float32)

    @property
    def losses(self) -> npt.NDArray[np.float64]:
        return loss_of_each(self.scores, self.labels, several=self.model.several)


def beside(models: Sequence[JudgedModel], scored: Sequence[Scored], folder: Path) -> dict[str, Any]:
    """Return everything that text, page, report.json and files.csv show of several models.

    Files count whose folder is a class of every model. Raises MaterialError without any, and for
    models of sounds and of pictures.
    """
    if len({model.medium for model in models}) > 1:
        each = ", ".join(f"{model.name} takes {model.medium}s" for model in models)
        raise MaterialError(f"models of sounds and pictures have no files in common: {each}")
    files = sorted(set[str].intersection(*(set(one.files) for one in scored)))
    if not files:
        raise MaterialError(
            f"no folder of {folder} is a class of {' and of '.join(model.name for model in models)}"
        )
    parts = [_part(*each, files) for each in zip(models, scored, strict=True)]
    kinds, group = np.unique(
        np.stack([part.labels for part in parts], axis=1), axis=0, return_inverse=True
    )
    names = [models[0].labels[at] for at in kinds[:, 0].tolist()]
    rows = _files(parts, files)
    return {
        "folder": str(folder),
        "medium": models[0].medium,
        "models": names_of(models),
        "files": len(files),
        "classes": names,
        "tests": [_measured(part, kinds[:, at], group) for at, part in enumerate(parts)],
        "right": [_counts(parts[0], other) for other in parts[1:]],
        "labels": _labels(parts, names, group),
        "left_out": [_left_out(model, one) for model, one in zip(models, scored, strict=True)],
        "worse": _furthest(rows, 1),
        "better": _furthest(rows, -1),
        "rows": rows,
    }


def names_of(models: Sequence[JudgedModel]) -> list[str]:
    """Return a name for each model, each once."""
    names = [f"{model.name} {model.version}".strip() for model in models]
    return [
        f"{name} ({names[:at].count(name) + 1})" if names.count(name) > 1 else name
        for at, name in enumerate(names)
    ]


def _part(model: JudgedModel, scored: Scored, files: list[str]) -> _Part:
    main, at = main_test(model, scored), {path: row for row, path in enumerate(scored.files)}
    rows = [at[path] for path in files]
    return _Part(model, main.scores[rows], np.asarray(main.labels[rows], np.int64))


def _measured(
    part: _Part, own: npt.NDArray[np.int64], group: npt.NDArray[np.intp]
) -> dict[str, Any]:
    """Return the figures of a model. own: its number of each class that all models have."""
    among = np.asarray(part.scores[:, own].argmax(axis=1) == group.ravel())
    return {
        **metrics.measure(part.scores, part.labels, top=TOP),
        "loss": float(part.losses.mean()),
        "mean_rank": float(part.ranks.mean() + 1),
        "top1_among_common": float(among.mean()),
        "classes": len(part.model.labels),
    }


def _counts(first: _Part, other: _Part) -> dict[str, int]:
    """Return how many files which of two models has right."""
    one, two = first.ranks < 1, other.ranks < 1
    found = (one & two, one & ~two, two & ~one, ~one & ~two)
    return {name: int(each.sum()) for name, each in zip(WHERE_RIGHT, found, strict=True)}


def _labels(
    parts: list[_Part], names: list[str], group: npt.NDArray[np.intp]
) -> list[dict[str, Any]]:
    """Return the figures of each class, what the last model lost most against the first, first."""
    found = []
    for number, name in enumerate(names):
        here = group.ravel() == number
        found.append(
            {
                "label": name,
                "support": int(here.sum()),
                "top1": [float((part.ranks[here] < 1).mean()) for part in parts],
                "mean_rank": [float(part.ranks[here].mean() + 1) for part in parts],
                "loss": [float(part.losses[here].mean()) for part in parts],
            }
        )
    return sorted(found, key=lambda one: one["top1"][-1] - one["top1"][0])


def _files(parts: list[_Part], files: list[str]) -> list[dict[str, Any]]:
    ranks, right = ([getattr(part, what) for part in parts] for what in ("ranks", "right"))
    said = [part.scores.argmax(axis=1) for part in parts]
    return [
        {
            "path": path,
            "is": parts[0].model.labels[parts[0].labels[at]],
            "said": [part.model.labels[each[at]] for part, each in zip(parts, said, strict=True)],
            "rank": [int(each[at]) + 1 for each in ranks],
            "right": [float(each[at]) for each in right],
        }
        for at, path in enumerate(files)
    ]


def _furthest(rows: list[dict[str, Any]], sign: int) -> list[dict[str, Any]]:
    """Return the files whose right class has another rank in the last model, the furthest first.

    sign: 1 for a worse rank there, -1 for a better one. Ranks are compared by their ratio: from 1
    to 10 is further than from 500 to 600.
    """

    def moved(row: dict[str, Any]) -> float:
        return sign * float(np.log(row["rank"][-1] / row["rank"][0]))

    return sorted((row for row in rows if moved(row) > 0), key=moved, reverse=True)[:EXAMPLES]


def _left_out(model: JudgedModel, scored: Scored) -> dict[str, Any]:
    return {
        "name": f"{model.name} {model.version}".strip(),
        "unknown_folders": scored.matched.unknown,
        "ambiguous_folders": list(scored.matched.ambiguous),
        "problems": len(scored.problems),
    }
