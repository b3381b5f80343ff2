"""Request bodies, raw or multipart: bounded while they are read, each and together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from aiohttp import BodyPartReader, web

from features.errors import Busy, InputError, TooLarge, Unprocessable
from service.settings import Settings

CHUNK = 2**16


class Buffers:
    """The memory that all bodies together may take."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._held = 0

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Reserve bytes while a body lives. Raises Busy when there is no room."""
        if self._held + size > self._limit:
            raise Busy(f"requests of {self._held} bytes are being worked on; no room for {size} more")
        self._held += size
        try:
            yield
        finally:
            self._held -= size


def announced(request: web.Request, settings: Settings) -> int:
    """Return how many bytes a body may have, from its Content-Length or the bound. Raises TooLarge."""
    length = request.content_length
    if length is not None and length > settings.max_body:
        raise TooLarge(f"a body of {length} bytes; at most {settings.max_body} are taken")
    return settings.max_body if length is None else length


async def read_body(request: web.Request, settings: Settings) -> bytes:
    """Return the file in a request. Raises InputError, TooLarge, Unprocessable or Busy's kin for what is wrong."""
    try:
        async with asyncio.timeout(settings.body_timeout):
            return await _file(request, settings.max_body)
    except TimeoutError:
        raise InputError(f"the body did not arrive within {settings.body_timeout:g} s") from None


async def _file(request: web.Request, limit: int) -> bytes:
    if request.content_type.startswith("multipart/"):
        data = await _from_form(request, limit)
    else:
        data = await _bounded(request.content.iter_chunked(CHUNK), limit)
    if not data:
        raise InputError("the body is empty; send a sound file")
    return data


async def _from_form(request: web.Request, limit: int) -> bytes:
    try:
        reader = await request.multipart()
        part = await reader.next()
        if not isinstance(part, BodyPartReader) or part.name != "file":
            found = getattr(part, "name", None)
            raise Unprocessable(f"a form has one field, 'file'; this one has {found!r:.80}")
        data = await _bounded(_chunks(part), limit)
        if await reader.next() is not None:
            raise Unprocessable("a form has one field, 'file'; this one has more")
    except (ValueError, AssertionError, RuntimeError) as error:
        raise InputError(f"the form cannot be read: {error}") from error
    return data


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(CHUNK):
        yield chunk


async def _bounded(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    """Collect chunks up to a limit. Raises TooLarge."""
    data = bytearray()
    async for chunk in chunks:
        data += chunk
        if len(data) > limit:
            raise TooLarge(f"a body of more than {limit} bytes")
    return bytes(data)
