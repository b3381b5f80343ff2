"""Listens to a source for some seconds and measures its sound."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from common.errors import InputError
from service.monitor.check.measure import Measured, Measurement
from service.sources.file_source import Pipe, Playback
from service.sources.inputs import Source, open_input


async def listen(text: str, *, seconds: float) -> tuple[str, Measured]:
    """Return the name of a source and what was measured in so many seconds of its sound.

    text: as in `[[sources]]`, but no folder. A file is read as fast as it can be. Raises InputError
    if the source cannot be opened or gives no sound, Unprocessable if its samples are none.
    """
    source = await asyncio.to_thread(open_input, text)
    measurement = Measurement(sample_rate=source.sample_rate, channels=source.channels)
    if isinstance(source, Playback) and not isinstance(source, Pipe):
        await asyncio.to_thread(_read, source, measurement, seconds)
    else:
        await _follow(source, measurement, seconds)
    if not measurement.seconds:
        raise InputError(f"{source.name} has no sound")
    return source.name, measurement.finish()


def _read(source: Playback, measurement: Measurement, seconds: float) -> None:
    for samples in source.blocks(source.sample_rate):
        measurement.feed(samples)
        if measurement.seconds >= seconds:
            return


async def _follow(source: Source, measurement: Measurement, seconds: float) -> None:
    async with aclosing(source.chunks()) as chunks:
        async for samples, lost in chunks:
            measurement.feed(samples, lost=lost)
            if measurement.seconds >= seconds:
                return
