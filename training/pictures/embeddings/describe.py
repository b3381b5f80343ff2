"""`timbre data describe`: descriptors of the pictures of a pack, as HDF5."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from training.common.cli_helpers import run_command
from training.common.errors import MaterialError
from training.common.progress import stage
from training.pictures.dataset.packed import open_pack
from training.pictures.embeddings import descriptors
from training.pictures.embeddings.layer_onnx import layer_graph, layer_names

NETWORK_HELP = "an ONNX, .keras or .h5 file, or the folder of an artefact"


def main(argv: list[str]) -> int:
    """Run `timbre data describe` and return the exit code: 0 done, 1 error."""
    options = _parser().parse_args(argv)
    return run_command("data describe", lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="timbre data describe",
        description="Write the output of a network's layer for each picture, as HDF5.",
    )
    parser.add_argument(
        "pack", type=Path, metavar="PACK", help="made by `timbre data pack`, of the network's size"
    )
    parser.add_argument("network", type=Path, metavar="NETWORK", help=NETWORK_HELP)
    parser.add_argument(
        "out",
        type=Path,
        metavar="OUT.h5",
        nargs="?",
        help="a new file; without it the layers are listed",
    )
    parser.add_argument(
        "--layer", default="", help="its output is the descriptor (default: the last)"
    )
    parser.add_argument(
        "--backbone",
        default="",
        metavar="NAME",
        help="architecture of NETWORK if that is a file of weights alone, such as "
        "vgg19-torchvision, whose layer classifier.3 is fc2",
    )
    for name, default, what in (
        ("mean", "0", "subtracted from pixels of 0 to 255"),
        ("scale", "255", "divisor after that"),
    ):
        how = f"{what}; one number, or one a channel, if the network takes floats"
        parser.add_argument(
            f"--{name}", default=default, metavar="N[,N,N]", help=f"{how} (default: %(default)s)"
        )
    return parser


def _run(options: argparse.Namespace) -> None:
    if not options.out:
        print("\n".join(layer_names(options.network, backbone=options.backbone)))
        return
    if options.out.exists():
        raise MaterialError(f"{options.out} exists already: remove it, or name another")
    pack = open_pack(options.pack)
    _, height, width, _ = pack.images.shape
    mean, scale = (_numbers(getattr(options, name), name) for name in ("mean", "scale"))
    graph = layer_graph(
        options.network,
        options.layer,
        mean=mean,
        scale=scale,
        size=(height, width),
        backbone=options.backbone,
    )
    parts = options.out.with_name(f".{options.out.name}.parts")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with stage(f"describe {len(pack.images):,} pictures") as progress:
        made = descriptors.extract(pack, graph, parts, progress=progress)
    made.replace(options.out)
    shutil.rmtree(parts)
    print(options.out)


def _numbers(text: str, name: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise MaterialError(
            f"--{name} {text!r}: give numbers, such as 127.5 or 124,117,104"
        ) from None
    if len(values) not in {1, 3} or (name == "scale" and 0 in values):
        raise MaterialError(f"--{name} {text!r}: give one number or three; a scale must not be 0")
    return values
