"""Scores (MusicXML, MIDI) as notes in seconds, part by part."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt

from common.atomic import atomic_file
from common.strict_json import to_json
from training.common.disk import content_of, fingerprint
from training.common.errors import MaterialError
from training.common.labels import LABELS
from training.notes.phrases import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Notes: TypeAlias = npt.NDArray[np.float64]
"""Shape (n, 3): onset s, duration s, MIDI pitch; sorted by onset."""
PROGRAMS = {
    **dict.fromkeys((0, 1, 2), "piano"), 6: "harpsichord",
    40: "violin", 41: "viola", 42: "cello", 43: "contrabass",
    60: "horn", 68: "oboe", 70: "bassoon", 71: "clarinet", 73: "flute",
}  # fmt: skip
"""General MIDI programs counted from 0."""
SUFFIXES = {".mxl", ".musicxml", ".xml", ".mid", ".midi"}
DRUMS = 9
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass(frozen=True)
class Score:
    """The parts of a score that have one of our labels."""

    labels: tuple[str, ...]
    notes: tuple[Notes, ...]

    @property
    def seconds(self) -> float:
        """When the last note ends."""
        return max(
            (float(part[-1, 0] + part[-1, 1]) for part in self.notes if len(part)), default=0.0
        )

    def excerpt(self, start: float, seconds: float) -> list[list[Event]]:
        """Return each part's events that sound in [start, start + seconds), with onsets from 0."""
        return [[*_cut(part, start, start + seconds)] for part in self.notes]


def _cut(part: Notes, start: float, stop: float) -> Iterator[Event]:
    for onset, duration, pitch in part[
        (part[:, 0] < stop) & (part[:, 0] + part[:, 1] > start)
    ].tolist():
        begin = max(onset, start)
        yield Event(begin - start, onset + duration - begin, pitch)


def files_of(paths: Sequence[Path]) -> list[Path]:
    """Return the scores below files and folders, each once, sorted by path."""
    return sorted(
        {
            f
            for p in paths
            for f in ([p] if p.is_file() else p.rglob("*"))
            if f.suffix.lower() in SUFFIXES
        }
    )


def contents_of(files: Sequence[Path]) -> list[list[str]]:
    """Return name and content of each file."""
    return [[file.name, content_of(file)] for file in files]


def read_all(files: Sequence[Path], cache: Path) -> list[Score]:
    """Return the scores of files, parsed once into `cache`."""
    if not files:
        return []
    kept = cache / f"scores-{fingerprint(contents_of(files))}.npz"
    if not kept.is_file():
        scores = [score for f in files if len((score := read(f)).labels)]
        arrays: dict[str, Any] = {
            f"{i}_{j}": n for i, score in enumerate(scores) for j, n in enumerate(score.notes)
        }
        labels = np.array(to_json([score.labels for score in scores]))
        with atomic_file(kept) as draft:
            np.savez(draft, names=labels, **arrays)
    with np.load(kept) as table:
        names = json.loads(str(table["names"]))
        return [
            Score(tuple(n), tuple(table[f"{i}_{j}"] for j in range(len(n))))
            for i, n in enumerate(names)
        ]


def read(path: Path) -> Score:
    """Return a score with the parts that have one of the labels.

    Raises MaterialError for a file that is not a score.
    """
    try:
        parts = read_midi(path) if path.suffix.lower() in {".mid", ".midi"} else read_musicxml(path)
    except (ET.ParseError, zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError) as error:
        raise MaterialError(f"{path} cannot be read as a score: {error!r}") from error
    known = [(label, sort(notes)) for label, notes in parts if label in LABELS and len(notes)]
    return Score(tuple(label for label, _ in known), tuple(notes for _, notes in known))


def sort(notes: Iterable[tuple[float, float, float]]) -> Notes:
    """Return notes as an array sorted by onset, then pitch."""
    table = np.array(sorted(notes, key=lambda note: (note[0], note[2])), np.float64).reshape(-1, 3)
    return table[table[:, 1] > 0]


def read_musicxml(path: Path) -> list[tuple[str, list[tuple[float, float, float]]]]:
    """Return (label or "", notes in seconds) of each part, without repeats and grace notes."""
    root = ET.fromstring(_document(path))  # noqa: S314
    programs = {part.get("id"): _label(part) for part in root.iter("score-part")}
    voices = [(programs.get(part.get("id"), ""), *_walk(part)) for part in root.iter("part")]
    # A tempo is in one part and valid for all of them.
    beats, tempi = (
        np.array(sorted({0.0: 120.0} | {b: t for _, _, marks in voices for b, t in marks.items()})),
        {},
    )
    for _, _, marks in voices:
        tempi.update(marks)
    speed = np.array([tempi.get(beat, 120.0) for beat in beats])
    clock = np.concatenate([[0.0], np.cumsum(np.diff(beats) * 60 / speed[:-1])])

    def seconds(beat: float) -> float:
        i = int(np.searchsorted(beats, beat, side="right")) - 1
        return float(clock[i] + (beat - beats[i]) * 60 / speed[i])

    return [
        (label, [(seconds(b), seconds(e) - seconds(b), p) for b, e, p in notes])
        for label, notes, _ in voices
    ]


def _document(path: Path) -> bytes:
    if path.suffix.lower() != ".mxl":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        container = ET.fromstring(archive.read("META-INF/container.xml"))  # noqa: S314
        name = next(e.attrib["full-path"] for e in container.iter() if e.tag.endswith("rootfile"))
        return archive.read(name)


def _label(part: ET.Element) -> str:
    program = int(part.findtext("midi-instrument/midi-program") or 0) - 1
    name = (
        part.findtext("score-instrument/instrument-name") or part.findtext("part-name") or ""
    ).lower()
    named = {"violoncello": "cello", "double bass": "contrabass", "french horn": "horn"}.get(
        name, name
    )
    return PROGRAMS.get(program, named if named in LABELS else "")


def _walk(part: ET.Element) -> tuple[list[tuple[float, float, float]], dict[float, float]]:
    """Return notes as (begin, end, pitch) and tempo marks, in quarter notes from the start."""
    notes: list[tuple[float, float, float]] = []
    tied: dict[float, int] = {}
    tempi: dict[float, float] = {}
    divisions, transpose = 1.0, 0.0
    now = previous = start = furthest = 0.0
    for measure in part.iter("measure"):
        start = now = furthest
        for item in measure:
            length = float(item.findtext("duration") or 0) / divisions
            if item.tag == "attributes":
                divisions = float(item.findtext("divisions") or divisions)
                transpose = _transposition(item, transpose)
            elif item.tag in ("backup", "forward"):
                now = max(start, now + (length if item.tag == "forward" else -length))
            elif item.tag in ("direction", "sound"):
                sound = item if item.tag == "sound" else item.find("sound")
                if sound is not None and float(sound.get("tempo") or 0) > 0:
                    tempi[now] = float(sound.attrib["tempo"])
            elif item.tag == "note" and item.find("grace") is None:
                onset = previous if item.find("chord") is not None else now
                _add(item, onset, onset + length, transpose, notes, tied)
                previous, now = onset, max(now, onset + length)
            furthest = max(furthest, now)
    return notes, tempi


def _transposition(attributes: ET.Element, before: float) -> float:
    if attributes.find("transpose") is None:
        return before
    octaves = float(attributes.findtext("transpose/octave-change") or 0)
    return float(attributes.findtext("transpose/chromatic") or 0) + 12 * octaves


def _add(
    note: ET.Element,
    begin: float,
    end: float,
    transpose: float,
    notes: list[tuple[float, float, float]],
    tied: dict[float, int],
) -> None:
    """Add a sounding note, or lengthen the one it is tied to."""
    step = note.findtext("pitch/step")
    if step is None:
        return
    octave, alter = (
        float(note.findtext("pitch/octave") or 4),
        float(note.findtext("pitch/alter") or 0),
    )
    pitch = 12 * (octave + 1) + _STEPS[step] + alter + transpose
    ties = {tie.get("type") for tie in note.findall("tie")}
    if "stop" in ties and pitch in tied:
        notes[tied[pitch]] = (notes[tied[pitch]][0], end, pitch)
    else:
        tied[pitch] = len(notes)
        notes.append((begin, end, pitch))
    if "start" not in ties:
        tied.pop(pitch, None)


def read_midi(path: Path) -> list[tuple[str, list[tuple[float, float, float]]]]:
    """Return (label or "", notes in seconds) of each channel and program, without drums."""
    import mido

    voices: dict[tuple[int, int], list[tuple[float, float, float]]] = {}
    program: dict[int, int] = {}
    sounding: dict[tuple[int, int], float] = {}
    now = 0.0
    for message in mido.MidiFile(path):
        now += message.time
        if message.type == "program_change":
            program[message.channel] = message.program
        if message.type not in ("note_on", "note_off") or message.channel == DRUMS:
            continue
        key = (message.channel, message.note)
        if key in sounding:
            begin = sounding.pop(key)
            voice = voices.setdefault((message.channel, program.get(message.channel, 0)), [])
            voice.append((begin, now - begin, float(message.note)))
        if message.type == "note_on" and message.velocity:
            sounding[key] = now
    return [(PROGRAMS.get(number, ""), notes) for (_, number), notes in sorted(voices.items())]
