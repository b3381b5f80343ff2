"""`timbre prove`: one file by every way to its scores, and whether they are the same."""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import TimbreError, Unprocessable
from common.strict_json import to_json
from common.terminal import say

if TYPE_CHECKING:
    from service.prove.comparison import Verdict
    from service.prove.prove import Options, Proof

EQUAL, DIFFERS, USAGE, UNPROVEN = 0, 1, 2, 4


def main(argv: list[str]) -> int:
    """Prove a file; return 0 when all ways are equal within the bound, else as --help lists."""
    asked = _parser().parse_args(argv)
    try:
        return asyncio.run(_prove(asked))
    except TimbreError as error:
        say(f"timbre prove: {error}", error=True)
        return UNPROVEN


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="timbre prove",
        description="Classify one sound or picture by every way (in this process, by REST, as a "
        "live stream, as tensors by the Open Inference Protocol) and compare all scores.",
        epilog="Exit codes: 0 all equal within the bound, 1 a way differs or fails, 2 invalid "
        "arguments, 4 the file or the model cannot be used.",
    )
    parser.description = f"{parser.description} A key comes from the environment: TIMBRE_TOKEN."
    parser.add_argument("path", type=Path, metavar="FILE", help="a sound or a picture")
    parser.add_argument("--url", help="a server that runs already (one is started)")
    parser.add_argument(
        "--grpc", metavar="HOST:PORT", help="with --url, where that server speaks gRPC"
    )
    parser.add_argument(
        "--redis", metavar="URL", help="start another server with this Redis and a worker, too"
    )
    parser.add_argument("--ca", metavar="FILE", help="certificates to trust, PEM")
    parser.add_argument("--json", action="store_true", help="print JSON")
    _add_classification(parser)
    return parser


def _add_classification(parser: argparse.ArgumentParser) -> None:
    """Add how the file is classified, and how equal the scores must be."""
    from models.store import DEFAULT_PATH
    from service.cli.classify import assignment
    from service.prove.comparison import BOUND

    parser.add_argument(
        "--model", action="append", default=[], metavar="NAME",
        help="may be repeated (the first model of every kind of input that takes the file)",
    )  # fmt: skip
    parser.add_argument(
        "--hop", type=float, metavar="S", help="seconds between windows of a sound (0.5)"
    )
    parser.add_argument(
        "--with", dest="metadata", action="append", default=[], type=assignment,
        metavar="NAME=VALUE", help="metadata of a picture, such as region=atlantic",
    )  # fmt: skip
    parser.add_argument(
        "--bound", type=float, default=BOUND, metavar="X",
        help="scores this far apart count as equal (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--artefacts", type=Path, default=DEFAULT_PATH, metavar="DIR",
        help="folder of NAME/VERSION/ artefacts (the shipped)",
    )  # fmt: skip


async def _prove(asked: argparse.Namespace) -> int:
    from service.prove.prove import prove

    if not 0 <= asked.bound < 1:
        raise Unprocessable(f"--bound {asked.bound} must be at least 0 and less than 1")
    proofs = []
    async for proof in prove(_options(asked)):
        proofs.append(proof)
        if not asked.json:
            _show(proof, asked.bound)
    passes = all(each.passes(asked.bound) for proof in proofs for each in proof.verdicts)
    if asked.json:
        models = [_document(proof, asked.bound) for proof in proofs]
        document = {"file": str(asked.path), "bound": asked.bound, "equal": passes}
        say(to_json({**document, "models": models}))
    return EQUAL if passes else DIFFERS


def _options(asked: argparse.Namespace) -> Options:
    from service.prove.prove import Options

    return Options(
        path=asked.path,
        artefacts=asked.artefacts,
        models=tuple(dict.fromkeys(asked.model)),
        url=asked.url or "",
        grpc=asked.grpc or "",
        redis=asked.redis or "",
        hop=asked.hop,
        metadata=dict(asked.metadata),
        token=os.environ.get("TIMBRE_TOKEN"),
        authorities=asked.ca,
    )


def _document(proof: Proof, bound: float) -> dict[str, Any]:
    case = proof.case
    return {
        "model": case.model.name,
        "version": case.model.version,
        "kind": case.model.kind,
        "windows": len(case.starts),
        "ways": [_way(proof, each, bound) for each in proof.verdicts],
    }


def _way(proof: Proof, verdict: Verdict, bound: float) -> dict[str, Any]:
    at = None if verdict.start is None else round(verdict.start / proof.case.rate, 6)
    return {
        "way": verdict.way,
        "windows": verdict.windows,
        "equal": verdict.passes(bound),
        "difference": verdict.difference,
        "at": at,
        "label": verdict.label,
        "differs": list(verdict.troubles),
        "note": verdict.note,
    }


def _show(proof: Proof, bound: float) -> None:
    from rich.table import Table
    from rich.text import Text

    from common.console import console

    case = proof.case
    every = f", every {case.hop / case.rate:.3f} s" if case.is_sound else ""
    table = Table(
        title=Text(f"{case.path.name}: {case.model.name} {case.model.version}{every}"),
        title_justify="left",
        box=None,
    )
    table.add_column("way")
    table.add_column("windows", justify="right")
    table.add_column(f"scores (equal: at most {bound:g} apart)")
    table.add_row("file, in this process", str(len(case.starts)), "what the others are compared to")
    for each in proof.verdicts:
        style = "green" if each.passes(bound) else "red"
        table.add_row(Text(each.way), str(each.windows), Text(_sentence(proof, each, bound), style))
    console(highlight=False).print(table)


def _sentence(proof: Proof, verdict: Verdict, bound: float) -> str:
    parts = list(verdict.troubles)
    if verdict.difference:
        assert verdict.start is not None  # where there is a difference, there is a window
        at = f"at {verdict.start / proof.case.rate:.2f} s, " if proof.case.is_sound else ""
        word = "equal" if verdict.difference <= bound else "different"
        parts.append(f"{word}: up to {verdict.difference:.2g} apart, {at}{verdict.label}")
    elif verdict.windows:
        parts.append("equal to the last digit")
    return "; ".join(parts) + (f" ({verdict.note})" if verdict.note else "")
