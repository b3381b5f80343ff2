"""Sounds of three labels that a toy training learns, and how they are posted."""

import asyncio
import json

import numpy as np

from tests.service.conftest import RATE, noise, tone, wav

QUICK = {"profile": "quick", "windows.length": 1, "windows.hop": 0.5, "forest.components": 8}


def high(seed):
    return wav(tone(3, 2_000 + 100 * seed) + noise(3, level=0.01, seed=seed))


def low(seed):
    return wav(tone(3, 200 + 10 * seed) + noise(3, level=0.01, seed=seed))


def buzz(seed):
    samples = np.sign(tone(3, 100 + 3 * seed)) * 0.2 + noise(3, level=0.01, seed=seed)
    return wav(samples.astype(np.float32))


def hiss(seed):
    return wav(noise(3, level=0.02 * (seed + 1), seed=100 + seed))


LABELS = {"high": high, "low": low, "buzz": buzz, "nothing": hiss}


async def teach(server, *, collection="pitches", sources=6, labels=LABELS, **options):
    """Post a clip of each label from each source."""
    for seed in range(sources):
        for label, made in labels.items():
            path = f"/v1/collections/{collection}/{label}?source=player{seed}"
            status, answer, _ = await server.post(path, data=made(seed), **options)
            assert status == 201, answer


async def ended(server, id_, *, seconds=300):
    """Wait until a training has ended; return it."""
    async with asyncio.timeout(seconds):
        while True:
            _, found, _ = await server.get(f"/v1/trainings/{id_}")
            if found["state"] not in ("queued", "running"):
                return found
            await asyncio.sleep(0.2)


def written(folder, id_, name):
    return json.loads((folder / id_ / name).read_text(encoding="utf-8"))


__all__ = ["LABELS", "QUICK", "RATE", "ended", "teach", "written"]
