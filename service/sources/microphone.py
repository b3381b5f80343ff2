"""Sound from an input device, through sounddevice and PortAudio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import numpy as np

from common.errors import InputError
from features.config import Samples
from features.resample import StreamingResampler
from service.protocol import RATES

CHUNKS_PER_S = 20
STALLED_S = 5.0
"""Seconds without a block after which a device counts as unplugged."""
STAY = 0.5
"""Power of a channel, relative to that of the loudest, down to which it is kept."""
MAX_CHANNELS = 8
"""Channels with which a device is tried that does not open in mono."""


class Microphone:
    """One input device at its own rate, up to the highest that a stream may have, mono."""

    name = "mic"
    channels = 1
    warnings = ()

    def __init__(self, device: str | None = None) -> None:
        """device: number or part of its name; None is the default. Raises InputError."""
        self._sounddevice = load()
        self._device = int(device) if device and device.isdecimal() else device
        try:
            found = self._sounddevice.query_devices(self._device, "input")
        except (ValueError, self._sounddevice.PortAudioError) as error:
            raise InputError(f"no microphone ({error}); {self._choice()}") from error
        self._device_rate = int(found["default_samplerate"])
        self.sample_rate = min(self._device_rate, RATES[1])
        most = min(int(found.get("max_input_channels", 1)), MAX_CHANNELS)
        self._more_channels = tuple(range(2, most + 1))

    async def chunks(self) -> AsyncGenerator[tuple[Samples, bool]]:
        """Yield chunks, shape (n,), and whether the device lost sound before each.

        Raises InputError when the device cannot be opened.
        """
        loop = asyncio.get_running_loop()
        captured: asyncio.Queue[tuple[Samples, bool]] = asyncio.Queue()

        louder = _LouderChannel()

        def on_block(block: Samples, _count: int, _time: object, status: Any) -> None:
            chunk = (louder.of(block), bool(status.input_overflow))
            loop.call_soon_threadsafe(captured.put_nowait, chunk)

        stream, rate = self._open(on_block)
        resampler = StreamingResampler(rate, self.sample_rate)
        with stream:
            while True:
                try:
                    async with asyncio.timeout(STALLED_S):
                        samples, lost = await captured.get()
                except TimeoutError:
                    raise InputError(
                        f"the microphone gave no sound for {STALLED_S:g} s: was it unplugged?"
                    ) from None
                yield resampler.feed(samples), lost

    def _open(self, on_block: Callable[..., None]) -> tuple[Any, int]:
        """Return a stream and its rate: mono at the rate wanted, or as the device can."""
        ways = dict.fromkeys(
            (channels, rate)
            for rate in (self.sample_rate, self._device_rate)
            for channels in (1, *self._more_channels)
        )
        first = None
        for channels, rate in ways:
            try:
                stream = self._sounddevice.InputStream(
                    samplerate=rate,
                    blocksize=rate // CHUNKS_PER_S,
                    device=self._device,
                    channels=channels,
                    dtype="float32",
                    callback=on_block,
                )
            except self._sounddevice.PortAudioError as error:
                first = first or error
            else:
                return stream, rate
        raise InputError(f"the microphone cannot be opened: {first}") from first

    def _choice(self) -> str:
        inputs = [
            f"{index} {device['name']}"
            for index, device in enumerate(self._sounddevice.query_devices())
            if device["max_input_channels"]
        ]
        return (
            f"choose one with --device: {', '.join(inputs)}"
            if inputs
            else "connect one, or use a sound file"
        )


class _LouderChannel:
    """Takes the louder channel of a device, because some of them are not connected."""

    def __init__(self) -> None:
        self._channel = 0

    def of(self, block: Samples) -> Samples:
        """Return a copy of that channel, shape (n,); it changes for one twice as loud only."""
        powers = np.sum(block * block, axis=0)
        # Each change is a click.
        if powers[self._channel] < STAY * powers.max():
            self._channel = int(np.argmax(powers))
        return np.array(block[:, self._channel])


def load() -> Any:
    """Return the package sounddevice. Raises InputError with the command that installs it."""
    try:
        import sounddevice
    except ImportError as error:
        raise InputError(
            "the microphone needs the package sounddevice: pip install 'timbre[mic]'"
        ) from error
    except OSError as error:
        message = "the microphone needs the library PortAudio: apt-get install libportaudio2"
        raise InputError(message) from error
    return sounddevice
