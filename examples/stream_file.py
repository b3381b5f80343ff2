"""Stream a sound file at real speed and print the labels of every window.

Run: .venv/bin/python examples/stream_file.py examples/quartet.ogg
"""

import argparse
import asyncio
from time import monotonic

import soundfile

from service.client import Client


async def stream_file(path: str, url: str, model: str) -> None:
    with soundfile.SoundFile(path) as file:
        rate = file.samplerate
        how = {"sample_rate": rate, "channels": file.channels, "on_overload": "complete"}
        async with Client(url).stream(model, **how) as stream, asyncio.TaskGroup() as tasks:
            tasks.create_task(show(stream))
            start = monotonic()
            for block in file.blocks(rate // 20, dtype="float32"):
                await asyncio.sleep(start + stream.captured / rate - monotonic())
                await stream.send(block)
            await stream.finish()


async def show(stream) -> None:
    async for event in stream:
        if event.type == "window":
            print(f"{event.start:6.2f} .. {event.end:6.2f} s  {', '.join(event.labels) or '-'}")
        else:
            print(event)  # ready, dropped, warning, end


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("path")
parser.add_argument("--url", default="http://127.0.0.1:8000")
parser.add_argument("--model", default="instruments")
asyncio.run(stream_file(**vars(parser.parse_args())))
