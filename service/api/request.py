"""What a request carries: query parameters, validated; and a body, bounded while it is read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from common.budget import Reservation
from common.errors import InputError, TooLarge, Unprocessable, UnsupportedMedia
from common.mapping import parse_json
from service.api.context import BODY_BUDGET, GATEWAY
from service.settings import Settings

CHUNK = 2**16
MAX_FIELD = 1_024
"""Bytes of a form field other than the file."""
MAX_DOCUMENT = 2**16
"""Bytes of a body that is JSON: it is parsed on the event loop."""
MIN_TOP_K = 1
WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)


def read_query(request: web.Request, /, **readers: Callable[[str], Any]) -> dict[str, Any]:
    """Return the query parameters, each read by the reader of its name.

    Raises Unprocessable naming what is unknown, repeated or not a number.
    """
    values: dict[str, Any] = {}
    for name, text in request.query.items():
        if name not in readers:
            known = ", ".join(readers) or "none"
            raise Unprocessable(f"unknown query parameter {name!r:.80}; known: {known}")
        if name in values:
            raise Unprocessable(f"query parameter {name!r} is given twice")
        try:
            values[name] = readers[name](text)
        except ValueError:
            raise Unprocessable(f"{name}={text!r:.80} is not a number") from None
    return values


def read_whole(text: str) -> int:
    """Return a whole number in decimal digits; Python's int takes more. Raises ValueError."""
    if not WHOLE.fullmatch(text):
        raise ValueError(text)
    return int(text)


def read_number(text: str) -> float:
    """Return a number as JSON writes it; Python's float takes more. Raises ValueError."""
    if not NUMBER.fullmatch(text):
        raise ValueError(text)
    return float(text)


def read_flag(name: str, text: str) -> bool:
    """Return whether a query parameter is true. Raises Unprocessable if it is not a flag."""
    if text not in ("true", "false"):
        raise Unprocessable(f"{name}={text!r:.80} must be true or false")
    return text == "true"


def check_top_k(top_k: int) -> None:
    """Raise Unprocessable when it is less than 1."""
    if top_k < MIN_TOP_K:
        raise Unprocessable(f"top_k={top_k} must be at least {MIN_TOP_K}")


async def read_document(request: web.Request) -> Any:
    """Return the JSON in a request. Raises InputError and its subclasses, Busy."""
    settings = request.app[GATEWAY].settings
    with request.app[BODY_BUDGET].hold(0) as memory:
        limit = min(MAX_DOCUMENT, settings.max_body)
        body, _ = await read_form(request, settings, memory, fields=(), limit=limit)
    return parse_json(body, error=InputError, where="the body")


async def read_body(request: web.Request, settings: Settings, memory: Reservation) -> bytes:
    """Return the file in a request. Raises InputError and its subclasses, Busy."""
    return (await read_form(request, settings, memory, fields=()))[0]


async def read_form(
    request: web.Request,
    settings: Settings,
    memory: Reservation,
    *,
    fields: Collection[str],
    limit: int | None = None,
) -> tuple[bytes, dict[str, str]]:
    """Return the file and the form fields of a request. Raises InputError and its subclasses, Busy.

    fields: names that a multipart form may have besides `file`. limit: bytes, by default max_body.

    memory: grows with the body.
    """
    limit = settings.max_body if limit is None else limit
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedMedia(
            f"unsupported Content-Encoding {encoding!r:.40}; send the body unencoded"
        )
    values: dict[str, str] = {}
    if request.content_type.startswith("multipart/"):
        async with _arriving(request, settings, memory, limit):
            data, values = await _from_form(request, limit, memory, fields)
    else:
        data = await _whole(request, settings, memory, limit)
    if not data:
        raise InputError("the body is empty; send a file")
    return data, values


async def read_bytes(request: web.Request, settings: Settings, memory: Reservation) -> bytes:
    """Return a body as it was sent, which may be compressed or empty; memory grows with it.

    Raises InputError, TooLarge, Busy.
    """
    return await _whole(request, settings, memory, settings.max_body)


async def _whole(
    request: web.Request, settings: Settings, memory: Reservation, limit: int
) -> bytes:
    if request.content.is_eof():
        # A small body comes with its headers: there is nothing to wait for.
        memory.grow_to(_allowed(request.content.total_bytes, limit))
        return request.content.read_nowait()
    async with _arriving(request, settings, memory, limit):
        return await _bounded(request.content.iter_chunked(CHUNK), limit, memory)


@asynccontextmanager
async def _arriving(
    request: web.Request, settings: Settings, memory: Reservation, limit: int
) -> AsyncIterator[None]:
    if request.content_length is not None:
        memory.grow_to(_allowed(request.content_length, limit))
    try:
        async with asyncio.timeout(settings.body_timeout):
            yield
    except TimeoutError:
        raise InputError(f"the body did not arrive within {settings.body_timeout:g} s") from None


async def _from_form(
    request: web.Request, limit: int, memory: Reservation, fields: Collection[str]
) -> tuple[bytes, dict[str, str]]:
    parts: dict[str, bytes] = {}
    optional = f"; {', '.join(fields)} may be there besides" if fields else ""
    expected = f"the file must be in the field 'file', once{optional}"
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            name = part.name if isinstance(part, BodyPartReader) else None
            if (
                not isinstance(part, BodyPartReader)
                or name is None
                or name not in {"file", *fields}
                or name in parts
            ):
                again = "a second " if name in parts else ""
                raise Unprocessable(f"the form has {again}the field {name!r:.80}; {expected}")
            parts[name] = await _bounded(
                _chunks(part), limit if name == "file" else MAX_FIELD, memory
            )
        values = {name: value.decode() for name, value in parts.items() if name != "file"}
    except (ValueError, AssertionError, RuntimeError, HttpProcessingError) as error:
        raise InputError(f"the form cannot be read: {error}") from error
    if "file" not in parts:
        raise Unprocessable(f"the form has no field 'file'; {expected}")
    return parts["file"], values


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(CHUNK):
        yield chunk


async def _bounded(chunks: AsyncIterator[bytes], limit: int, memory: Reservation) -> bytes:
    """Collect chunks up to a limit. Raises TooLarge, Busy."""
    parts, size = [], 0
    async for chunk in chunks:
        size += len(chunk)
        memory.grow_to(_allowed(size, limit))
        parts.append(chunk)
    return b"".join(parts)


def _allowed(size: int, limit: int) -> int:
    if size > limit:
        raise TooLarge(f"a body of {size} bytes or more; at most {limit} are accepted")
    return size
