"""Opens sound files with libsndfile, as `features.containers` left them. Loaded at first use."""

from __future__ import annotations

import io
from typing import Any, TypeAlias

import soundfile

from common.errors import InputError
from features.containers import kinds
from features.containers.notes import Segment

FileError: TypeAlias = soundfile.LibsndfileError
_FAR = 2**40
_FORMAT_ERRORS = ("format", "unimplemented", "codec", "'fmt '", "unsupported")
"""Words of libsndfile about files that are whole, but of a kind that it does not read."""


class SoundFile(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is read from its begin to its end: the length in its header bounds nothing."""

    wide = False

    def seekable(self) -> bool:
        """Return False: else every block is followed by a seek, which some files cannot do."""
        return False

    def read(self, *args: Any, dtype: str = "float64", **more: Any) -> Any:
        """Return samples of a type."""
        if not self.wide:
            return super().read(*args, dtype=dtype, **more)
        return (super().read(*args, dtype="int32", **more) * 2.0**-31).astype(dtype)


class _Endless(io.BytesIO):
    """Bytes that seem to go on for ever: an estimate by their size is never too short."""

    _at_end = False

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; the end is far away."""
        self._at_end = whence == io.SEEK_END
        return super().seek(0, io.SEEK_END) if self._at_end else super().seek(offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return _FAR if self._at_end else super().tell()

    def readinto(self, buffer: Any) -> int:
        """Read bytes, or zeros where the far end was looked for: there is no tag."""
        if not self._at_end:
            return super().readinto(buffer)
        buffer[:] = bytes(len(buffer))
        return len(buffer)


def open_segment(segment: Segment) -> SoundFile:
    """Open a segment. Raises FileError."""
    file = SoundFile((_Endless if segment.tagless else io.BytesIO)(segment.data))
    file.wide = segment.wide
    return file


def explained(error: FileError, kind: str, codec: str = "") -> InputError:
    """Return what clients may see of an error. codec: its name, where it is known."""
    reason = str(error.error_string).strip().rstrip(".") or f"code {error.code}"
    if any(word in reason.lower() for word in _FORMAT_ERRORS):
        name = f"{codec} in {kind}" if codec else f"a codec of {kind}"
        return kinds.refuse(kinds.Kind(kind, demuxer="any"), f"{name} ({reason})")
    return InputError(f"this {kind} file is damaged or truncated: {reason}")
