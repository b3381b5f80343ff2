"""Compressed bodies: unpacked up to the bound, and not a byte further."""

import gzip
import random
import zlib

import pytest

from common.errors import InputError, TooLarge, UnsupportedMedia
from service.open_inference.compression import MAX_RATIO, encoding_of, unpack

LIMIT = 300_000
PACK = {"gzip": gzip.compress, "deflate": zlib.compress}
NOISE = random.Random(1).randbytes(LIMIT)


def unpacked(data, encoding):
    return unpack(data, encoding, limit=LIMIT, check=lambda: None)


@pytest.mark.parametrize("encoding", PACK)
@pytest.mark.parametrize("data", [b"", b"a", bytes(LIMIT), NOISE, NOISE[:65_536]])
def test_what_was_packed_is_unpacked_up_to_the_limit(encoding, data):
    assert unpacked(PACK[encoding](data), encoding) == data


@pytest.mark.parametrize("encoding", PACK)
def test_a_byte_past_the_limit_is_rejected_before_more_is_unpacked(encoding):
    checks = []
    with pytest.raises(TooLarge, match=f"more than {LIMIT} bytes"):
        unpack(
            PACK[encoding](bytes(100 * LIMIT)),
            encoding,
            limit=LIMIT,
            check=lambda: checks.append(1),
        )
    assert len(checks) < 8
    with pytest.raises(TooLarge):
        unpacked(PACK[encoding](NOISE + b"x"), encoding)


@pytest.mark.parametrize("encoding", PACK)
def test_what_is_damaged_is_rejected(encoding):
    whole = PACK[encoding](NOISE[:1_000])
    for bad in (b"", b"x", whole[:-1], whole[:100], b"x" + whole, whole + b"x", whole + whole):
        with pytest.raises(InputError):
            unpacked(bad, encoding)


def test_the_ratio_is_what_deflate_can_reach():
    assert 1_000 < 10**7 / len(zlib.compress(bytes(10**7), 9)) <= MAX_RATIO


def test_only_these_encodings_are_read():
    assert [encoding_of(each) for each in ("", "identity", "GZIP", " deflate ")] == [
        *("", "", "gzip", "deflate")
    ]
    for other in ("br", "gzip, gzip", "compress", "x"):
        with pytest.raises(UnsupportedMedia, match="gzip and deflate"):
            encoding_of(other)
