"""The Open Inference Protocol (KServe v2) over HTTP, as Triton's clients speak it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web

from common.budget import Reservation
from common.errors import InputError, Late, TooLarge, Unsupported
from models.store import Model
from service.api.authentication import check_scope, client_of
from service.api.context import BODY_BUDGET, GATEWAY, POOL
from service.api.request import read_bytes, read_query
from service.api.responses import json_response
from service.api.routes import check_alive
from service.open_inference.compression import MAX_RATIO, encoding_of, unpack
from service.open_inference.http_body import (
    SMALL_SCORES,
    InferRequest,
    json_size,
    read_request,
    write_response,
)
from service.open_inference.inference import OpenInference
from service.open_inference.json_tensors import MAX_DOCUMENT, read_document
from service.open_inference.outputs import output
from service.open_inference.statistics import RequestCount
from service.open_inference.tensors import output_of

OPEN_INFERENCE = web.AppKey("open_inference", OpenInference)
HEADER = "Inference-Header-Content-Length"
SMALL_JSON, SMALL_BODY = 2**14, 2**20
"""Bytes of JSON, and of a body, that are read at once; larger ones in a thread."""
Result = TypeVar("Result")


def add_open_inference(app: web.Application) -> None:
    """Add the routes; the gateway and its pool are in the application."""
    app[OPEN_INFERENCE] = OpenInference(app[GATEWAY], app[POOL])
    reads = {"": metadata, "/ready": model_ready, "/config": config, "/stats": statistics}
    models = ("/v2/models/{name}", "/v2/models/{name}/versions/{model_version}")
    # First: the router tries one after the other.
    app.add_routes([web.post(f"{model}/infer", infer) for model in models])
    app.add_routes(
        [
            web.get("/v2", server_metadata),
            web.get("/v2/health/live", live),
            web.get("/v2/health/ready", ready),
            # Before the route of a model of this name: that one wants a version.
            web.get("/v2/models/stats", statistics),
            web.post("/v2/repository/index", index),
            web.post("/v2/repository/models/{name}/load", load),
            web.post("/v2/repository/models/{name}/unload", unload),
        ]
    )
    for model in models:
        app.add_routes([web.get(model + end, handler) for end, handler in reads.items()])


async def live(request: web.Request) -> web.Response:
    """Liveness: raises Busy when a model hangs."""
    read_query(request)
    check_alive(request.app[GATEWAY])
    return json_response({"live": True})


async def ready(request: web.Request) -> web.Response:
    """Readiness: raises Busy while models are loaded or one hangs, Leaving during shutdown."""
    read_query(request)
    request.app[GATEWAY].check_ready()
    return json_response({"ready": True})


async def server_metadata(request: web.Request) -> web.Response:
    """Name, version and extensions of the server."""
    read_query(request)
    return json_response(request.app[OPEN_INFERENCE].server_metadata())


async def model_ready(request: web.Request) -> web.Response:
    """Readiness of a model; a version that is not loaded is loaded first. Raises as infer does."""
    named = _named(request)
    request.app[GATEWAY].check_ready()
    await request.app[OPEN_INFERENCE].model(*named)
    return json_response({"name": named[0], "ready": True})


async def metadata(request: web.Request) -> web.Response:
    """Inputs, outputs and labels of a model."""
    return json_response(await request.app[OPEN_INFERENCE].model_metadata(*_named(request)))


async def config(request: web.Request) -> web.Response:
    """A model as Triton's ModelConfig."""
    return json_response(await request.app[OPEN_INFERENCE].model_config(*_named(request)))


async def statistics(request: web.Request) -> web.Response:
    """Counts of requests and their time, of one model or of all."""
    found = await request.app[OPEN_INFERENCE].statistics(*_named(request))
    return json_response({"model_stats": found})


async def index(request: web.Request) -> web.Response:
    """Every version of every model, and why one is not served."""
    read_query(request)
    wanted = _document(await _body(request)).get("ready", False)
    if not isinstance(wanted, bool):
        raise InputError(f"ready={wanted!r:.80} must be true or false")
    return json_response(await request.app[OPEN_INFERENCE].index(ready=wanted))


async def load(request: web.Request) -> web.Response:
    """Serve the latest version of a model. Raises NotFound, Refused, Unsupported."""
    read_query(request)
    with request.app[GATEWAY].working():
        body = await _body(request)
        # What is larger has files in it.
        if len(body) > MAX_DOCUMENT or _document(body).get("parameters"):
            raise Unsupported(
                "a configuration or files in the request are not supported;"
                " models are loaded from the artefacts folder"
            )
        return json_response(await request.app[OPEN_INFERENCE].load(request.match_info["name"]))


async def unload(request: web.Request) -> web.Response:
    """Serve a model no more, until it is loaded. Raises NotFound."""
    read_query(request)
    with request.app[GATEWAY].working():
        _document(await _body(request))
        return json_response(await request.app[OPEN_INFERENCE].unload(request.match_info["name"]))


async def infer(request: web.Request) -> web.Response:
    """Scores of a tensor."""
    core, settings = request.app[OPEN_INFERENCE], request.app[GATEWAY].settings
    with core.working(), request.app[BODY_BUDGET].hold(0) as memory:
        model = await core.model(*_named(request))
        size = json_size(request.headers.get(HEADER))
        if size == 0 and request.content_type == "application/json":
            raise InputError(
                f"{HEADER}: 0 says that the body has no JSON, its Content-Type that it is"
            )
        with core.request(model) as count:
            body = await read_bytes(request, settings, memory)
            count.restart()
            asked = await _read(request, body, model, size, memory, count)
            if asked.parameters.urgent:
                check_scope(request, "stream")
            scores = await core.infer(model, asked.tensor, asked.parameters, count)
            return await _respond(request, model, asked, scores, count)


async def _read(
    request: web.Request,
    body: bytes,
    model: Model,
    size: int | None,
    memory: Reservation,
    count: RequestCount,
) -> InferRequest:
    """Return the request in a body, which is read in a thread if that may take long."""
    limit = request.app[GATEWAY].settings.max_body
    encoding = encoding_of(request.headers.get("Content-Encoding", ""))
    max_rows = request.app[OPEN_INFERENCE].max_rows

    def read(check: Callable[[], None]) -> InferRequest:
        begin = time.perf_counter()
        plain = unpack(body, encoding, limit=limit, check=check) if encoding else body
        found = read_request(plain, model, json_size=size, max_rows=max_rows, check=check)
        count.add("compute_input", time.perf_counter() - begin)
        return found

    if not body:
        raise InputError("the body is empty; send a request to infer")
    text = len(body) if size is None else size
    if not encoding and text <= SMALL_JSON and len(body) <= SMALL_BODY:
        return read(_no_check)
    if encoding:
        memory.grow_to(len(body) + min(limit, MAX_RATIO * len(body)))
    return await _in_thread(request, read, count)


async def _respond(
    request: web.Request, model: Model, asked: InferRequest, scores: Any, count: RequestCount
) -> web.Response:
    def write(_: Callable[[], None]) -> tuple[bytes, int | None]:
        begin = time.perf_counter()
        given = output(output_of(model), scores, labels=model.labels, best=asked.best)
        written = write_response(model, asked, given)
        count.add("compute_output", time.perf_counter() - begin)
        return written

    if scores.size <= SMALL_SCORES:
        body, size = write(_no_check)
    else:
        body, size = await _in_thread(request, write, count)
    if size is None:
        return web.Response(body=body, content_type="application/json")
    return web.Response(
        body=body, content_type="application/octet-stream", headers={HEADER: str(size)}
    )


async def _in_thread(
    request: web.Request, work: Callable[[Callable[[], None]], Result], count: RequestCount
) -> Result:
    """Return what `work` returns, in turn with the files that are decoded. Raises Late."""
    gateway, pool = request.app[GATEWAY], request.app[POOL]
    seconds = gateway.settings.clip_deadline
    deadline = count.begin + seconds
    try:
        async with (
            asyncio.timeout(deadline - time.monotonic()),
            pool.decode_slot(client_of(request)),
        ):
            return await pool.run(work, deadline=deadline)
    except TimeoutError:
        raise Late(f"the tensors were not read and written within {seconds:g} s") from None


async def _body(request: web.Request) -> bytes:
    """Return a body, unpacked; one that is packed must be small."""
    with request.app[BODY_BUDGET].hold(0) as memory:
        body = await read_bytes(request, request.app[GATEWAY].settings, memory)
    if encoding := encoding_of(request.headers.get("Content-Encoding", "")):
        return unpack(body, encoding, limit=MAX_DOCUMENT, check=_no_check)
    return body


def _document(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body; an empty one is one without fields. Raises TooLarge."""
    if len(body) > MAX_DOCUMENT:
        raise TooLarge(f"a body of {len(body)} bytes; at most {MAX_DOCUMENT} are accepted here")
    return read_document(body, check=_no_check).value if body else {}


def _named(request: web.Request) -> tuple[str, str]:
    """Return the name and version in the path, empty where there is none."""
    read_query(request)
    found = request.match_info
    return found.get("name", ""), found.get("model_version", "")


def _no_check() -> None:
    """Nothing to do: the work ends at once."""
