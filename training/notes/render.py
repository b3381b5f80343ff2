"""Sound fonts as material: every note of every label, rendered once by FluidSynth."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from training.common.disk import content_of, fingerprint
from training.common.errors import MaterialError
from training.common.labels import RATE
from training.notes.library import (
    Note,
    build_library,
    decode_file,
    files_of,
    open_library,
    read_folder,
)
from training.notes.sheet_music import PROGRAMS
from training.notes.soundfont import (
    label_samples,
    mislabelled_programs,
    own_pitches,
    shared,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from features.config import Samples
    from training.notes.library import Library

FOLDERS = (
    Path("/usr/share/sounds/sf2"),
    Path("/usr/share/sounds/sf3"),
    Path("/usr/share/soundfonts"),
)
INSTALL = "apt install fluidsynth fluid-soundfont-gm musescore-general-soundfont csound-soundfont"
RELATED = 0.2
"""Fonts that share more than this part of their sample names are one source."""
TAKES = ((36, 1.6, 0), (68, 0.25, 0), (84, 2.5, 90), (112, 1.2, 0))
"""Velocity, seconds and modulation (vibrato, 0 to 127) of each rendering of a note."""
BORROWED = {
    ("MuseScore_General_Full", "cello"),
    ("MuseScore_General", "cello"),
    ("TimGM6mb", "oboe"),
}
"""The same recordings as in GeneralUser GS, found by comparing waveforms
(tests/training/notes/test_source_leakage.py)."""
TAIL = 0.5
_BEAT = 480


class Struck(NamedTuple):
    """A note in a MIDI file: seconds, MIDI pitch, velocity."""

    onset: float
    duration: float
    pitch: int
    velocity: int
    modulation: int = 0


class Channel(NamedTuple):
    """What one MIDI channel plays."""

    number: int
    """From 0; 9 has the drums."""
    programs: Sequence[tuple[float, int]]
    """Seconds, and the program from then on."""
    notes: Sequence[Struck]


def installed_fonts() -> tuple[Path, ...]:
    """Return the sound fonts that the system has, each once, sorted by name."""
    files = {file.resolve() for folder in FOLDERS for file in folder.glob("*.sf[23]")}
    return tuple(sorted(files, key=lambda file: file.name))


def families(
    fonts: Sequence[Path], joined: Mapping[str, str] | None = None
) -> dict[str, tuple[Path, ...]]:
    """Return the fonts grouped into sources, by shared samples, named after the first font.

    joined: the source of a font, by its file's name without the ending, where it is another's.
    """
    known = joined or {}
    groups: list[list[Path]] = []
    for font in fonts:
        related = [
            group for group in groups if any(shared(font, other) > RELATED for other in group)
        ]
        groups = [group for group in groups if group not in related] + [
            [*(f for group in related for f in group), font]
        ]
    named: dict[str, list[Path]] = {}
    for group in groups:
        names = [known[font.stem] for font in group if font.stem in known]
        name = names[0] if names else f"font-{group[0].stem.lower()}"
        named.setdefault(name, []).extend(group)
    return {name: tuple(some) for name, some in named.items()}


def library_of_fonts(
    source: str,
    fonts: Sequence[Path],
    cache: Path,
    *,
    folders: Sequence[Path] = (),
    jobs: int = 1,
) -> Library:
    """Return the library of one family of fonts, rendered at the first call and kept in `cache`.

    folders: of LABEL/recordings that are of the same source.
    """
    settings: list[Any] = [TAKES, [[f.name, content_of(f), _pitches(f)] for f in fonts]]
    settings += [files_of(folders)] if folders else []
    kept = cache / f"{source}-{fingerprint(settings)}"
    if kept.is_dir():
        return open_library(source, kept)
    work = [(font, label) for font in fonts for label in usable_labels(font)]
    with ThreadPoolExecutor(jobs) as pool:
        rendered = pool.map(lambda pair: list(render_notes(*pair)), work)
        notes = [note for some in rendered for note in some]
    recorded = chain.from_iterable(read_folder(folder) for folder in folders)
    return build_library(chain(recorded, notes), source, kept)


def _pitches(font: Path) -> dict[str, list[int]]:
    return {label: own_pitches(font, label) for label in usable_labels(font)}


def usable_labels(font: Path) -> list[str]:
    """Return the labels that the font plays with samples of its own, and of that instrument."""
    mislabelled = mislabelled_programs(font)
    return [
        label
        for label in label_samples(font)
        if label not in mislabelled and (font.stem, label) not in BORROWED
    ]


def render_notes(font: Path, label: str) -> Iterator[Note]:
    """Yield the label's range, note by note, in every one of TAKES.

    Without pitches that another instrument's samples play.
    """
    program = next(number for number, name in PROGRAMS.items() if name == label)
    score, now = [], 0.0
    for pitch in own_pitches(font, label):
        for velocity, seconds, modulation in TAKES:
            score.append(Struck(now, seconds, pitch, velocity, modulation))
            now += seconds + TAIL
    audio = render(font, program, score)
    for note in score:
        begin, end = int(note.onset * RATE), int((note.onset + note.duration + TAIL) * RATE)
        yield Note(label, float(note.pitch), audio[begin:end].copy())


def render(font: Path, program: int, notes: Sequence[Struck], *, rate: int = RATE) -> Samples:
    """Return one part played by one program, dry, mono at `rate` Hz.

    Raises MaterialError without FluidSynth, or when it fails.
    """
    return render_channels(font, [Channel(0, [(0.0, program)], notes)], rate=rate)


def render_channels(font: Path, channels: Sequence[Channel], *, rate: int = RATE) -> Samples:
    """Return several channels played at once, as `render` does."""
    if not shutil.which("fluidsynth"):
        raise MaterialError(f"FluidSynth is not installed; run: {INSTALL}")
    with tempfile.TemporaryDirectory() as folder:
        midi, wave = Path(folder, "part.mid"), Path(folder, "part.wav")
        write_midi(midi, channels)
        plain = "-ni -q -R 0 -C 0 -g 0.4 -r 44100 -O s16"
        command = ["fluidsynth", *plain.split()]
        done = subprocess.run(  # noqa: S603
            [*command, "-F", str(wave), str(font), str(midi)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not wave.is_file():
            raise MaterialError(
                f"FluidSynth failed on {font.name}: {done.stderr.strip() or done.stdout.strip()}"
            )
        return decode_file(wave, rate=rate)


def write_midi(path: Path, channels: Sequence[Channel]) -> None:
    """Write a track for each channel at 120 beats a minute; 960 ticks a second."""
    import mido

    tracks = [mido.MidiTrack(_messages(channel)) for channel in channels]
    mido.MidiFile(ticks_per_beat=_BEAT, tracks=tracks).save(path)


def _messages(channel: Channel) -> list[Any]:
    """Return the MIDI messages of a channel, each with the ticks since the one before."""
    import mido

    # Where one note ends as another begins, the end comes first; programs change before both.
    timed: list[tuple[float, int, Any]] = [(at, 0, program) for at, program in channel.programs]
    timed += [(note.onset + note.duration, 1, note) for note in channel.notes]
    timed += [(note.onset, 2, note) for note in channel.notes]
    messages: list[Any] = []
    now, number = 0, {"channel": channel.number}
    for seconds, kind, what in sorted(timed, key=lambda one: (round(one[0] * 2 * _BEAT), one[1])):
        tick = round(seconds * 2 * _BEAT)
        made = (
            [mido.Message("program_change", program=what, **number)]
            if kind == 0
            else [mido.Message("note_off", note=what.pitch, velocity=0, **number)]
            if kind == 1
            else [
                mido.Message("control_change", control=1, value=what.modulation, **number),
                mido.Message("note_on", note=what.pitch, velocity=what.velocity, **number),
            ]
        )
        made[0].time = tick - now
        now = tick
        messages += made
    return messages
