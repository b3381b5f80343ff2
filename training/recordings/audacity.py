"""Collections from Audacity label tracks: NAME.txt, exported beside NAME.wav.

Format: https://manual.audacityteam.org/man/importing_and_exporting_labels.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.names import check_name, tidy
from features.file_kinds import is_sound
from training.common.errors import MaterialError
from training.common.text_files import lines, number, read_text
from training.recordings.audio import below, seconds_of
from training.recordings.collection import Clip, CollectionError, Interval, Problem, merge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from training.recordings.collection import Found
    from training.recordings.settings import CollectionSpec


def tracks(root: Path, spec: CollectionSpec) -> Iterator[Found]:
    """Yield a clip per ROOT/**/NAME that has a label track NAME.txt, a problem for each other file.

    What no label covers counts as nothing. Labels may be joined by ";". The source is the folder
    under ROOT, or, right under ROOT, the file itself. Points (labels without a length) and labels
    outside the sound are problems; a track without one good region is not used.
    """
    if not root.is_dir():
        raise CollectionError(
            f"{root} is not a folder: give one with label tracks (NAME.txt) beside sounds"
        )
    files, _ = below(root)
    sounds = [path for path in files if is_sound(path)]
    for path in sounds:
        yield from _sound(path, root, spec.encoding)
    stems = {path.with_suffix("") for path in sounds}
    for track in files:
        if track.suffix == ".txt" and track.with_suffix("") not in stems:
            yield Problem(track, "no sound of this name is beside it")


def _sound(path: Path, root: Path, encoding: str) -> Iterator[Found]:
    track = path.with_suffix(".txt")
    if not track.is_file():
        yield Problem(path, f"no label track {track.name} is beside it")
        return
    try:
        seconds = seconds_of(path)
    except CollectionError as error:
        yield Problem(path, str(error))
        return
    try:
        found = list(_regions(track, seconds, encoding))
    except MaterialError as error:
        yield Problem(track, str(error).removeprefix(f"{track}, "))
        return
    problems = [one for one in found if isinstance(one, Problem)]
    yield from problems
    if problems and len(problems) == len(found):
        # Its sound is not silence of the labels: nobody could read what it holds.
        return
    intervals = merge(one for one in found if isinstance(one, Interval))
    parts = path.relative_to(root).parts
    labels = tuple(sorted({one.label for one in intervals}))
    yield Clip(path, 0.0, seconds, labels, parts[0] if len(parts) > 1 else path.name, intervals)


def _regions(track: Path, seconds: float, encoding: str) -> Iterator[Interval | Problem]:
    for at, line in enumerate(lines(read_text(track, encoding=encoding)), 1):
        # The second line of a label with a spectral selection holds frequencies only.
        if not line.strip() or line.startswith("\\"):
            continue
        try:
            yield from _region(line, seconds)
        except ValueError as error:
            yield Problem(track, f"line {at}: {error}")


def _region(line: str, seconds: float) -> Iterator[Interval]:
    begin, _, rest = line.partition("\t")
    finish, _, text = rest.partition("\t")
    if "\t" not in rest:
        raise ValueError(f"{line!r:.100} is not START, tab, END, tab, LABEL")
    try:
        start, end = number(begin), number(finish)
    except ValueError as error:
        raise ValueError(f"{line!r:.100} is not START, tab, END, tab, LABEL: {error}") from None
    if start == end:
        raise ValueError(f"{text!r} is a point, not a region: give it a length")
    if not 0 <= start < min(end, seconds):
        raise ValueError(
            f"{text!r} from {start:g} to {end:g} s is outside of the sound, {seconds:g} s"
        )
    names = {tidy(part) for part in text.split(";")} - {""}
    if not names:
        raise ValueError("a region without a label")
    if spoilt := next(filter(None, map(check_name, sorted(names))), ""):
        raise ValueError(spoilt.replace("its name", "the label").replace("rename it", "mend it"))
    yield from (Interval(start, min(end, seconds), name) for name in sorted(names))
