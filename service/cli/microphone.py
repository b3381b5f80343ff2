"""Sound from an input device, through sounddevice and PortAudio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np

from common.errors import InputError
from features.config import Samples

CHUNKS_PER_S = 20


class Microphone:
    """One input device at its own rate, mono."""

    name = "mic"
    channels = 1

    def __init__(self, device: str | None = None) -> None:
        """device: number or part of its name; None is the default. Raises InputError."""
        self._sounddevice = load()
        self._device = int(device) if device and device.isdecimal() else device
        try:
            found = self._sounddevice.query_devices(self._device, "input")
        except (ValueError, self._sounddevice.PortAudioError) as error:
            raise InputError(f"no microphone ({error}); {self._choice()}") from error
        self.sample_rate = int(found["default_samplerate"])

    async def chunks(self) -> AsyncGenerator[tuple[Samples, bool]]:
        """Yield chunks, shape (n,), and whether the device lost sound before each.

        Raises InputError when the device cannot be opened.
        """
        loop = asyncio.get_running_loop()
        captured: asyncio.Queue[tuple[Samples, bool]] = asyncio.Queue()

        def on_block(block: Samples, _count: int, _time: object, status: Any) -> None:
            chunk = (np.array(block[:, 0]), bool(status.input_overflow))
            loop.call_soon_threadsafe(captured.put_nowait, chunk)

        try:
            stream = self._sounddevice.InputStream(
                samplerate=self.sample_rate,
                blocksize=self.sample_rate // CHUNKS_PER_S,
                device=self._device,
                channels=1,
                dtype="float32",
                callback=on_block,
            )
        except self._sounddevice.PortAudioError as error:
            raise InputError(f"the microphone cannot be opened: {error}") from error
        with stream:
            while True:
                yield await captured.get()

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
