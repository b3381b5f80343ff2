"""`timbre doctor`: what works on this machine, what does not, and what to do about it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.console import console
from common.errors import TimbreError
from common.strict_json import to_json
from common.terminal import say
from service.doctor.finding import Finding

OK, BAD, USAGE = 0, 1, 2
STYLES = {"good": "green", "attention": "yellow", "bad": "bold red"}
EXIT_CODES = "exit codes: 0 nothing is bad, 1 something is bad, 2 invalid arguments"


def main(argv: list[str]) -> int:
    """Run the checks; return 0, 1 if something is bad, 2 for invalid arguments."""
    asked = _parser().parse_args(argv)
    from service.settings import REDIS_VARIABLE, Settings, parse

    try:
        given: dict[str, Any] = parse(asked.set)
        if redis := asked.redis or os.environ.get(REDIS_VARIABLE):
            given.setdefault("redis", redis)
        if asked.artefacts:
            given["artefacts"] = asked.artefacts
        settings = Settings(**given)
        checks = _server(asked) if asked.url else _here(settings)
    except TimbreError as error:
        say(f"timbre doctor: {error}", error=True)
        return USAGE
    findings = []
    for finding in checks:
        findings.append(finding)
        if not asked.json:
            show(finding)
    counts = Counter(finding.state for finding in findings)
    if asked.json:
        say(to_json({"findings": [vars(finding) for finding in findings], **_counts(counts)}))
    else:
        say(", ".join(f"{count} {state}" for state, count in _counts(counts).items()))
    return BAD if counts["bad"] else OK


def _counts(counts: Counter[Any]) -> dict[str, int]:
    return {state: counts[state] for state in STYLES}


def show(finding: Finding) -> None:
    """Print a finding: its state, coloured on a terminal only, what was found, what to do."""
    from rich.text import Text

    line = Text(f"{finding.state:<10}", STYLES[finding.state])
    line.append(f"{finding.check}: ", "bold").append(finding.found, "default")
    if finding.todo:
        line.append(f"\n{'':10}> {finding.todo}", "default")
    console().print(line, soft_wrap=True, highlight=False)


def _here(settings: Any) -> Iterator[Finding]:
    """Yield the findings of this machine."""
    from features.kernels.loader import cache_folder
    from service.doctor import board, certificate, kernels, memory, microphone, models, system
    from service.sources.microphone import load

    artefacts, findings = models.find(settings)
    yield from findings
    yield from models.check_models(artefacts, settings)
    yield from models.check_providers(artefacts, settings)
    yield from kernels.check_kernels()
    yield microphone.check_microphone(load)
    made = system.newest(each.manifest.created for each in artefacts)
    yield system.check_clock(time.time(), made)
    yield system.check_readable("artefacts", settings.artefacts)
    yield from _folders(settings, cache_folder())
    yield system.check_descriptors(
        system.hard_limit(), connections=settings.max_connections, streams=settings.max_streams
    )
    available = memory.available_memory()
    if available is not None:
        yield memory.check_memory(available, settings)
    yield from certificate.check_certificate(
        settings.tls_certificate, settings.tls_key, now=time.time()
    )
    yield from board.check_board()
    if settings.redis:
        from service.doctor.redis_server import check_redis

        yield from asyncio.run(check_redis(settings.redis))


def _folders(settings: Any, cache: Path | None) -> Iterator[Finding]:
    from service.doctor.system import check_writable

    if cache:
        kept = "TensorRT engines, and kernels where none are shipped, are made anew at each start"
        yield check_writable("cache", cache, consequence=kept)
    if settings.ffmpeg:
        unread = "what only ffmpeg reads is not read"
        yield check_writable("temporary files", Path(tempfile.gettempdir()), consequence=unread)
    if settings.trainings:
        yield check_writable(
            "trainings",
            Path(settings.trainings),
            low=settings.max_labelled_bytes,
            consequence="clips and trainings cannot be kept",
            bad_if_not=True,
        )


def _server(asked: argparse.Namespace) -> Iterator[Finding]:
    """Yield the findings of a running server."""
    from service.client import Client
    from service.doctor.server import check_server

    client = Client(asked.url, asked.token or os.environ.get("TIMBRE_TOKEN"), authorities=asked.ca)
    return iter(asyncio.run(check_server(client, authorities=asked.ca)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="timbre doctor", description=__doc__, epilog=EXIT_CODES)
    parser.add_argument("--url", help="check a running server instead of this machine")
    parser.add_argument("--token", help="its API key; better in the environment: TIMBRE_TOKEN")
    parser.add_argument(
        "--ca", metavar="FILE", help="certificates to trust, PEM (those of the system)"
    )
    parser.add_argument(
        "--redis",
        metavar="URL",
        help="check this Redis too; better in the environment: TIMBRE_REDIS",
    )
    parser.add_argument("--artefacts", type=Path, metavar="DIR", help="folder of NAME/VERSION/")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any setting of the server to check against, see SETTINGS.md; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
