"""Encodings of raw audio, one table for server and client: bytes to samples and back. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from common.errors import InputError
from features.levels import check_levels

Samples: TypeAlias = npt.NDArray[np.float32]
Signal: TypeAlias = npt.NDArray[np.float64]
Values: TypeAlias = npt.NDArray[np.int16] | Samples
_STEP_32 = np.float32(2**-31)


@dataclass(frozen=True)
class Encoding:
    """How one sample of one channel is written."""

    sample_bytes: int
    decode: Callable[[bytes | memoryview], Values]
    """Whole samples to int16, or float32 in [-1, 1]. Raises Unprocessable on what is not audio."""
    encode: Callable[[npt.NDArray[np.floating]], bytes]
    """Float samples in [-1, 1] to bytes; louder ones are clipped to the range of the encoding."""
    raw: Callable[[bytes], Signal]
    """Bytes that may be of another encoding to values, unchecked; an end within a sample is cut."""
    words: str
    """What a sample is, in a sentence: 16-bit integers."""


def _decode_s16le(data: bytes | memoryview) -> Values:
    return np.frombuffer(data, "<i2").astype(np.int16, copy=False)


def _encode_s16le(samples: npt.NDArray[np.floating]) -> bytes:
    return bytes(np.clip(np.rint(samples * 32_768), -32_768, 32_767).astype("<i2").data)


def _decode_f32le(data: bytes | memoryview) -> Values:
    samples = np.frombuffer(data, "<f4").astype(np.float32, copy=False)
    check_levels(samples)
    return samples


def _decode_s24le(data: bytes | memoryview) -> Values:
    triples = np.frombuffer(data, np.uint8).reshape(-1, 3)
    # The lowest byte stays empty, and the sign is in the highest.
    wide = np.zeros((len(triples), 4), np.uint8)
    wide[:, 1:] = triples
    return _scaled(wide.view("<i4").ravel())


def _encode_s24le(samples: npt.NDArray[np.floating]) -> bytes:
    scaled = np.clip(np.rint(samples.astype(np.float64) * 2**23), -(2**23), 2**23 - 1)
    return scaled.astype("<i4").reshape(-1, 1).view(np.uint8)[:, :3].tobytes()


def _decode_s32le(data: bytes | memoryview) -> Values:
    return _scaled(np.frombuffer(data, "<i4"))


def _scaled(values: npt.NDArray[np.int32]) -> Values:
    samples = values.astype(np.float32)
    samples *= _STEP_32
    return samples


def _encode_s32le(samples: npt.NDArray[np.floating]) -> bytes:
    scaled = np.clip(np.rint(samples.astype(np.float64) * 2**31), -(2**31), 2**31 - 1)
    return scaled.astype("<i4").tobytes()


def _encode_f32le(samples: npt.NDArray[np.floating]) -> bytes:
    return bytes(samples.astype("<f4").data)


def _raw_s16le(data: bytes) -> Signal:
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2") / 32_768


def _raw_s24le(data: bytes) -> Signal:
    """The two upper bytes of three."""
    triples = np.frombuffer(data[: len(data) // 3 * 3], np.uint8).reshape(-1, 3)
    return np.ascontiguousarray(triples[:, 1:]).view("<i2").ravel() / 32_768


def _raw_s32le(data: bytes) -> Signal:
    return np.frombuffer(data[: len(data) // 4 * 4], "<i4") / 2.0**31


def _raw_f32le(data: bytes) -> Signal:
    with np.errstate(invalid="ignore", over="ignore"):
        return np.frombuffer(data[: len(data) // 4 * 4], "<f4").astype(np.float64)


ENCODINGS = {
    "pcm_s16le": Encoding(2, _decode_s16le, _encode_s16le, _raw_s16le, "16-bit integers"),
    "pcm_s24le": Encoding(3, _decode_s24le, _encode_s24le, _raw_s24le, "24-bit integers"),
    "pcm_s32le": Encoding(4, _decode_s32le, _encode_s32le, _raw_s32le, "32-bit integers"),
    "pcm_f32le": Encoding(4, _decode_f32le, _encode_f32le, _raw_f32le, "32-bit floats"),
}
"""Every encoding that a stream may have, by its name in `start`."""


def frame_bytes(encoding: str, channels: int) -> int:
    """Return the bytes of one sample of all channels. Raises KeyError on an unknown encoding."""
    return ENCODINGS[encoding].sample_bytes * channels


def decode(data: bytes | memoryview, *, encoding: str, channels: int) -> Values:
    """Return samples, shape (n, channels), int16 or float32 in [-1, 1].

    Raises InputError if the bytes end within a sample, Unprocessable on values that are not audio,
    KeyError on an unknown encoding.
    """
    size = frame_bytes(encoding, channels)
    if len(data) % size:
        raise InputError(
            f"{len(data)} bytes are not a whole number of {size}-byte samples"
            f" ({encoding} x {channels})"
        )
    return ENCODINGS[encoding].decode(data).reshape(-1, channels)


def decode_mono(data: bytes | memoryview, *, encoding: str, channels: int) -> Samples:
    """Return the mean over interleaved channels, float32 (n,), in [-1, 1]. Raises as `decode`."""
    # Not at the top: a client only encodes, and needs no kernels.
    from features.mixdown import mixdown

    return mixdown(decode(data, encoding=encoding, channels=channels), channels=channels)


def encode(samples: npt.ArrayLike, *, encoding: str, channels: int) -> bytes:
    """Return float samples in [-1, 1], shape (n,) or (n, channels), as the bytes of a stream.

    Raises InputError on a shape that does not fit the channels or on samples that are not floats,
    KeyError on an unknown encoding.
    """
    array = np.asarray(samples)
    if array.dtype.kind != "f" or array.ndim not in (1, 2) or (array.ndim == 1) != (channels == 1):
        raise InputError(
            f"expected float samples, shape (n, {channels}); got {array.dtype}, shape {array.shape}"
        )
    return ENCODINGS[encoding].encode(array)
