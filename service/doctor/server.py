"""A running server: whether it is ready, what it serves and on what, and how old a window gets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import aiohttp
import numpy as np

from common.errors import TimbreError
from service.client import Client
from service.client.stream import Stream
from service.client.transport import TIMEOUT, unreachable
from service.client.trust import client_context
from service.doctor.finding import Finding, attention, bad, good, graded
from service.doctor.system import check_skew
from service.protocol import Window

OLD_MS, TOO_OLD_MS = 100.0, 2_000.0
"""Age of a window that needs attention, and the one from which on it is dropped."""
RATE, SOUND_S, CHUNK_S = 16_000, 3.5, 0.1
MAX_DETAIL = 300
"""Characters of a response that are shown."""


async def check_server(client: Client, *, authorities: str | None = None) -> list[Finding]:
    """Ask a server what it can tell, and stream noise to its first model of sound.

    authorities: PEM file of the certificates to trust instead of the system's.
    """
    try:
        status, detail, date = await _readiness(client.url, authorities)
        at = time.time()
        models = (await client.models())["models"]
    except TimbreError as error:
        todo = "start it, or mend the address or the API key (TIMBRE_TOKEN)"
        return [bad("server", f"{client.url}: {error}", todo)]
    findings = [check_ready(client.url, status, detail), *check_date(date, at)]
    findings += [check_model(each) for each in models]
    sound = next((each["name"] for each in models if "events" in each), None)
    if sound:
        try:
            findings.append(check_age(sound, await _ages_ms(client, sound)))
        except TimbreError as error:
            findings.append(bad("age of a window", str(error), "see the server's log"))
    return findings


def check_ready(url: str, status: int, detail: str) -> Finding:
    """Judge the response of /readyz."""
    if status == HTTPStatus.OK:
        return good("server", f"{url} is ready")
    return bad("server", f"{url} is not ready: {detail}", "wait, or see its log")


def check_date(header: str, at: float) -> list[Finding]:
    """Compare the header Date, in whole seconds, with this clock; nothing without it."""
    try:
        there = parsedate_to_datetime(header).timestamp()
    except ValueError:
        return []
    # The header is cut to seconds: on average half of one is missing.
    return [check_skew("the server", there + 0.5 - at)]


def check_model(model: Mapping[str, Any]) -> Finding:
    """Judge a model as GET /v1/models describes it."""
    what = f"model {model['name']}"
    found = f"version {model['version']} on {model['provider']}"
    if refused := model.get("refused"):
        shown = "; ".join(f"{version}: {why}" for version, why in refused.items())
        return attention(what, f"{found}; not served: {shown}", "remove or replace these versions")
    if refused := model.get("provider_refused"):
        shown = "; ".join(f"{name}: {why}" for name, why in refused.items())
        return attention(what, f"{found}; not used: {shown}", "run timbre doctor on its machine")
    return good(what, found)


def check_age(model: str, ages_ms: list[float]) -> Finding:
    """Judge the ages of windows, as the server told them."""
    if not ages_ms:
        return bad("age of a window", f"{model} answered no window", "see the server's log")
    largest = max(ages_ms)
    return graded(
        "age of a window",
        f"{model}: at most {largest:.1f} ms of {len(ages_ms)} windows",
        bad_if=largest >= TOO_OLD_MS,
        attention_if=largest >= OLD_MS,
        todo="it has more load than it carries: more gateways or workers, fewer streams",
    )


async def _readiness(url: str, authorities: str | None) -> tuple[int, str, str]:
    """Return status and detail of /readyz, and the header Date. Raises Unreachable."""
    tls = client_context(authorities) if authorities else True
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session,
            session.get(f"{url}/readyz", timeout=TIMEOUT) as response,
        ):
            body = await response.text(errors="replace")
            return response.status, body[:MAX_DETAIL], response.headers.get("Date", "")
    except (aiohttp.ClientError, OSError) as error:
        raise unreachable(url, error) from error


async def _ages_ms(client: Client, model: str) -> list[float]:
    """Stream noise as a microphone does, and return the ages of its windows."""
    chunks = np.random.default_rng(0).normal(
        0, 0.05, (round(SOUND_S / CHUNK_S), round(RATE * CHUNK_S))
    )

    async def speak(stream: Stream) -> None:
        begin = time.monotonic()
        for number, chunk in enumerate(chunks, 1):
            await asyncio.sleep(begin + number * CHUNK_S - time.monotonic())
            await stream.send(chunk)
        await stream.finish()

    async with client.stream(model, sample_rate=RATE) as stream:
        speaking = asyncio.create_task(speak(stream))
        try:
            return [event.age_ms.total async for event in stream if isinstance(event, Window)]
        finally:
            speaking.cancel()
