"""REST handler: puts a model that a training has made into service, if it passes the checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from common.errors import NotFound, Refused, TimbreError, Unprocessable
from common.mapping import parse_json
from service.api.context import GATEWAY
from service.api.request import read_query
from service.api.responses import json_response
from service.api.trainings import read_object, trainings_of
from service.log import log
from service.trainings.command import run_timbre
from service.trainings.record import ARTEFACTS, artefacts_of, status_of

UNKNOWN = 3
"""Exit code of `timbre models` for a name or version that is not there."""
PROMOTION_S = 300.0
"""Seconds that the checks may take."""


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """What is to be served."""

    training: str = ""
    """Id of the training that has made it; empty: it was served before."""
    version: str = ""
    """With a training, that of its artefact, the one it has made by default; without, the version
    on the server to go back to."""

    def __post_init__(self) -> None:
        """Raises Unprocessable where nothing is named."""
        if not (self.training or self.version):
            raise Unprocessable(
                'the body must be like {"training": ID}, or {"version": "1"} to go back'
            )


async def promote(request: web.Request) -> web.Response:
    """Serve what a training has made, or an earlier version. Raises Refused, NotFound."""
    gateway, name = request.app[GATEWAY], request.match_info["name"]
    read_query(request)
    with gateway.working():
        wanted: Promotion = await read_object(request, Promotion)
        version, measured = wanted.version, None
        if wanted.training:
            version, measured = await _copy(request, name, wanted)
        found = await gateway.updater.load(name, version)
    log("promoted", model=name, version=version, training=wanted.training or "-")
    return json_response({**found, "training": wanted.training or None, "measured": measured})


async def _copy(request: web.Request, name: str, wanted: Promotion) -> tuple[str, dict[str, Any]]:
    """Copy an artefact to those that are served; return its version there and the measurements."""
    gateway, trainings = request.app[GATEWAY], trainings_of(request)
    folder = trainings.path(wanted.training)
    if not gateway.scanner.allows(name):
        raise NotFound(f"no model {name!r:.80} is served here; see the setting models")
    status = status_of(folder)
    if status.state != "done":
        raise Refused(f"training {folder.name} is {status.state}, not done")
    made = artefacts_of(folder)
    chosen = [(of, version) for of, version in made if of == name]
    if wanted.version:
        chosen = [(of, version) for of, version in chosen if version == wanted.version]
    if not chosen:
        there = ", ".join(f"{of} {version}" for of, version in made) or "nothing"
        what = f"{name} {wanted.version}".strip()
        raise NotFound(f"training {folder.name} has made {there}, not {what!r:.80}")
    version = chosen[-1][1]
    target = gateway.settings.artefacts.absolute()
    options = ("--from", str(folder / ARTEFACTS), "--to", str(target), "--json")
    ended = await run_timbre(
        *("models", "promote", name, version, *options), folder=folder, limit_s=PROMOTION_S
    )
    if ended.code:
        raise _rejection(ended.code, ended.said)
    found = parse_json(ended.output, error=TimbreError, where="the outcome of the promotion")
    return found["version"], found["measured"]


def _rejection(code: int, said: str) -> TimbreError:
    words = said.strip().removeprefix("timbre models: ").removeprefix("rejected: ")
    kind = NotFound if code == UNKNOWN else Refused
    return kind(words or f"`timbre models promote` ended with exit code {code}")
