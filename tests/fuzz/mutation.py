"""Makes inputs out of valid ones, each decided by the name of its target, a seed and a number."""

import json
import random

INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
TOKENS = (
    b"NaN", b"-Infinity", b"1e999", b"-1", b"0", b"9" * 400, b"1e-400", b"18446744073709551616",
    b"null", b"true", b'""', b"[]", b"{}", b'"\\ud800"', b"[" * 50, b'"type"', b"\xff\xfe", b"\x00",
    b"\xf0\x9f\x8e\xb5", b"OggS", b"RIFF", b"data", b"fmt ", b"fLaC", b"ID3", b"IDAT",
    b"Exif\0\0", b"\xff\xda", b"location",
)  # fmt: skip
VALUES = (
    None, True, 0, -1, 1, 0.5, -0.0, 1e300, -1e300, float("nan"), float("inf"), 2**31, 2**53, 2**63,
    10**400, "", "0", "ü", "\ud800", "\x00", "x" * 300, "9" * 5_000, [], [[]], [0], {}, {"": 0},
    {"type": "end"}, ["a", "a"], [None], "NaN", "2026-05-31T06:30:00Z", "9999-12-31T23:59:59-23:59",
)  # fmt: skip
MOST = 2**16
"""Bytes that an input may grow to."""


def made(target, seed, number, seeds):
    """Input `number` of a target: one of its seeds, after none to eight mutations."""
    rng = random.Random(f"{target}/{seed}/{number}")
    count = rng.choice((0, 1, 1, 1, 2, 2, 3, 5, 8))
    return mutated(rng, rng.choice(seeds), seeds, count)[:MOST]


def mutated(rng, data, seeds, count):
    """Bytes after so many mutations; seeds: to take parts from."""
    changed = bytearray(data)
    for _ in range(count):
        rng.choice(MUTATIONS)(rng, changed, seeds)
    return bytes(changed)


def _place(rng, data):
    # Headers lie at the beginning, so half of all changes do as well.
    return rng.randrange(min(len(data), 64) if rng.random() < 0.5 else len(data)) if data else 0


def _flip(rng, data, _):
    if data:
        data[_place(rng, data)] ^= 1 << rng.randrange(8)


def _set(rng, data, _):
    if data:
        data[_place(rng, data)] = rng.randrange(256)


def _number(rng, data, _):
    size = rng.choice((1, 2, 4, 8))
    value = (rng.choice(INTERESTING) + rng.randint(-1, 1)) % 2 ** (8 * size)
    at = _place(rng, data)
    data[at : at + size] = value.to_bytes(size, rng.choice(("little", "big")))


def _token(rng, data, _):
    at = _place(rng, data)
    data[at : at + rng.choice((0, 1, 4, 8))] = rng.choice(TOKENS)


def _cut(rng, data, _):
    del data[_place(rng, data) :]


def _remove(rng, data, _):
    at = _place(rng, data)
    del data[at : at + rng.randint(1, 64)]


def _repeat(rng, data, _):
    at = _place(rng, data)
    part = data[at : at + rng.randint(1, 64)]
    data[at:at] = part * rng.choice((1, 2, 50))


def _splice(rng, data, seeds):
    other, at = rng.choice(seeds), _place(rng, data)
    begin = rng.randrange(len(other) + 1)
    data[at : at + rng.choice((0, 64))] = other[begin : begin + rng.randint(1, 256)]


def _value(rng, data, _):
    """Replace, remove or add a value of a JSON object, so that it stays JSON."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    inside = document
    while isinstance(inside, dict | list) and inside:
        keys = list(inside) if isinstance(inside, dict) else range(len(inside))
        key = rng.choice(keys)
        if rng.random() < 0.5 and isinstance(inside[key], dict | list):
            inside = inside[key]
            continue
        if rng.random() < 0.2 and isinstance(inside, dict):
            del inside[key]
        else:
            inside[key if rng.random() < 0.9 or isinstance(inside, list) else "new"] = rng.choice(
                VALUES
            )
        break
    data[:] = json.dumps(document).encode()


MUTATIONS = (
    _flip,
    _flip,
    _set,
    _number,
    _number,
    _token,
    _cut,
    _remove,
    _repeat,
    _splice,
    _value,
    _value,
)
