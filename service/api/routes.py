"""The HTTP routes: what is served, how the server is, and clips and pictures to answers."""

from __future__ import annotations

import json
import time
from typing import Any

from aiohttp import web

from common.budget import Reservation
from common.errors import InputError, Unprocessable
from models.store import Model
from service.api.authentication import check_admin
from service.api.context import BODY_BUDGET, GATEWAY, POOL
from service.api.request import check_top_k, read_body, read_form, read_query
from service.inference import clips, pictures


async def livez(_: web.Request) -> web.Response:
    """Say that the process lives."""
    return web.json_response({"status": "alive"})


async def readyz(request: web.Request) -> web.Response:
    """Say whether new work is taken. Raises Busy while loading, Leaving at the end."""
    request.app[GATEWAY].check_ready()
    return web.json_response({"status": "ready"})


async def models(request: web.Request) -> web.Response:
    """List what is served."""
    catalogue = request.app[GATEWAY].registry
    return web.json_response({"models": [catalogue.describe(name) for name in catalogue.names]})


async def model(request: web.Request) -> web.Response:
    """Describe one model."""
    return web.json_response(request.app[GATEWAY].registry.describe(request.match_info["name"]))


async def load(request: web.Request) -> web.Response:
    """Serve another version of a model. Raises NotFound, and Refused when it is not fit to be served."""
    gateway = request.app[GATEWAY]
    check_admin(request, host=gateway.settings.host)
    read_query(request)
    with gateway.working():
        with request.app[BODY_BUDGET].hold(0) as held:
            body = (
                await read_body(request, gateway.settings, held) if request.can_read_body else b"{}"
            )
        version = wanted_version(body)
        return web.json_response(await gateway.updater.load(request.match_info["name"], version))


def wanted_version(body: bytes) -> str | None:
    """Return the version named in the body of `load`; None: the latest. Raises InputError, Unprocessable."""
    try:
        wanted = json.loads(body)
    except (ValueError, RecursionError):
        raise InputError("the body is not JSON") from None
    if not isinstance(wanted, dict) or set(wanted) - {"version"}:
        raise Unprocessable(
            'the body must be like {"version": "2"}; without a version, the latest is loaded'
        )
    version = wanted.get("version")
    if not (version is None or isinstance(version, str)):
        raise Unprocessable(f"version={version!r:.80} must be text")
    return version


async def classify(request: web.Request) -> web.Response:
    """Answer one sound or picture file."""
    begin = time.perf_counter()
    gateway, pool = request.app[GATEWAY], request.app[POOL]
    with gateway.working(), pool.admit(), request.app[BODY_BUDGET].hold(0) as held:
        target = await gateway.registry.get(
            request.match_info["name"], request.query.get("version")
        )
        found = await CLASSIFY[target.input.medium](request, target, held)
    found["timing_ms"]["total"] = round(1e3 * (time.perf_counter() - begin), 3)
    return web.json_response(found)


async def _hear(request: web.Request, target: Model, held: Reservation) -> dict[str, Any]:
    gateway = request.app[GATEWAY]
    asked = read_query(request, top_k=int, hop=float, version=str)
    top_k = asked.get("top_k")
    if top_k is not None:
        check_top_k(top_k)
    hop = clips.hop_samples(
        asked.get("hop"), config=target.sound[0], min_hop=gateway.settings.min_hop
    )
    query = clips.ClipQuery(model=target, hop=hop, top_k=top_k)
    return await clips.classify(
        gateway, request.app[POOL], query, await read_body(request, gateway.settings, held)
    )


async def _see(request: web.Request, target: Model, held: Reservation) -> dict[str, Any]:
    gateway = request.app[GATEWAY]
    names = [field.name for field in target.picture.metadata]
    asked = read_query(request, top_k=int, version=str, **dict.fromkeys(names, str))
    top_k = asked.get("top_k", pictures.TOP_K)
    check_top_k(top_k)
    data, form = await read_form(request, gateway.settings, held, fields=names)
    metadata = {name: asked[name] for name in names if name in asked}
    if twice := metadata.keys() & form.keys():
        raise Unprocessable(f"{min(twice)!r} stands in the query and in the form")
    query = pictures.PictureQuery(model=target, top_k=top_k, metadata=metadata | form)
    return await pictures.classify(gateway, request.app[POOL], query, data)


CLASSIFY = {"sound": _hear, "picture": _see}
"""By what a model's clients send."""
