"""REST handlers: health, models, classification of clips and pictures."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from aiohttp import web

from common.budget import Reservation
from common.errors import Busy, Unprocessable
from common.mapping import parse_json
from models.events import Settings, check_settings
from models.store import Model
from service.api.authentication import client_of
from service.api.context import BODY_BUDGET, GATEWAY, POOL
from service.api.request import (
    check_top_k,
    read_document,
    read_flag,
    read_form,
    read_number,
    read_query,
    read_whole,
)
from service.api.responses import json_response
from service.api.url_fetch import URL_FETCHER
from service.exports import MEDIA_TYPES, OF_EVENTS, Export
from service.inference import clips, pictures
from service.inference.gateway import Gateway

TEXT_HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
}
"""Whatever a text says, browsers show it and run nothing."""


def check_alive(gateway: Gateway) -> None:
    """Raise Busy when a model hangs, which only a restart ends; its other models go on."""
    if why := gateway.hangs:
        raise Busy(why)


async def livez(request: web.Request) -> web.Response:
    """Liveness: raises Busy when a model hangs."""
    check_alive(request.app[GATEWAY])
    return json_response({"status": "alive"})


async def readyz(request: web.Request) -> web.Response:
    """Readiness: raises Busy while models are loaded or one hangs, Leaving during shutdown."""
    request.app[GATEWAY].check_ready()
    return json_response({"status": "ready"})


async def models(request: web.Request) -> web.Response:
    """List the models served."""
    registry = request.app[GATEWAY].registry
    return json_response({"models": [registry.describe(name) for name in registry.names]})


async def model(request: web.Request) -> web.Response:
    """Describe one model."""
    return json_response(request.app[GATEWAY].registry.describe(request.match_info["name"]))


async def model_report(request: web.Request) -> web.Response:
    """Return the report of a model's version, Markdown."""
    registry = request.app[GATEWAY].registry
    version = read_query(request, version=str).get("version")
    text = await registry.report(request.match_info["name"], version)
    return web.Response(text=text, content_type="text/markdown", headers=TEXT_HEADERS)


async def load(request: web.Request) -> web.Response:
    """Switch a model to another version. Raises NotFound, Refused when it cannot be served."""
    gateway = request.app[GATEWAY]
    read_query(request)
    with gateway.working():
        document = await read_document(request) if request.can_read_body else {}
        version = requested_version(document)
        return json_response(await gateway.updater.load(request.match_info["name"], version))


def requested_version(document: Any) -> str | None:
    """Return the version in the body of `load`; None: the latest. Raises Unprocessable."""
    if not isinstance(document, dict) or set(document) - {"version"}:
        raise Unprocessable(
            'the body must be like {"version": "2"}; without a version, the latest is loaded'
        )
    version = document.get("version")
    if not (version is None or isinstance(version, str)):
        raise Unprocessable(f"version={version!r:.80} must be text")
    return version


async def classify(request: web.Request) -> web.Response:
    """Classify one sound or picture file."""
    begin = time.perf_counter()
    gateway, pool = request.app[GATEWAY], request.app[POOL]
    with gateway.working(), pool.admit(), request.app[BODY_BUDGET].hold(0) as memory:
        target = await gateway.registry.get(
            request.match_info["name"], request.query.get("version")
        )
        gateway.check_clip_load(target)
        result = await CLASSIFIERS[target.input.medium](request, target, memory)
    result["timing_ms"]["total"] = round(1e3 * (time.perf_counter() - begin), 3)
    form = request.query.get("format", "json")
    if form == "json":
        return json_response(result)
    highest_hz = target.sound[0].sample_rate / 2
    export = Export(form, events="events" in result, highest_hz=highest_hz)
    text = export.begin() + export.result("", result)
    return web.Response(text=text, content_type=MEDIA_TYPES[form], charset="utf-8")


async def _classify_sound(
    request: web.Request, target: Model, memory: Reservation
) -> dict[str, Any]:
    gateway = request.app[GATEWAY]
    values = read_query(
        request,
        top_k=read_whole,
        hop=read_number,
        version=str,
        partial=str,
        events=str,
        event_settings=str,
        url=str,
        format=str,
    )
    top_k = values.get("top_k")
    accepts_partial = read_flag("partial", values.get("partial", "false"))
    event_settings = _event_settings(values, target)
    if top_k is not None:
        check_top_k(top_k)
    hop = clips.hop_samples(
        values.get("hop"),
        config=target.sound[0],
        min_hop=gateway.settings.min_hop,
        events=event_settings is not None,
    )
    query = clips.ClipQuery(
        model=target,
        hop=hop,
        top_k=top_k,
        partial=accepts_partial,
        event_settings=event_settings,
    )
    data, _ = await _read_file(request, values.get("url"), memory)
    return await clips.classify(gateway, request.app[POOL], query, data, client=client_of(request))


def _event_settings(values: dict[str, str], target: Model) -> Settings | None:
    """Return the settings of the events that are asked for, None if none are."""
    text, form = values.get("event_settings"), values.get("format", "json")
    if form not in MEDIA_TYPES:
        raise Unprocessable(f"format={form!r:.80} must be one of {', '.join(MEDIA_TYPES)}")
    default = "true" if form in OF_EVENTS else "false"
    if not read_flag("events", values.get("events", default)):
        if form in OF_EVENTS:
            raise Unprocessable(f"format={form} has nothing but events")
        if text is not None:
            raise Unprocessable("event_settings without events=true")
        return None
    document = parse_json(text or "{}", error=Unprocessable, where="event_settings")
    return check_settings(document, target.labels)


async def _classify_picture(
    request: web.Request, target: Model, memory: Reservation
) -> dict[str, Any]:
    gateway = request.app[GATEWAY]
    names = [field.name for field in target.picture.metadata]
    values = read_query(
        request, top_k=read_whole, version=str, url=str, **dict.fromkeys(names, str)
    )
    top_k = values.get("top_k", pictures.TOP_K)
    check_top_k(top_k)
    data, form = await _read_file(request, values.get("url"), memory, fields=names)
    asked = {name: values[name] for name in names if name in values}
    if twice := asked.keys() & form.keys():
        raise Unprocessable(f"{min(twice)!r} is given in the query and in the form")
    query = pictures.PictureQuery(model=target, top_k=top_k, metadata=asked | form)
    return await pictures.classify(
        gateway, request.app[POOL], query, data, client=client_of(request)
    )


async def _read_file(
    request: web.Request, url: str | None, memory: Reservation, fields: Collection[str] = ()
) -> tuple[bytes, dict[str, str]]:
    """Return the file of a URL, or that in the request with its form fields."""
    if url is None:
        return await read_form(request, request.app[GATEWAY].settings, memory, fields=fields)
    if request.can_read_body:
        raise Unprocessable("send either a body or url=, not both")
    return await request.app[URL_FETCHER].fetch(url, memory), {}


CLASSIFIERS = {"sound": _classify_sound, "picture": _classify_picture}
"""By the medium that a model takes."""
