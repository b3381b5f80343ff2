"""The pinned version of a model: without a pin the newest version is served."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from common.atomic import write_atomic
from common.errors import ArtefactError
from common.folders import read_regular
from common.mapping import parse_json, read_json
from common.strict_json import to_json
from models.manifest import VERSION

FILE = "current.json"
"""Lies beside the versions, so that every process that reads them reads it too."""


@dataclass(frozen=True, kw_only=True)
class Pin:
    """A version that was requested by number."""

    version: str
    """The one to serve."""
    newest: str
    """The newest version at that time: a version after it ends the pin."""
    unloaded: bool = False
    """Whether the model is not served, until one of its versions is loaded again."""

    def __post_init__(self) -> None:
        """Raises ArtefactError if a field is not a version."""
        if not (VERSION.fullmatch(self.version) and VERSION.fullmatch(self.newest)):
            raise ArtefactError(f"version={self.version!r} or newest={self.newest!r} is no version")


def read_pin(folder: Path) -> Pin | None:
    """Return the pin of the model in a folder, or None. Raises ArtefactError if it is invalid."""
    try:
        text = read_regular(folder / FILE)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArtefactError(f"{FILE} cannot be read: {error.strerror}") from error
    try:
        return read_json(
            Pin, parse_json(text, error=ArtefactError), where=FILE, error=ArtefactError
        )
    except ArtefactError as error:
        form = '{"version": "1", "newest": "2"}'
        raise ArtefactError(f"{FILE} is not of the form {form}: {error}") from error


def write_pin(folder: Path, pin: Pin | None) -> None:
    """Write a pin, or remove it for None. Raises OSError if nothing can be written."""
    if pin is None:
        (folder / FILE).unlink(missing_ok=True)
    else:
        # Earlier releases read files without this field.
        fields = {name: value for name, value in asdict(pin).items() if value is not False}
        write_atomic(folder / FILE, to_json(fields))


def load_order(versions: list[str], pin: Pin | None) -> list[str]:
    """Return the versions in the order in which they are tried at start.

    Those after the newest one of the pin come first, then the pinned one, then the others.
    """
    ranked = sorted(versions, key=int, reverse=True)
    if pin is None:
        return ranked
    newer = [version for version in ranked if int(version) > int(pin.newest)]
    pinned = [version for version in ranked if version == pin.version and version not in newer]
    return [*newer, *pinned, *(version for version in ranked if version not in {*newer, *pinned})]


def update_candidates(
    versions: list[str], pin: Pin | None, *, current: str, pin_changed: bool
) -> list[str]:
    """Return the versions that should replace the current one, the best first.

    pin_changed: whether the pin changed since the current version was loaded. Only then may an
    older version replace it: a version whose folder was removed is still served.
    """
    if not pin_changed:
        floor = max(int(current), int(pin.newest) if pin else 0)
        newer = [version for version in versions if int(version) > floor]
        return sorted(newer, key=int, reverse=True)
    order = load_order(versions, pin)
    if pin is not None:
        order = [
            version for version in order if int(version) > int(pin.newest) or version == pin.version
        ]
    return order[: order.index(current)] if current in order else order
