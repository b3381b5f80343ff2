"""Writes an artefact anew with other settings of its events; its graph and thresholds stay."""

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
    folder = store.path / name / manifest.version
    files = {file: (folder / file).read_bytes() for file in FILES}
    about = f"## Settings of events\n\nVersion {manifest.version} with `{to_json(given)}`.\n"
    files["report.md"] += f"\n{about}".encode()
    new = dataclasses.replace(
        manifest,
        version=_next(name, store, Store(out)),
        labels=labels,
        files={file: hashlib.sha256(content).hexdigest() for file, content in files.items()},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        origin={**manifest.origin, "event_settings": given, "events_of": manifest.version},
    )
    return place(out / name / new.version, files | {"manifest.json": new.to_json().encode()})


def _next(name: str, *stores: Store) -> str:
    there = [store.versions(name)[-1] for store in stores if name in store.names()]
    return str(max(map(int, there)) + 1)
