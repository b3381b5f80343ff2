"""Reads with the program ffmpeg what is not read here, in a process with bounds and no network."""

from __future__ import annotations

import os
import selectors
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress

from common.errors import Late, TooLarge
from features.containers.kinds import Kind, refuse
from features.containers.notes import Notes

CPU_S = 60
WALL_S = 120.0
MEMORY_KIB = 2 * 2**20
_READ = 1 << 20
_CHECK_S = 0.2
# The limits are set by a shell: between fork and exec of a process with threads nothing is safe.
_LIMITED = 'ulimit -t "$1" && { ulimit -v "$2" 2>/dev/null || :; } && shift 2 && exec "$@"'


def program() -> str | None:
    """Return where ffmpeg is; None if it is not installed."""
    return shutil.which("ffmpeg")


def to_wav(data: bytes, kind: Kind, notes: Notes, *, max_bytes: int) -> bytes:
    """Return a file as WAV of float32, with its own rate and channels.

    max_bytes: of the result. Raises UnsupportedMedia without ffmpeg or if it reads nothing,
    TooLarge past `max_bytes`, Late past its time.
    """
    path = program()
    if path is None or not kind.demuxer:
        raise refuse(kind)
    # A file, because some containers have their index at the end.
    with tempfile.NamedTemporaryFile(prefix="timbre-") as file, tempfile.TemporaryFile() as errors:
        file.write(data)
        file.flush()
        with subprocess.Popen(  # noqa: S603 the program and its options are fixed
            _command(path, kind.demuxer, file.name),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process:
            try:
                wav = _read_all(process, notes, max_bytes)
            finally:
                process.kill()
        errors.seek(0)
        said = errors.read(2_000).decode("utf-8", "replace").replace(file.name, "the file")
    if len(wav) <= 100:
        reason = said.strip().splitlines()[-1:] or ["no sound in it"]
        raise refuse(Kind(kind.name), f"{kind.name} that ffmpeg cannot read ({reason[0]:.200})")
    if process.returncode or said.strip():
        line = (said.strip().splitlines() or ["it ended early"])[0]
        notes.missing(f"this {kind.name} file is damaged or truncated: {line:.200}")
    return wav


def _command(path: str, demuxer: str, name: str) -> list[str]:
    return [
        *("/bin/sh", "-c", _LIMITED, "sh", str(CPU_S), str(MEMORY_KIB), path),
        *("-nostdin", "-hide_banner", "-v", "error", "-threads", "1"),
        # One container, one file: no playlist, no address.
        *("-protocol_whitelist", "file", "-f", demuxer, "-i", f"file:{name}"),
        *("-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1", "-bitexact"),
        *("-c:a", "pcm_f32le", "-f", "wav", "pipe:1"),
    ]


def _read_all(process: subprocess.Popen[bytes], notes: Notes, max_bytes: int) -> bytes:
    assert process.stdout is not None
    parts, size = list[bytes](), 0
    end = time.monotonic() + WALL_S
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        while True:
            written = ready.select(_CHECK_S)
            notes.check()
            if time.monotonic() > end:
                raise Late(f"ffmpeg did not end within {WALL_S:g} s")
            if not written:
                continue
            part = os.read(process.stdout.fileno(), _READ)
            if not part:
                break
            parts.append(part)
            size += len(part)
            if size > max_bytes:
                raise TooLarge(f"more than {max_bytes} bytes of sound")
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)
    return b"".join(parts)
