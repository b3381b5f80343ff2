"""`timbre models judge`: how well a model does on a labelled folder that it never saw."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from common.page import Html, escape
from features.config import Fit, PictureConfig
from models.store import DEFAULT_PATH
from training.common.cli_helpers import bounded_float, bounded_int, run_command
from training.common.progress import stage
from training.judge import beside_report, report
from training.judge.beside import beside
from training.judge.figures import MORE_THAN, judgement
from training.judge.judged_model import JudgedModel, open_model
from training.judge.network_file import PIXELS, FileOptions
from training.judge.scoring import Scored, score
from training.pictures.dataset.archive import folder_of
from training.pictures.dataset.folders import Layout
from training.pictures.learn.backbones import BACKBONES
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
    add(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="LABEL/file, folders named after classes; of pictures, or a zip of it",
    )
    add("--version", metavar="VERSION", help="of the artefact; the latest by default")
    add(
        "--beside",
        action="append",
        default=[],
        metavar="MODEL",
        help="also judge this one, on the same files, and compare (may be repeated)",
    )
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
    _add_file_options(parser)
    return parser


def _add_file_options(parser: argparse.ArgumentParser) -> None:
    group = "a network's file: .onnx, .keras, .h5, or weights alone with --backbone"
    given = parser.add_argument_group(group).add_argument
    given("--classes", type=Path, metavar="FILE", help="its classes in order, one a line")
    given("--several", action="store_true", help="any number of classes can be right at once")
    given(
        "--backbone",
        choices=tuple(BACKBONES),
        default="",
        metavar="NAME",
        help="architecture of a .pth, .pt, .safetensors or .weights.h5 file with its classifier: "
        f"{', '.join(BACKBONES)}",
    )
    given(
        "--pixels",
        choices=tuple(PIXELS),
        default="standard",
        help="what it takes if it takes floats: 0 to 255, 0 to 1, -1 to 1, by ImageNet's mean and "
        "deviation, or blue-first less the mean (%(default)s)",
    )
    given("--size", type=bounded_int(1, SIDE), default=224, metavar="N", help="if it takes any")
    given("--fit", choices=get_args(Fit), default="crop", help="other shapes (%(default)s)")
    given(
        "--sample-rate",
        type=bounded_int(1_000, 192_000),
        default=FileOptions.sample_rate,
        metavar="HZ",
    )
    given(
        "--window",
        type=bounded_float(0.1, 60),
        default=FileOptions.window,
        metavar="S",
        help="likewise (%(default)s)",
    )


def _run(options: argparse.Namespace) -> None:
    asked = FileOptions(
        classes=options.classes,
        several=options.several,
        backbone=options.backbone,
        pixels=options.pixels,
        size=(options.size, options.size),
        fit=options.fit,
        sample_rate=options.sample_rate,
        window=options.window,
    )
    where = options.artefacts
    models = [open_model(options.model, version=options.version, artefacts=where, options=asked)]
    models += [
        open_model(named, version=None, artefacts=where, options=asked) for named in options.beside
    ]
    root = options.folder
    if models[0].medium == "picture":
        root = folder_of(root, stage, levels=len(Layout.parse(options.layout).levels))
    scored = []
    for model in models:
        with stage(f"score {options.folder}: {model.name}") as progress:
            scored.append(score(model, root, layout=options.layout, progress=progress))
    _report(options, models, scored, _player(models[0], root))


def _report(
    options: argparse.Namespace,
    models: list[JudgedModel],
    scored: list[Scored],
    play: report.Play,
) -> None:
    judged = [
        judgement(model, one, options.folder, more_than=options.more_than)
        for model, one in zip(models, scored, strict=True)
    ]
    named = "-".join(Path(model.name).stem for model in models)
    folder = options.out or Path("judged") / f"{named}-{options.folder.stem}"
    if options.beside:
        compared = beside(models, scored, options.folder)
        print(beside_report.text(compared))
        with stage("report"):
            beside_report.write(compared, judged, folder, play)
    else:
        print(report.text(judged[0]))
        with stage("report"):
            report.write(judged[0], folder, play)
    print(f"\nreport: {folder}")


def _player(model: JudgedModel, root: Path) -> report.Play:
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
