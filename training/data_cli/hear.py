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
    from features.config import Samples
    from training.recordings.collection import Clip
    from training.recordings.settings import SoundsRecipe


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
    folders = []
    with stage("apply variants") as progress:
        for number, index in enumerate(rng.permutation(len(clips))[:windows].tolist()):
            clip = clips[index]
            begin = float(rng.choice(starts(clip, recipe.windows)))
            folder = out / f"{number + 1:02}-{'-'.join(clip.labels) or 'nothing'}".replace("/", "_")
            _one(clip, begin, folder, settings, names)
            folders.append(folder)
            progress(number + 1, windows)
    if not folders:
        raise CollectionError("no training clip is long enough for a window")
    return folders


def _one(
    clip: Clip, begin: float, folder: Path, settings: Settings, names: tuple[str, ...]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sound = audio.read(clip.path, clip.inner, rate=RATE)
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

    columns = min(5, len(versions))
    rows = -(-len(versions) // columns)
    size = (3.2 * columns, 2.1 * rows + 0.4)
    figure, axes = plt.subplots(
        rows, columns, figsize=size, layout="constrained", squeeze=False, sharex=True, sharey=True
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    pictures = {name: log_mel(samples) for name, samples in versions.items()}
    top = max(float(picture.max()) for picture in pictures.values())
    for axis, (name, picture) in zip(axes.flat, pictures.items(), strict=False):
        image = _picture(axis, name, picture, seconds=len(versions[name]) / RATE, top=top)
    for axis in axes.flat[len(versions) :]:
        axis.set_visible(False)
    for axis in axes[-1]:
        axis.set_xlabel("s", fontsize=8)
    figure.colorbar(image, ax=axes, shrink=0.6, label="dB", pad=0.01)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _picture(axis: Any, name: str, picture: Any, *, seconds: float, top: float) -> Any:
    image = axis.imshow(
        picture,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=top - 80,
        vmax=top,
        extent=(0, seconds, 0, 128),
    )
    axis.set_title(
        name.replace("_", " "),
        loc="left",
        fontsize=9,
        weight="bold" if name == "original" else None,
    )
    axis.set_yticks([16, 48, 80, 112], _hertz([16, 48, 80, 112]), fontsize=7)
    axis.tick_params(labelsize=7)
    return image


def _hertz(bands: list[int]) -> list[str]:
    """Return the middle frequency of mel bands (Slaney's scale, 128 bands up to half the rate)."""
    step = np.log(6.4) / 27
    top = 15 + np.log(RATE / 2 / 1000) / step
    mels = [(band + 1) * top / 129 for band in bands]
    return [
        f"{mel * 200 / 3 if mel < 15 else 1000 * np.exp((mel - 15) * step):,.0f} Hz" for mel in mels
    ]
