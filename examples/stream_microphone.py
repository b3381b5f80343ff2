"""Stream the microphone and print the labels of every window, until Ctrl-C."""

import argparse
import asyncio

import sounddevice

from service.client import Client


async def stream_microphone(url: str, model: str, device: str | None) -> None:
    loop, blocks = asyncio.get_running_loop(), asyncio.Queue()
    rate = int(sounddevice.query_devices(device, "input")["default_samplerate"])

    def captured(block, _frames, _time, _status) -> None:  # runs in PortAudio's thread
        loop.call_soon_threadsafe(blocks.put_nowait, block[:, 0].copy())

    async with Client(url).stream(model, sample_rate=rate) as stream, asyncio.TaskGroup() as tasks:
        tasks.create_task(show(stream))
        with sounddevice.InputStream(rate, rate // 20, device, channels=1, callback=captured):
            while True:
                await stream.send(await blocks.get())


async def show(stream) -> None:
    async for event in stream:
        print(event.labels if event.type == "window" else event, flush=True)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--url", default="http://127.0.0.1:8000")
parser.add_argument("--model", default="instruments")
parser.add_argument("--device", help="part of the name of an input device")
try:
    asyncio.run(stream_microphone(**vars(parser.parse_args())))
except (ValueError, sounddevice.PortAudioError) as error:
    parser.exit(1, f"no microphone: {error}\n")
except KeyboardInterrupt:
    parser.exit()
