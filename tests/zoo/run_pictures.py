"""Sends the pictures of the zoo to a gateway, reads them as training does, and counts."""

import io
from collections import Counter, defaultdict
from contextlib import asynccontextmanager

import numpy as np
from aiohttp.test_utils import TestClient, TestServer

from common.errors import InputError
from features.config import PictureConfig
from features.picture import decode
from service.api.context import GATEWAY
from service.app import build
from service.settings import Settings
from tests.models.colours import write_colours
from tests.zoo.pictures import READ, REJECTED, oracle

OUTCOMES = ("equal", "rejected", "DIFFERENT", "UNEXPECTED", "FAULT")
CONFIG = PictureConfig(height=48, width=64, fit="squash")
NEAR = 6.0
"""Mean difference per colour, of 255: resizing by another order of steps."""


def trained(file):
    """Return the outcome of reading a file in training, and its pixels or its error."""
    try:
        pixels = decode(file.data, CONFIG)
    except InputError as error:
        return ("UNEXPECTED" if file.expected == READ else "rejected"), error
    except Exception as error:  # noqa: BLE001 every other error is a fault, and is counted as one
        return "FAULT", error
    if file.expected == REJECTED:
        return "UNEXPECTED", pixels
    wanted = oracle(file, CONFIG.height, CONFIG.width)
    if wanted is None:
        return "UNEXPECTED", pixels
    near = np.abs(pixels.astype(int) - np.resize(wanted, pixels.shape)).mean() <= NEAR
    return ("equal" if near else "DIFFERENT"), pixels


def served(file, found, status, answer):
    """Return the outcome of a response, beside what training found: both read it, or neither."""
    if status >= 500:
        return "FAULT"
    told = 400 <= status < 500 and bool(answer.get("detail"))
    if isinstance(found, Exception):
        return "rejected" if told else "UNEXPECTED"
    return "equal" if status == 200 else "UNEXPECTED"


@asynccontextmanager
async def gateway(folder):
    """A server of picture models below a folder; yields what posts bytes to it."""
    app = build(Settings(port=0, artefacts=write_colours(folder), models=("colours",)))
    async with TestClient(TestServer(app)) as client:
        await app[GATEWAY].opening

        async def post(data):
            async with client.post(
                "/v1/models/colours/classify", data=io.BytesIO(data)
            ) as response:
                return response.status, await response.json()

        yield post


async def table(files, post):
    """Return counts by kind and outcome, and the bad files. post: bytes to (status, answer)."""
    counts, bad = defaultdict(Counter), []
    for file in files:
        outcome, found = trained(file)
        status, answer = await post(file.data)
        both = outcome if outcome.isupper() else served(file, found, status, answer)
        counts[file.kind][both] += 1
        if both.isupper():
            what = found if isinstance(found, Exception) else "read"
            bad.append(f"{both}: {file.kind}, {file.name}: {status}, {what}")
    return counts, bad
