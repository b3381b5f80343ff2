"""`timbre data clean`: finds problems in a folder of pictures; a list, or a page to fix them."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from aiohttp import web

from training.common.cli_helpers import bounded_int, run_command
from training.common.errors import MaterialError
from training.common.progress import stage
from training.pictures.clean.findings import ScanResult, scan
from training.pictures.clean.moves import MoveJournal
from training.pictures.clean.review_server import ReviewSession, build
from training.pictures.dataset.archive import folder_of
from training.pictures.dataset.folders import listing
from training.pictures.dataset.options import FOLDER_HELP, add_distance, add_layout, layout_of
from training.pictures.dataset.pack import warnings
from training.pictures.dataset.packed import write_table

NAMES = {
    "equal": "sets of equal files",
    "near": "sets of near-duplicates",
    "blank": "blank pictures",
    "unreadable": "unreadable files",
    "label": "suspect labels",
}


def main(argv: list[str]) -> int:
    """Run `timbre data clean` and return the exit code: 0 done, 1 error, 130 interrupted."""
    options = _parser().parse_args(argv)
    return run_command("data clean", lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="timbre data clean",
        description="Find duplicates, blank and unreadable pictures and suspect labels.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help=FOLDER_HELP)
    parser.add_argument(
        "--list",
        type=Path,
        metavar="FILE",
        help="write the findings to a new CSV file instead of serving the page",
    )
    parser.add_argument(
        "--port",
        type=bounded_int(0, 65_535),
        default=0,
        help="of the page, on 127.0.0.1 (default: a free one)",
    )
    add_distance(parser)
    parser.add_argument(
        "--jobs", type=bounded_int(1, 256), default=2, help="threads (default: %(default)s)"
    )
    add_layout(parser)
    return parser


def _run(options: argparse.Namespace) -> None:
    layout = layout_of(options)
    if options.list and options.list.exists():
        raise MaterialError(f"{options.list} exists already: remove it, or name another")
    if options.folder.is_file() and not options.list:
        raise MaterialError(
            f"{options.folder} is a file, and the page moves files: extract it first, or have the "
            "findings listed, --list FILE"
        )
    folder = folder_of(options.folder, stage, levels=len(layout.levels))
    # First, because it completes the last move of a killed process.
    journal = MoveJournal(folder)
    with stage("list the pictures"):
        found = listing(folder, layout)
    for warning in warnings(found, found.layout):
        print(warning)
    result = scan(found, distance=options.distance, jobs=options.jobs, stage=stage)
    counts = result.counts()
    print(
        f"{len(found.pictures):,} pictures: "
        + ", ".join(f"{counts[kind]:,} {name}" for kind, name in NAMES.items())
    )
    if result.accuracy is not None:
        right = f"{result.accuracy:.0%} of held-out pictures"
        print(f"suspect labels: from models that are right on {right}")
    else:
        print("suspect labels: none could be looked for; that takes ten pictures and two labels")
    if options.list:
        options.list.parent.mkdir(parents=True, exist_ok=True)
        write_list(result, options.list)
        return
    asyncio.run(_show(ReviewSession(result, found.layout, journal), options.port))


def write_list(result: ScanResult, path: Path) -> None:
    """Write a CSV row for each picture of each finding."""
    pictures = result.found.pictures
    rows = (
        (set_, finding.kind, pictures[i].path, pictures[i].label, finding.suggested, finding.why)
        for set_, finding in enumerate(result.findings)
        for i in finding.pictures
    )
    write_table(path, ("finding", "kind", "path", "label", "suggested", "why"), rows)


async def _show(session: ReviewSession, port: int) -> None:
    runner = web.AppRunner(build(session), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        host, bound = runner.addresses[0][:2]
        print(f"http://{host}:{bound}/{session.token}/  (Ctrl+C stops it)", flush=True)
        await asyncio.Event().wait()
    finally:
        print(f"deleted pictures are in {session.journal.path.parent}", file=sys.stderr)
        await runner.cleanup()
