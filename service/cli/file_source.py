"""Sound from a file at real speed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import soundfile

from common.errors import InputError
from features.config import Samples

CHUNKS_PER_S = 20


class Playback:
    """A sound file at its own rate and with its own channels."""

    def __init__(self, path: Path) -> None:
        """Read the header. Raises InputError if the file cannot be read."""
        self.path = path
        self.name = path.name
        try:
            with path.open("rb") as file:
                info = soundfile.info(file)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from error
        except soundfile.LibsndfileError as error:
            raise InputError(
                f"{path} is not a sound file that can be read: {error.error_string}"
            ) from error
        self.sample_rate, self.channels = int(info.samplerate), int(info.channels)

    async def chunks(self) -> AsyncGenerator[tuple[Samples, bool]]:
        """Yield chunks of shape (n,) or (n, channels) at real speed, and False: no sound is lost.

        Raises InputError if the file is truncated or damaged.
        """
        loop = asyncio.get_running_loop()
        # Times are absolute, so that a late chunk does not delay the ones after it.
        start, chunk = loop.time(), self.sample_rate // CHUNKS_PER_S
        with self.path.open("rb") as opened, soundfile.SoundFile(opened) as file:
            for index in range(-(-file.frames // chunk)):
                await asyncio.sleep(
                    max(0.0, start + index * chunk / self.sample_rate - loop.time())
                )
                try:
                    samples = file.read(chunk, dtype="float32")
                except soundfile.LibsndfileError as error:
                    raise InputError(
                        f"{self.path} cannot be read to its end: {error.error_string}"
                    ) from error
                yield samples, False
