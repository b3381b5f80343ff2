"""Bodies that a client has compressed: unpacked up to a bound."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from common.errors import InputError, TooLarge, UnsupportedMedia

WINDOW_BITS = {"gzip": 31, "deflate": 15}
"""Of zlib, by Content-Encoding; `deflate` is in the zlib format."""
MAX_RATIO = 1_032
"""Bytes that deflate can make of one."""
PIECE = 2**16


def encoding_of(header: str) -> str:
    """Return the encoding of a body; empty: none. Raises UnsupportedMedia."""
    encoding = header.strip().lower()
    if encoding in ("", "identity"):
        return ""
    if encoding not in WINDOW_BITS:
        raise UnsupportedMedia(
            f"unsupported Content-Encoding {header!r:.40}; {' and '.join(WINDOW_BITS)} are read"
        )
    return encoding


def unpack(data: bytes, encoding: str, *, limit: int, check: Callable[[], None]) -> bytes:
    """Return what was compressed. Raises InputError, and TooLarge past `limit` bytes.

    check: called between pieces; raises when nobody waits for them any more.
    """
    stream = zlib.decompressobj(WINDOW_BITS[encoding])
    parts, size = list[bytes](), 0
    try:
        for at in range(0, len(data), PIECE):
            packed = data[at : at + PIECE]
            while packed:
                check()
                parts.append(stream.decompress(packed, PIECE))
                size += len(parts[-1])
                if size > limit:
                    raise TooLarge(f"a body of more than {limit} bytes when it is unpacked")
                packed = stream.unconsumed_tail
            if stream.unused_data:
                raise InputError(f"bytes follow the end of the {encoding} body")
    except zlib.error as error:
        raise InputError(f"the body is no {encoding}: {error}") from error
    if not stream.eof:
        raise InputError(f"the {encoding} body is truncated")
    return b"".join(parts)
