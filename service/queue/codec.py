"""Jobs and replies to bytes and back: a versioned header, then the numbers as they are.

Pure and strict: any other format is rejected, since it may come from another release.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

import numpy as np

from common.errors import InputError, TimbreError, error_types
from service.queue.base import Job, Reply

FORMAT = 1
"""Increased with every change of the bytes; both ends reject any other."""
DTYPES: tuple[np.dtype[np.generic], ...] = (np.dtype("<f4"), np.dtype("u1"))
MAX_DIMENSIONS = 4
MAX_MS = 2**32 - 1
_JOB = struct.Struct("<2sBBBBIH")
"""Magic, format, live, dtype, dimensions, milliseconds left, bytes of text.

The dimensions, the text and the tensor follow.
"""
_REPLY = struct.Struct("<2sBBfHI")
"""Magic, format, is an error, milliseconds of the model, bytes of id, bytes of payload.

The id and the payload follow.
"""


def encode_job(job: Job, *, reply_to: str, now: float) -> bytes:
    """Return a job as bytes; its deadline is encoded as time left, since clocks differ.

    now: time.monotonic(). Raises InputError on a tensor that no model takes.
    """
    tensor = job.tensor
    if tensor.dtype not in DTYPES or tensor.ndim > MAX_DIMENSIONS:
        raise InputError(f"a tensor of {tensor.dtype} {tensor.shape} cannot be encoded")
    text = f"{job.id}\n{job.model}\n{job.version}\n{job.stream}\n{reply_to}".encode()
    left_ms = min(MAX_MS, max(0, int(1e3 * (job.deadline - now))))
    kind = DTYPES.index(tensor.dtype)
    header = _JOB.pack(b"TJ", FORMAT, job.live, kind, tensor.ndim, left_ms, len(text))
    return b"".join(
        (header, struct.pack(f"<{tensor.ndim}I", *tensor.shape), text, tensor.tobytes())
    )


def decode_job(data: bytes, *, since: float) -> tuple[Job, str]:
    """Return the job of these bytes, and the name of the gateway that waits for the reply.

    since: time.monotonic() when it was encoded. Raises InputError.
    """
    try:
        magic, version, live, kind, dimensions, left_ms, length = _JOB.unpack_from(data)
        _check(magic == b"TJ" and version == FORMAT and live <= 1 and dimensions <= MAX_DIMENSIONS)
        at = _JOB.size + 4 * dimensions
        shape = struct.unpack_from(f"<{dimensions}I", data, _JOB.size)
        identity, model, number, stream, reply_to = data[at : at + length].decode().split("\n")
        dtype, at = DTYPES[kind], at + length
        _check(math.prod(shape) * dtype.itemsize == len(data) - at)
        tensor = (
            np.frombuffer(data, dtype, offset=at).reshape(shape)
            if len(data) > at
            else np.empty(shape, dtype)
        )
    except (struct.error, ValueError, IndexError) as error:
        raise InputError(f"{len(data)} bytes are not a job of format {FORMAT}") from error
    job = Job(
        id=identity,
        model=model,
        version=number,
        tensor=tensor,
        deadline=since + left_ms / 1e3,
        live=bool(live),
        stream=stream,
    )
    return job, reply_to


def encode_reply(reply: Reply) -> bytes:
    """Return a reply as bytes; several may be joined."""
    failed = isinstance(reply.result, TimbreError)
    payload = (
        f"{type(reply.result).__name__}\n{reply.result}".encode()
        if isinstance(reply.result, TimbreError)
        else np.asarray(reply.result, "<f4").tobytes()
    )
    name = reply.job_id.encode()
    return b"".join(
        (_REPLY.pack(b"TA", FORMAT, failed, reply.model_ms, len(name), len(payload)), name, payload)
    )


def decode_replies(data: bytes) -> list[Reply]:
    """Return the replies that were joined. Raises InputError."""
    try:
        return list(_replies(data))
    except (struct.error, ValueError) as error:
        raise InputError(f"{len(data)} bytes are not replies of format {FORMAT}") from error


def _replies(data: bytes) -> Iterator[Reply]:
    at = 0
    while at < len(data):
        magic, version, failed, model_ms, name, payload = _REPLY.unpack_from(data, at)
        begin = at + _REPLY.size
        at = begin + name + payload
        _check(
            magic == b"TA"
            and version == FORMAT
            and failed <= 1
            and at <= len(data)
            and math.isfinite(model_ms)
        )
        body = data[begin + name : at]
        result = _error(body.decode()) if failed else np.frombuffer(body, "<f4")
        yield Reply(data[begin : begin + name].decode(), result, model_ms)


def _check(holds: bool) -> None:  # noqa: FBT001 - an assertion, also under -O
    if not holds:
        raise ValueError


def _error(text: str) -> TimbreError:
    """Return the error that was encoded; one of an unknown type is a TimbreError."""
    name, _, detail = text.partition("\n")
    return {kind.__name__: kind for kind in error_types()}.get(name, TimbreError)(detail)
