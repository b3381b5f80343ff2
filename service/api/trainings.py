"""REST handlers: trainings, and labelled clips for them."""

from __future__ import annotations

import asyncio
import mimetypes
import time
from typing import Any

from aiohttp import web

from common.errors import Late, NotFound, Unprocessable
from common.mapping import read_json
from service.api.authentication import client_of
from service.api.context import BODY_BUDGET, GATEWAY, POOL
from service.api.request import read_body, read_document, read_flag, read_query
from service.api.responses import json_response
from service.trainings.clip_store import ClipStore, place_of
from service.trainings.record import report_of
from service.trainings.trainings import TrainingRequest, Trainings

TRAININGS = web.AppKey("trainings", Trainings)
CLIPS = web.AppKey("clips", ClipStore)
MAX_NOTED = 64
"""Characters of a model's name and version in the note of a clip."""
REPORT_HEADERS = {
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""A report shows names that others chose: it may run nothing and load nothing."""
FILE_HEADERS = REPORT_HEADERS | {"Content-Security-Policy": "sandbox; default-src 'none'"}


async def start(request: web.Request) -> web.Response:
    """Accept a training."""
    trainings = trainings_of(request)
    read_query(request)
    with request.app[GATEWAY].working():
        wanted = await read_object(request, TrainingRequest)
        found = await trainings.start(wanted, client=client_of(request))
    headers = {"Location": f"/v1/trainings/{found['id']}"}
    return json_response(found, status=202, headers=headers)


async def listing(request: web.Request) -> web.Response:
    """List the trainings, the newest first."""
    trainings = trainings_of(request)
    read_query(request)
    return json_response({"trainings": await trainings.listing()})


async def training(request: web.Request) -> web.Response:
    """Describe one training."""
    trainings = trainings_of(request)
    read_query(request)
    return json_response(await trainings.describe(request.match_info["id"]))


async def cancel(request: web.Request) -> web.Response:
    """Cancel a training, or remove one that has ended."""
    trainings = trainings_of(request)
    values = read_query(request, remove=str)
    remove = read_flag("remove", values.get("remove", "false"))
    id_ = request.match_info["id"]
    return json_response(await trainings.cancel(id_, client=client_of(request), remove=remove))


async def report(request: web.Request) -> web.StreamResponse:
    """Show the report of a training that is done."""
    trainings = trainings_of(request)
    read_query(request)
    folder = trainings.path(request.match_info["id"])
    page = await asyncio.to_thread(report_of, folder)
    if page is None:
        raise NotFound(f"training {folder.name} has no report")
    headers = REPORT_HEADERS | {"Content-Type": "text/html; charset=utf-8"}
    return web.FileResponse(page, headers=headers)


async def add_clip(request: web.Request) -> web.Response:
    """Store a labelled clip or picture."""
    store, gateway = clips_of(request), request.app[GATEWAY]
    values = read_query(request, source=str, model=str, version=str)
    if "source" not in values:
        raise Unprocessable("the query parameter source is missing: where the clip comes from")
    place = place_of(
        request.match_info["collection"], request.match_info["label"], values["source"]
    )
    note = {key: values.get(key) for key in ("model", "version")}
    for key, text in note.items():
        if text is not None and not (text.isprintable() and len(text) <= MAX_NOTED):
            raise Unprocessable(
                f"{key}={text!r:.80} must be printable, {MAX_NOTED} characters at most"
            )
    note["client"] = client_of(request)
    with (
        gateway.working(),
        request.app[POOL].admit(),
        request.app[BODY_BUDGET].hold(0) as memory,
    ):
        data = await read_body(request, gateway.settings, memory)
        suffix = await _decoded(request, data)
        id_ = await asyncio.to_thread(store.add, place, data, suffix=suffix, note=note)
    found = await asyncio.to_thread(store.describe, place.collection, newest=False)
    path = request.path.removesuffix("/")
    headers = {"Location": f"{path}/{id_}"}
    answer = {"id": id_, "label": place.label, "source": place.source, "collection": found}
    return json_response(answer, status=201, headers=headers)


async def collections(request: web.Request) -> web.Response:
    """List the collections with their labels."""
    store = clips_of(request)
    read_query(request)
    return json_response({"collections": await asyncio.to_thread(store.listing)})


async def collection(request: web.Request) -> web.Response:
    """Describe one collection, with the newest clips of each label."""
    store = clips_of(request)
    read_query(request)
    return json_response(await asyncio.to_thread(store.describe, request.match_info["collection"]))


async def clip(request: web.Request) -> web.StreamResponse:
    """Return the file of a clip."""
    store = clips_of(request)
    read_query(request)
    path = await asyncio.to_thread(store.find, *_clip_names(request))
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return web.FileResponse(path, headers=FILE_HEADERS | {"Content-Type": kind})


async def remove_clip(request: web.Request) -> web.Response:
    """Delete a clip."""
    store = clips_of(request)
    read_query(request)
    names = _clip_names(request)
    await asyncio.to_thread(store.remove, *names)
    return json_response({"removed": names[-1]})


def trainings_of(request: web.Request) -> Trainings:
    """Return the trainings of a server. Raises NotFound where there are none."""
    if TRAININGS not in request.app:
        raise NotFound("trainings are off: start the server with --trainings DIR")
    return request.app[TRAININGS]


def clips_of(request: web.Request) -> ClipStore:
    """Return the labelled clips of a server. Raises NotFound where there are none."""
    if CLIPS not in request.app:
        raise NotFound("collections are off: start the server with --trainings DIR")
    return request.app[CLIPS]


def _clip_names(request: web.Request) -> tuple[str, str, str]:
    found = request.match_info
    return found["collection"], found["label"], found["id"]


async def read_object(request: web.Request, expected_type: type[Any]) -> Any:
    """Return the body as a dataclass. Raises InputError, Unprocessable."""
    document = await read_document(request)
    return read_json(expected_type, document, where="", error=Unprocessable)


async def _decoded(request: web.Request, data: bytes) -> str:
    """Return the suffix of a file that can be decoded. Raises InputError, Late."""
    # Imported here so that a gateway that only streams never loads what knows all kinds of files.
    from service.trainings.clip_check import suffix_of

    pool, settings = request.app[POOL], request.app[GATEWAY].settings
    seconds = settings.clip_deadline
    deadline = time.monotonic() + seconds
    try:
        async with asyncio.timeout(seconds), pool.decode_slot(client_of(request)):
            return await pool.run(lambda check: suffix_of(data, settings, check), deadline=deadline)
    except TimeoutError:
        raise Late(f"the clip was not decoded within {seconds:g} s") from None
