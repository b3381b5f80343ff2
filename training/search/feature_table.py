"""The rows of a feature table that a search may see, and their folds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from features.config import AudioConfig
from training.search.splits import BySource, Fold, SearchError, folds_of

TEST = 2
"""The value of `parts.npy` for rows of the test part."""


@dataclass(frozen=True)
class FeatureTable:
    """Rows that are not of the test part."""

    features: npt.NDArray[np.float64]
    """(n, features)"""
    labels: npt.NDArray[np.bool_]
    """(n, labels)"""
    sources: npt.NDArray[np.str_]
    """(n,)"""
    copies: npt.NDArray[np.bool_]
    """(n,), whether the row is an augmented copy of another."""

    def __len__(self) -> int:
        return len(self.labels)

    def drawn(self, rows: int | None, *, seed: int) -> FeatureTable:
        """Return that many random rows in their order; all when None, or fewer exist."""
        if rows is None or rows >= len(self):
            return self
        return self[np.sort(np.random.default_rng(seed).permutation(len(self))[:rows])]

    def __getitem__(self, index: npt.NDArray[Any]) -> FeatureTable:
        return FeatureTable(
            self.features[index], self.labels[index], self.sources[index], self.copies[index]
        )

    def split(
        self, folds: int | None, *, by_source: bool, seed: int
    ) -> tuple[FeatureTable, list[Fold]]:
        """Return the rows to search on and their folds, of shuffled rows or of sources.

        folds: None for 10, or by source for as many as there are.
        Augmented copies train where their source trains and are in no test fold. Folds of shuffled
        rows would separate them from their originals, so there they are removed.
        """
        from sklearn.model_selection import KFold

        if by_source:
            found = folds_of(BySource(folds), self.features, self.labels, self.sources)
            return self, [(train, test[~self.copies[test]]) for train, test in found]
        kept = self[~self.copies]
        cv = KFold(folds or 10, shuffle=True, random_state=seed)
        return kept, folds_of(cv, kept.features, kept.labels, None)


def open_table(path: Path) -> FeatureTable:
    """Return the rows of a folder that `timbre data` wrote; those of its test part stay out.

    Read: table.json (labels, sources), features.npy float32 (n, features), labels.npy bool (n,
    labels), groups.npy int32 (n,), which counts sources; where there are, parts.npy and copies.npy
    (n,). Raises SearchError for another folder.
    """
    try:
        about = json.loads((path / "table.json").read_text(encoding="utf-8"))
        sources = about["sources"]
        if "features" not in about.get("kinds", ["features"]):
            kinds = ", ".join(about["kinds"])
            raise SearchError(
                f"{path} holds {kinds}, no features: "
                f"make it with `timbre data table --kind features`"
            )
        features, labels, groups = (
            np.load(path / f"{name}.npy") for name in ("features", "labels", "groups")
        )
        parts, copies = (
            _optional(path / f"{name}.npy", len(labels)) for name in ("parts", "copies")
        )
        names = np.array(sources, np.str_)[groups]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise SearchError(
            f"{path} is not a feature table of `timbre data table`: {error}"
        ) from error
    if not len(features) == len(labels) == len(groups):
        raise SearchError(
            f"{path}: {len(features)} rows of features, {len(labels)} of labels, "
            f"{len(groups)} of groups"
        )
    table = FeatureTable(features.astype(np.float64), labels, names, copies > 0)
    return table[parts != TEST]


def features_of(path: Path) -> dict[str, Any] | None:
    """Return window (s), rate (Hz) and fingerprint of a table's features; None without a window."""
    about = json.loads((path / "table.json").read_text(encoding="utf-8"))
    if not {"window_s", "rate"} <= about.keys():
        return None
    rate, window_s = about["rate"], about["window_s"]
    config = AudioConfig(sample_rate=rate, window=round(window_s * rate))
    return {
        "window_s": window_s,
        "rate": rate,
        "fingerprint": config.fingerprint("features"),
    }


def _optional(path: Path, rows: int) -> npt.NDArray[np.uint8]:
    return np.asarray(np.load(path)) if path.exists() else np.zeros(rows, np.uint8)
