"""`timbre models judge`: how well a model does on a labelled folder that it never saw."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from common.page import Html, escape
from features.config import Fit, PictureConfig
from models.store import DEFAULT_PATH
from training.common.cli_helpers import bounded_int, run_command
from training.common.progress import stage
from training.judge.figures import MORE_THAN, judgement
from training.judge.judged_model import PIXELS, FileOptions, JudgedModel, open_model
from training.judge.report import Play, text, write
from training.judge.scoring import score
from training.reporting import playable

SIDE = 8192


def main(argv: list[str]) -> int:
    """Run `timbre models judge` and return the exit code: 0 done, 1 error."""
    options = _parser().parse_args(argv)
    return run_command("models judge", lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="timbre models judge", description=__doc__)
    add = parser.add_argument
    add("model", metavar="MODEL", help="a name, the folder of an artefact, or a network's file")
    add("folder", type=Path, metavar="FOLDER", help="LABEL/file, folders named after classes")
    add("--version", metavar="VERSION", help="of the artefact; the latest by default")
    add("--artefacts", type=Path, default=DEFAULT_PATH, metavar="DIR", help="of NAME/VERSION/")
    add("--layout", default="label", metavar="A/B", help="meaning of folders (%(default)s)")
    add("--out", type=Path, metavar="DIR", help="for report.html and report.json")
    add(
        "--more-than",
        type=bounded_int(0),
        default=MORE_THAN,
        metavar="N",
        help="files of a class in the choice of classes (%(default)s)",
    )
    given = parser.add_argument_group("a network's file, .onnx, .keras or .h5").add_argument
    given("--classes", type=Path, metavar="FILE", help="its classes in order, one a line")
    given(
        "--pixels",
        choices=tuple(PIXELS),
        default="standard",
        help="what it takes if it takes floats: 0 to 255, 0 to 1, -1 to 1, by ImageNet's mean and "
        "deviation, or blue-first less the mean (%(default)s)",
    )
    given("--size", type=bounded_int(1, SIDE), default=224, metavar="N", help="if it takes any")
    given("--fit", choices=get_args(Fit), default="crop", help="other shapes (%(default)s)")
    return parser


def _run(options: argparse.Namespace) -> None:
    asked = FileOptions(options.classes, options.pixels, (options.size, options.size), options.fit)
    model = open_model(
        options.model, version=options.version, artefacts=options.artefacts, options=asked
    )
    with stage(f"score {options.folder}") as progress:
        scored = score(model, options.folder, layout=options.layout, progress=progress)
    report = judgement(model, scored, options.folder, more_than=options.more_than)
    print(text(report))
    folder = options.out or Path("judged") / f"{Path(model.name).stem}-{options.folder.name}"
    with stage("report"):
        write(report, folder, _player(model, options.folder))
    print(f"\nreport: {folder}")


def _player(model: JudgedModel, root: Path) -> Play:
    """Return a function from a file to its picture, or its sound and spectrogram, as HTML."""
    if isinstance(config := model.config, PictureConfig):
        from features.picture import decode

        def show(path: str) -> Html:
            uri = playable.pixels(decode((root / path).read_bytes(), config))
            return Html(f'<img alt="{escape(path)}" src="{uri}">')

        return show
    rate = config.sample_rate

    def play(path: str) -> Html:
        from features.decode import decode

        samples = decode((root / path).read_bytes(), sample_rate=rate)[: 10 * rate]
        return Html(
            f'<img alt="spectrogram" src="{playable.picture(samples)}">'
            f'<audio controls preload="metadata" src="{playable.audio(samples, rate)}"></audio>'
        )

    return play
