"""Sound from the network, read by the program ffmpeg: RTSP, HTTP, Icecast, HLS."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from urllib.parse import urlsplit

import numpy as np

from common.errors import InputError
from features.config import Samples

RATE = 48_000
CHANNELS = 2
"""Two, so that opposite channels are mixed as those of any other source."""
CHUNKS_PER_S = 20
STALLED_S = 10.0
"""Seconds without a sample after which a source counts as lost."""
FIRST_S = 30.0
"""Seconds until the first sample."""
PROTOCOLS = {
    "http": "http,https,tls,tcp,crypto,httpproxy",
    "rtsp": "rtsp,rtsps,rtp,srtp,udp,tcp,tls",
}
"""By kind: those that ffmpeg may use. No files: a playlist of others must not name ours."""
URL = re.compile(r"(rtsps?|https?)://\S+", re.ASCII | re.IGNORECASE)
TIMEOUT_US = round(STALLED_S * 1e6)


class NetworkSound:
    """A stream of sound at an address. Its pictures are never asked for."""

    sample_rate = RATE
    channels = CHANNELS
    warnings = ()

    def __init__(self, url: str) -> None:
        """url: rtsp://, rtsps://, http:// or https://. Raises InputError without ffmpeg."""
        if not URL.fullmatch(url):
            raise InputError(f"{hidden(url)} is no address of a sound: rtsp:// or http://")
        program = shutil.which("ffmpeg")
        if program is None:
            raise InputError("sound from the network needs the program ffmpeg: apt install ffmpeg")
        self.name = hidden(url)
        self._url, self._command = url, command(program)

    async def chunks(self) -> AsyncGenerator[tuple[Samples, bool]]:
        """Yield chunks of shape (n, 2) as they come, and False.

        Raises InputError, without user and password, when the source cannot be read or ends.
        """
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(playlist(self._url).encode())
        process.stdin.close()
        said: deque[str] = deque(maxlen=3)
        listening = asyncio.create_task(self._keep_errors(process.stderr, said))
        size = RATE // CHUNKS_PER_S * CHANNELS * 2
        limit_s = FIRST_S
        try:
            while True:
                try:
                    async with asyncio.timeout(limit_s):
                        raw = await process.stdout.readexactly(size)
                except TimeoutError:
                    raise InputError(f"{self.name} gave no sound for {limit_s:g} s") from None
                except asyncio.IncompleteReadError as rest:
                    raw = rest.partial[: len(rest.partial) // 4 * 4]
                if raw:
                    values = np.frombuffer(raw, "<i2").astype(np.float32) / np.float32(2**15)
                    yield values.reshape(-1, CHANNELS), False
                limit_s = STALLED_S
                if len(raw) < size:
                    await listening
                    raise InputError(f"{self.name} ended: {'; '.join(said) or 'no reason given'}")
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            listening.cancel()

    async def _keep_errors(self, stderr: asyncio.StreamReader, said: deque[str]) -> None:
        line = b"-"
        while line:
            try:
                line = await stderr.readline()
            except ValueError:
                # Longer than the reader takes, which has left it out. Unread, it would stop ffmpeg.
                continue
            text = line.decode("utf-8", "replace").strip().replace(self._url, self.name)
            if text:
                said.append(URL.sub(lambda found: hidden(found[0]), text)[:200])


def command(program: str) -> list[str]:
    """Return the command that writes the sound of a playlist at stdin to stdout, int16 of 48 kHz.

    An address among the arguments, with its password, would be in the list of processes.
    """
    return [
        *(program, "-hide_banner", "-loglevel", "error", "-threads", "1"),
        *("-protocol_whitelist", "pipe", "-f", "concat", "-safe", "0", "-i", "pipe:0"),
        *("-map", "0:a:0", "-vn", "-sn", "-dn"),
        *("-ar", str(RATE), "-ac", str(CHANNELS), "-f", "s16le", "pipe:1"),
    ]


def playlist(url: str) -> str:
    """Return a playlist of ffmpeg's concat demuxer (5.0 or later): an address and its options."""
    kind = "rtsp" if url.lower().startswith("rtsp") else "http"
    options = {
        "rtsp": {
            "rtsp_transport": "tcp",
            "allowed_media_types": "audio",
            "timeout": str(TIMEOUT_US),
        },
        "http": {"rw_timeout": str(TIMEOUT_US)},
    }
    quoted = url.replace("'", "'\\''")
    given = {"protocol_whitelist": PROTOCOLS[kind], **options[kind]}
    return f"file '{quoted}'\n" + "".join(f"option {name} {given[name]}\n" for name in given)


def hidden(url: str, *, path: bool = True) -> str:
    """Return an address without user, password, query and fragment.

    path: whether its path is shown, up to a part with `=`: some cameras have passwords in it.
    """
    try:
        parts = urlsplit(url)
        host = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        return "the address"
    shown = re.split("/[^/]*=", parts.path)[0] if path else ""
    return f"{parts.scheme}://{host}{shown}"
