"""`timbre data hear`: windows before and after each variant, as WAV files and spectrograms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.extract import log_mel
from training.common.cli_helpers import bounded_int
from training.common.labels import RATE
from training.common.progress import stage
from training.data_cli.main import parser
from training.recordings import audio
from training.recordings.augment import VARIANTS
from training.recordings.collection import CollectionError
from training.recordings.extract import Settings, window
from training.recordings.given_split import split_of
from training.recordings.load import load
from training.recordings.recipe_of import recipe_of
from training.recordings.windows import starts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.config import Samples
    from training.recordings.collection import Clip
    from training.recordings.settings import SoundsRecipe


COLUMNS = 5
BANDS = 128
TICKS = {500: "500 Hz", 1000: "1 kHz", 2000: "2 kHz", 4000: "4 kHz", 8000: "8 kHz"}
CELL, DRAWN = (2.75, 2.15), (2.5, 1.6)
"""Inches of a spectrogram with what is around it, and without."""
SIDES = (0.7, 0.75)
"""Inches left of the first column and right of the last."""
LONGEST = 200
"""Bytes of a folder's name; file systems take 255."""
LETTERS = 11
"""Of a title on an inch."""
HEADING, BELOW, FOOT = 0.4, 0.2, 0.25
"""Inches above the first row, below the axes of a row, and below the last row."""


def main(argv: list[str]) -> int:
    """Run `timbre data hear`."""
    options = parser("hear", __doc__ or "")
    options.add_argument(
        "--out", type=Path, metavar="DIR", default=Path("hear"), help="default: %(default)s"
    )
    options.add_argument(
        "--windows", type=bounded_int(1), default=3, help="how many (default: %(default)s)"
    )
    args = options.parse_args(argv)
    for path in write(recipe_of(args.spec, args.set), args.out, windows=args.windows):
        print(path)
    return 0


def write(recipe: SoundsRecipe, out: Path, *, windows: int) -> list[Path]:
    """Write WAV files and spectrograms of some training windows and return their folders.

    A folder NN-LABELS holds 00-original.wav, 01-VARIANT.wav, ... and sheet.png.

    Without variants in the recipe all of VARIANTS are written.
    """
    names = recipe.augment.variants or tuple(VARIANTS)
    with stage("list the collection") as progress:
        collection = load(recipe.collection, progress)
    split = split_of(collection, recipe)
    settings = Settings.of(recipe, ("features",))
    clips = [
        c
        for c in collection.clips
        if split.part[c.source] == "train" and len(starts(c, recipe.windows))
    ]
    # Prefer clips of at least one window: shorter ones are padded with silence.
    clips = [clip for clip in clips if clip.seconds >= recipe.windows.length] or clips
    rng = np.random.default_rng(recipe.seed)
    recordings, folders = audio.Recordings(RATE), []
    with stage("apply variants") as progress:
        for number, index in enumerate(rng.permutation(len(clips))[:windows].tolist()):
            clip = clips[index]
            begin = float(rng.choice(starts(clip, recipe.windows)))
            folder = out / folder_name(number + 1, clip.labels)
            _one(recordings, clip, begin, folder, settings, names)
            folders.append(folder)
            progress(number + 1, windows)
    if not folders:
        raise CollectionError("no training clip is long enough for a window")
    return folders


def folder_name(number: int, labels: Sequence[str]) -> str:
    """Return the name of a window's folder, of at most LONGEST bytes."""
    name = f"{number:02}-{'-'.join(labels) or 'nothing'}".replace("/", "_")
    return name.encode()[:LONGEST].decode(errors="ignore").rstrip(" .")


def _one(
    recordings: audio.Recordings,
    clip: Clip,
    begin: float,
    folder: Path,
    settings: Settings,
    names: tuple[str, ...],
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sound = recordings.read(clip.path, clip.inner)
    versions = {
        name or "original": window(sound, clip, begin, settings, name) for name in ("", *names)
    }
    for number, (name, samples) in enumerate(versions.items()):
        audio.write_wav(folder / f"{number:02}-{name}.wav", samples, rate=RATE)
    sheet(
        versions,
        folder / "sheet.png",
        title=f"{clip.path.name}, from {begin:.1f} s: {', '.join(clip.labels) or 'nothing'}",
    )


def sheet(versions: dict[str, Samples], path: Path, *, title: str) -> None:
    """Write log-mel spectrograms of windows of one length as a PNG file, on one scale of 80 dB."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    columns = min(COLUMNS, len(versions))
    rows = -(-len(versions) // columns)
    width, height = columns * CELL[0] + sum(SIDES), rows * CELL[1] + HEADING + FOOT
    figure = plt.figure(figsize=(width, height))
    shown = _cut(title, int(LETTERS * width))
    figure.suptitle(shown, x=0.1 / width, y=1 - 0.12 / height, va="top", ha="left", fontsize=11)
    pictures = {name: log_mel(samples) for name, samples in versions.items()}
    top = max(float(picture.max()) for picture in pictures.values())
    for at, (name, picture) in enumerate(pictures.items()):
        left = SIDES[0] + at % columns * CELL[0]
        bottom = height - HEADING - (at // columns + 1) * CELL[1] + BELOW
        place = (left / width, bottom / height, DRAWN[0] / width, DRAWN[1] / height)
        axis = figure.add_axes(place)
        image = _picture(axis, name, picture, seconds=len(versions[name]) / RATE, top=top)
        axis.tick_params(labelleft=at % columns == 0, labelbottom=at + columns >= len(versions))
        if at + columns >= len(versions):
            axis.set_xlabel("s", fontsize=8)
    first = height - HEADING - CELL[1] + BELOW
    beside = figure.add_axes(
        ((width - SIDES[1] + 0.1) / width, first / height, 0.12 / width, DRAWN[1] / height)
    )
    figure.colorbar(image, cax=beside, label="dB").ax.tick_params(labelsize=7)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "\u2026"


def _picture(axis: Any, name: str, picture: Any, *, seconds: float, top: float) -> Any:
    image = axis.imshow(
        picture,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=top - 80,
        vmax=top,
        extent=(0, seconds, 0, BANDS),
    )
    axis.set_title(
        name.replace("_", " "),
        loc="left",
        fontsize=9,
        weight="bold" if name == "original" else None,
    )
    axis.set_xticks([0, seconds / 2, seconds], ["0", f"{seconds / 2:g}", f"{seconds:g}"])
    axis.set_yticks([height_of(hertz) for hertz in TICKS], list(TICKS.values()))
    axis.tick_params(labelsize=7)
    return image


def height_of(hertz: float) -> float:
    """Return where a frequency lies on a picture of 128 bands (Slaney's mels up to half the rate).

    The middle of the first band is at 0.5.
    """
    return (BANDS + 1) * _mel(hertz) / _mel(RATE / 2) - 0.5


def _mel(hertz: float) -> float:
    return 3 * hertz / 200 if hertz < 1000 else 15 + float(np.log(hertz / 1000) / np.log(6.4)) * 27
