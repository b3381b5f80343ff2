"""What a user calls a source, as text: mic, device:NAME, stdin, file:PATH, rtsp:// and http://."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from common.errors import InputError
from features.config import Samples
from features.containers.notes import Doubt
from service.sources.network import URL, NetworkSound

FORMS = "mic, device:NAME, stdin, file:PATH, rtsp://... or http://..."


class Source(Protocol):
    """A source of sound: a microphone, a stream of the network, or a file at real speed."""

    name: str
    sample_rate: int
    channels: int

    @property
    def warnings(self) -> Sequence[Doubt]:
        """Doubts about the source itself."""

    def chunks(self) -> AsyncGenerator[tuple[Samples, bool]]:
        """Yield chunks of shape (n,) or (n, channels), and whether sound was lost before one."""


def open_input(text: str) -> Source:
    """Return the source that a text names; a text of no other form is the path of a file.

    Raises InputError if it cannot be opened.
    """
    kind, colon, rest = text.partition(":")
    if text == "mic" or (kind == "device" and colon):
        from service.sources.microphone import Microphone

        return Microphone(rest or None)
    if URL.match(text):
        return NetworkSound(text)
    from service.sources.file_source import STDIN, open_source

    if text == "stdin":
        return open_source(STDIN)
    if kind == "file" and colon:
        if rest == STDIN:
            raise InputError(f"{text!r} is no file; stdin is {STDIN} or stdin")
        return open_source(rest)
    return open_source(text)


class Looped:
    """A source that begins anew whenever it ends."""

    def __init__(self, text: str) -> None:
        """text: as `open_input` takes it. Raises InputError."""
        self._text, self._first = text, open_input(text)
        self.name, self.warnings = self._first.name, self._first.warnings
        self.sample_rate, self.channels = self._first.sample_rate, self._first.channels

    async def chunks(self) -> AsyncGenerator[tuple[Samples, bool]]:
        """Yield its chunks for ever. Raises InputError when it has none, or changes its format."""
        source = self._first
        while True:
            count = 0
            async for chunk in source.chunks():
                count += 1
                yield chunk
            source = open_input(self._text)
            if (source.sample_rate, source.channels) != (self.sample_rate, self.channels):
                raise InputError(f"{self.name} has another rate or other channels now")
            if not count:
                raise InputError(f"{self.name} has no sound")
