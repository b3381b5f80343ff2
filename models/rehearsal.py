"""The record of a rehearsal, which `timbre models promote --rehearsal` demands."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from common.errors import InputError
from common.mapping import parse_json
from common.strict_json import to_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from models.manifest import Manifest

VERSION = 1
"""Of the record."""


def identity(manifest: Manifest) -> str:
    """Return a hash of what decides on events: the graph, the labels and their settings.

    A promotion changes the version of a manifest, and not this.
    """
    labels = [[label.name, label.threshold, label.events] for label in manifest.labels]
    what = [manifest.name, manifest.files["model.onnx"], manifest.input.fingerprint, labels]
    return hashlib.sha256(to_json(what).encode()).hexdigest()


def record(
    candidate: Manifest,
    served: Manifest,
    *,
    recordings: int,
    seconds: float,
    events: dict[str, Any],
) -> dict[str, Any]:
    """Return the record of a rehearsal. events: counts by label."""
    return {
        "rehearsal": VERSION,
        "model": candidate.name,
        "candidate": {"version": candidate.version, "identity": identity(candidate)},
        "served": {"version": served.version, "identity": identity(served)},
        "recordings": recordings,
        "seconds": round(seconds, 3),
        "events": events,
    }


def read(path: Path) -> dict[str, Any]:
    """Return the record in a file. Raises InputError if it is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the rehearsal {path}: {error}") from error
    found: Any = parse_json(text, error=InputError, where=str(path))
    values = found if isinstance(found, dict) else {}
    sides = [values.get(side) for side in ("candidate", "served")]
    whole = all(isinstance(side, dict) and {"version", "identity"} <= set(side) for side in sides)
    if values.get("rehearsal") != VERSION or not whole:
        raise InputError(f"{path} is no rehearsal: it is written by timbre rehearse")
    return values


def problems(found: dict[str, Any], candidate: Manifest, served: Manifest | None) -> Iterator[str]:
    """Yield why a rehearsal says nothing about this promotion."""
    if found["candidate"]["identity"] != identity(candidate):
        yield (
            f"the rehearsal is of {found.get('model')} {found['candidate']['version']} with other"
            f" weights, labels or thresholds than those of {candidate.name} {candidate.version}"
        )
    if served is None:
        yield "there is no served version that the rehearsal could be against"
    elif found["served"]["identity"] != identity(served):
        yield (
            f"the rehearsal is against version {found['served']['version']}, and version"
            f" {served.version} is served"
        )
