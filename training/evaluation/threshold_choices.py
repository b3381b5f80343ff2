"""What each way to choose thresholds costs: on one label, on several at once, on noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from training.evaluation.leave_one_out import thresholds
from training.evaluation.metrics import WITHOUT_LABEL, Metrics, f1_by_label, is_mixture

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from training.evaluation.leave_one_out import SourceScores
    from training.evaluation.metrics import Mask


class Choice(NamedTuple):
    """Settings of `thresholds.calibrate`."""

    beta: float
    mixtures: float

    def __str__(self) -> str:
        """As a row of the table is named."""
        share = f"{self.mixtures:.0%} mixtures" if self.mixtures else "mixtures by number"
        return f"F-{self.beta:g}, {share}"


CHOICES = tuple(Choice(beta, share) for share in (0.0, 0.5, 1.0) for beta in (0.8, 1.0, 1.25))
OWN = "best on the source itself"


def compare(
    evaluated: Sequence[SourceScores],
    *,
    quiet: float,
    beta: float = 1.0,
    mixtures: float = 0.0,
    least: Sequence[float] = (),
) -> dict[str, Metrics]:
    """Return by choice the figures of `measure`, mean over the sources; the given choice is first.

    Each source has thresholds of the others, but in the last row, which nothing can reach: there
    they have the best F1 on the source's own mixtures. Empty without two sources that have
    mixtures.
    """
    if sum(is_mixture(one.labels).any() for one in evaluated) < 2:
        return {}
    rule: dict[str, Any] = {"quiet": quiet, "least": least}
    found = {}
    for choice in dict.fromkeys((Choice(beta, mixtures), *CHOICES)):
        each = []
        for one in evaluated:
            others = [other for other in evaluated if other is not one]
            limits = thresholds(others, **rule, **choice._asdict())
            each.append(measure(one, limits))
        found[str(choice)] = _mean(each)
    own = Choice(beta=1.0, mixtures=1.0)
    found[OWN] = _mean(
        [measure(one, thresholds([one], **rule, **own._asdict())) for one in evaluated]
    )
    return found


def measure(one: SourceScores, limits: npt.NDArray[np.floating[Any]]) -> Metrics:
    """Return the figures of one source by these thresholds; None for what it has no windows of.

    `macro_f1_single`, `macro_f1_mixture`: macro-F1 on windows of one label and of two to four.
    `wrong_single`: share of the windows of one label that get another, besides or instead.
    `nothing_single`: share of them that get none. `quiet_without_label`: as in `metrics.measure`.
    """
    on = one.scores >= limits
    silent = np.isin(one.kind, WITHOUT_LABEL)
    single, mixture = one.labels.sum(axis=1) == 1, is_mixture(one.labels)
    return {
        "macro_f1_single": _macro_f1(on[single], one.labels[single]),
        "macro_f1_mixture": _macro_f1(on[mixture], one.labels[mixture]),
        "wrong_single": _share((on & ~one.labels)[single].any(axis=1)),
        "nothing_single": _share(~on[single].any(axis=1)),
        "quiet_without_label": _share(~on[silent].any(axis=1)),
    }


def _macro_f1(predicted: Mask, truth: Mask) -> float | None:
    known = [value for value in f1_by_label(predicted, truth) if value is not None]
    return float(np.mean(known)) if known else None


def _share(mask: npt.NDArray[np.bool_] | np.bool_) -> float | None:
    return float(mask.mean()) if mask.size else None


def _mean(each: Sequence[Metrics]) -> Metrics:
    columns = {key: [one[key] for one in each if one[key] is not None] for key in each[0]}
    return {key: float(np.mean(values)) if values else None for key, values in columns.items()}
