"""The sums over the processes of a machine."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from service.metrics.families import Family
from service.metrics.slot import SIZE, SUFFIX, Labels, Slot, SlotView

Values = dict[str, dict[Labels, list[float]]]


class Counted(Protocol):
    """The metrics of one process."""

    folder: Path | None
    """Of the slots of all processes that are counted together; None: there is no other."""
    slot: Slot
    families: dict[str, Family]
    """By name."""


class Totals:
    """Adds what all processes have counted. Not thread-safe."""

    def __init__(self, metrics: Counted) -> None:
        """metrics: of this process; the others' slots are in its folder."""
        self._metrics = metrics
        self._views: dict[Path, SlotView] = {}

    def read(self, *names: str) -> Values:
        """Return the values by family and labels, of these families or of all. Raises OSError.

        One value of a counter or a gauge; of a histogram the count of each bucket and the sum.
        """
        families = self._metrics.families
        totals: Values = {name: {} for name in names or families}
        for view in self._slots():
            view.update()
            for name, labels, first, width in view.series:
                if name not in totals:
                    continue
                values: list[float] = list(view.values[first : first + width])
                known = totals[name].get(labels)
                if known is not None:
                    combine = families[name].combine
                    values = [combine(*pair) for pair in zip(known, values, strict=True)]
                totals[name][labels] = values
        return totals

    def _slots(self) -> list[SlotView]:
        folder = self._metrics.folder
        if folder is None:
            return [self._metrics.slot.view]
        for path in folder.glob(f"*{SUFFIX}"):
            # One that is smaller is just being made.
            if path not in self._views and path.stat().st_size == SIZE:
                self._views[path] = SlotView.of_file(path)
        return list(self._views.values())
