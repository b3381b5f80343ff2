"""Writes an artefact anew with other settings of its events, or other thresholds."""

from __future__ import annotations

import dataclasses
import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from common.errors import Unprocessable
from common.strict_json import to_json
from models.artefact import place
from models.events import ALL, check_settings
from models.manifest import FILES
from models.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from models.manifest import Label, Manifest


def change(store: Store, name: str, version: str | None, settings: Any, *, out: Path) -> Path:
    """Write a version with these settings below `out`, and return its folder.

    settings: by label, or by `*` for all, as in `start`, but no threshold: the metrics belong to
    those there are. What they do not name stays. The version is the one after the latest, here and
    in `out`. Raises NotFound, Unprocessable for settings that no label can have, ArtefactError.
    """
    manifest = store.load(name, version).manifest
    given = check_settings(settings, [label.name for label in manifest.labels])
    if not given or any("threshold" in each for each in given.values()):
        raise Unprocessable("the settings must be some of off, gap, min_length and rise")
    labels = tuple(
        dataclasses.replace(
            label, events={**label.events, **given.get(ALL, {}), **given.get(label.name, {})}
        )
        for label in manifest.labels
    )
    about = f"## Settings of events\n\nVersion {manifest.version} with `{to_json(given)}`.\n"
    origin = {"event_settings": given, "events_of": manifest.version}
    return _write(store, manifest, labels, about, origin, out)


def set_thresholds(
    store: Store, name: str, version: str | None, thresholds: Any, *, out: Path
) -> Path:
    """Write a version with these thresholds by label below `out`, and return its folder.

    A label's own `off`, which belonged to its threshold, becomes the default. The metrics stay
    those of the thresholds before; the report says so. Raises NotFound, ArtefactError, and
    Unprocessable for labels or thresholds that there cannot be.
    """
    manifest = store.load(name, version).manifest
    if not isinstance(thresholds, dict) or not thresholds:
        raise Unprocessable('thresholds must be like {"flute": 0.6}')
    settings = {label: {"threshold": value} for label, value in thresholds.items()}
    given = check_settings(settings, [label.name for label in manifest.labels])
    if ALL in given:
        raise Unprocessable("thresholds are of one label each, not of '*'")
    labels = tuple(
        dataclasses.replace(
            label,
            threshold=float(thresholds[label.name]),
            events={key: value for key, value in label.events.items() if key != "off"},
        )
        if label.name in thresholds
        else label
        for label in manifest.labels
    )
    about = (
        f"## Thresholds\n\nVersion {manifest.version} with the thresholds `{to_json(thresholds)}`."
        " The figures above are of those before.\n"
    )
    origin = {"thresholds": thresholds, "thresholds_of": manifest.version}
    return _write(store, manifest, labels, about, origin, out)


def _write(
    store: Store,
    manifest: Manifest,
    labels: tuple[Label, ...],
    about: str,
    origin: dict[str, Any],
    out: Path,
) -> Path:
    """Write the files of a version with other labels and a longer report."""
    name = manifest.name
    folder = store.path / name / manifest.version
    files = {file: (folder / file).read_bytes() for file in FILES}
    files["report.md"] += f"\n{about}".encode()
    new = dataclasses.replace(
        manifest,
        version=_next(name, store, Store(out)),
        labels=labels,
        files={file: hashlib.sha256(content).hexdigest() for file, content in files.items()},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        origin={**manifest.origin, **origin},
    )
    return place(out / name / new.version, files | {"manifest.json": new.to_json().encode()})


def _next(name: str, *stores: Store) -> str:
    there = [store.versions(name)[-1] for store in stores if name in store.names()]
    return str(max(map(int, there)) + 1)
