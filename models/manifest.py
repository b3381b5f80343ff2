"""The manifest of an artefact, and its strict reader."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias, TypedDict

from common.errors import ArtefactError, Unprocessable
from common.mapping import parse_json, read_json
from common.strict_json import to_json
from models.kinds import Config, kind_of

Task: TypeAlias = Literal["multi-label", "multi-class"]

FILES = ("model.onnx", "golden.npz", "report.md")
"""The files beside manifest.json."""
GOLDEN_TOLERANCE, MAX_TOLERANCE = 1e-4, 0.1
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
VERSION = re.compile(r"[1-9][0-9]{0,8}")
EVENT_SETTINGS = {"off": 1.0, "gap": 3_600.0, "min_length": 3_600.0, "rise": 1.0}
"""Of a label's events, with the highest value of each: a score, seconds, a share."""
MAX_LINKS = 5
LINK = re.compile(r"https?://[!-~]{1,2000}")
"""Where people may look a label up; ASCII without spaces."""


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """The tensor of one window or picture, and the settings that shaped it."""

    kind: str
    """One of models.kinds.KINDS."""
    dtype: Literal["float32", "uint8"]
    """Type of the tensor's numbers."""
    shape: tuple[int, ...]
    """Shape of one tensor, without the batch. A picture with metadata is flat: pixels row by row,
    then the metadata."""
    configuration: dict[str, Any]
    """The fields of the AudioConfig, or of the PictureConfig, that the model was trained with."""
    fingerprint: str
    """Their sha256, together with the version of the arithmetic."""

    def __post_init__(self) -> None:
        """Raises ArtefactError for an unknown kind or a configuration that is invalid."""
        self.config()

    def config(self) -> Config:
        """Return the configuration. Raises ArtefactError for an unknown setting or a wrong type."""
        where = "manifest.input.configuration"
        config_type = kind_of(self.kind).config
        try:
            return read_json(config_type, self.configuration, where=where, error=ArtefactError)
        except Unprocessable as error:
            raise ArtefactError(f"{where}: {error}") from error


@dataclass(frozen=True, kw_only=True)
class Label:
    """A label of a model."""

    name: str
    """As in responses."""
    threshold: float
    """A score at or above it counts as present."""
    events: dict[str, float] = dataclasses.field(default_factory=dict)
    """Some of EVENT_SETTINGS, where its events differ from the defaults of models.events."""
    links: dict[str, str] = dataclasses.field(default_factory=dict)
    """Where people may look it up: the name of a site, and the URL there."""


class Source(TypedDict):
    """A source of training data."""

    source: str
    licence: str
    use: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One artefact's manifest.json."""

    name: str
    """Name of the model: lower-case words joined by hyphens."""
    version: str
    """A positive integer, as text."""
    task: Task
    """Any number of labels at once, or exactly one of them."""
    input: InputSpec
    """The tensor the model takes."""
    labels: tuple[Label, ...]
    """In the order of the scores."""
    files: dict[str, str]
    """sha256 (hex) of model.onnx, golden.npz and report.md."""
    metrics: dict[str, Any]
    """Results of the evaluation."""
    provenance: list[Source]
    """All data of training and evaluation."""
    libraries: dict[str, str]
    """Versions of the libraries at training, by distribution name."""
    created: str
    """ISO 8601, UTC."""
    origin: dict[str, Any] = dataclasses.field(default_factory=dict)
    """How to reproduce it: the recipe's text, its seed, the commit of the code."""
    tolerance: float = dataclasses.field(default_factory=lambda: GOLDEN_TOLERANCE)
    """Largest difference of golden scores; more for low precision, which processors round
    differently."""

    def __post_init__(self) -> None:
        """Raises ArtefactError for names, versions or numbers out of range."""
        names = [label.name for label in self.labels]
        rules = {
            f"name={self.name!r} must be lower-case words joined by hyphens": NAME.fullmatch(
                self.name
            ),
            f"version={self.version!r} must be a positive integer": VERSION.fullmatch(self.version),
            "labels must be named, each once": names
            and all(names)
            and len(set(names)) == len(names),
            "thresholds must lie between 0 and 1": all(
                0 <= label.threshold <= 1 for label in self.labels
            ),
            f"events of a label must be {', '.join(EVENT_SETTINGS)}, within their limits": all(
                name in EVENT_SETTINGS and 0 <= value <= EVENT_SETTINGS[name]
                for label in self.labels
                for name, value in label.events.items()
            ),
            f"links of a label must be at most {MAX_LINKS}, named, http:// or https://": all(
                len(label.links) <= MAX_LINKS
                and all(
                    0 < len(name) <= 40 and name.isprintable() and LINK.fullmatch(url)
                    for name, url in label.links.items()
                )
                for label in self.labels
            ),
            f"files must be {', '.join(FILES)}": set(self.files) == set(FILES),
            f"tolerance={self.tolerance} must lie between 0 and {MAX_TOLERANCE}": 0
            < self.tolerance
            <= MAX_TOLERANCE,
            f"created={self.created!r} must be an ISO 8601 time in UTC": _is_utc(self.created),
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise ArtefactError("; ".join(broken))

    def to_json(self) -> str:
        """Return the text of manifest.json. Raises ArtefactError if a metric is NaN or infinite."""
        fields = dataclasses.asdict(self)
        for label in fields["labels"]:
            # Without links, older versions of Timbre can read it.
            if not label["links"]:
                del label["links"]
        try:
            return to_json(fields, indent=2, ensure_ascii=False) + "\n"
        except (TypeError, ValueError) as error:
            raise ArtefactError(f"the manifest cannot be written as JSON: {error}") from error

    @classmethod
    def from_json(cls, text: str | bytes) -> Manifest:
        """Read manifest.json. Raises ArtefactError for other fields or types than those above."""
        data = parse_json(text, where="manifest.json", error=ArtefactError)
        return read_json(cls, data, where="manifest", error=ArtefactError)


def _is_utc(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).utcoffset() == timedelta(0)
    except ValueError:
        return False
