"""Reads what lies in Redis item by item: what does not fit is skipped, counted and logged."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from common.errors import TimbreError
from service.log import log
from service.queue.redis_keys import TYPES

Item = TypeVar("Item")
Value = TypeVar("Value")

LOG_EVERY_S = 60.0
"""How often invalid items of one key are logged."""
MAX_ITEMS = 10_000
"""Members read of a set that should have a few."""
MAX_NAME = 255
LATEST_S = 253_402_300_799
"""Of a time: the end of the year 9999."""
REMOVE_WRONG_TYPES = """
local removed, now = {}, tonumber(redis.call('TIME')[1])
for i, key in ipairs(KEYS) do
    local kind, last = redis.call('TYPE', key).ok, 0
    if kind == 'stream' and ARGV[i] == 'stream' then
        for _, group in ipairs(redis.call('XINFO', 'GROUPS', key)) do
            last = math.max(last, tonumber(string.match(group[8], '^%d+')) / 1000)
        end
    end
    if kind ~= 'none' and kind ~= ARGV[i] or last > now + 86400 then
        redis.call('UNLINK', key)
        removed[#removed + 1] = key
    end
end
return removed
"""
"""Deletes keys of a wrong type, and streams whose ids are days ahead: they take no more entries.

Returns the deleted keys.
"""
invalid: Counter[str] = Counter()
"""Invalid items found since the start, by key."""
_logged_at: dict[str, float] = {}


def read_items(key: str, items: Iterable[Item], parse: Callable[[Item], Value]) -> list[Value]:
    """Return what `parse` makes of each item of a key, without those that it raises for.

    parse: raises ValueError or a TimbreError.
    """
    values = []
    for item in items:
        try:
            values.append(parse(item))
        except (ValueError, TimbreError) as error:
            report_invalid(key, why=str(error))
    return values


def report_invalid(key: str, *, why: str) -> None:
    """Count an invalid item of a key, or of a kind of keys; log one every `LOG_EVERY_S`."""
    invalid[key] += 1
    now = time.monotonic()
    if now - _logged_at.get(key, -math.inf) >= LOG_EVERY_S:
        _logged_at[key] = now
        log("invalid data in Redis skipped", key=key, count=invalid[key], why=why[:200])


def text_of(raw: bytes, *, limit: int = MAX_NAME) -> str:
    """Return a short printable text. Raises ValueError."""
    if len(raw) > limit:
        raise ValueError(f"{len(raw)} bytes, at most {limit} are expected")
    text = raw.decode()
    if not text.isprintable() or not text:
        raise ValueError(f"{text!r} is not a printable name")
    return text


def seconds_of(value: float) -> float:
    """Return a time in seconds since 1970. Raises ValueError on one that no clock shows."""
    if not 0 <= value <= LATEST_S:  # NaN fails it too
        raise ValueError(f"{value:g} is not a time")
    return value


def entry_seconds(entry: bytes) -> float:
    """Return the time in the id of a stream's entry. Raises ValueError."""
    return seconds_of(int(entry.split(b"-")[0]) / 1e3)


def remove_wrong_types(redis: Any, keys: Iterable[str]) -> Any:
    """Send `REMOVE_WRONG_TYPES`, or add it to a pipeline; returns the deleted keys."""
    names = list(keys)
    return redis.eval(REMOVE_WRONG_TYPES, len(names), *names, *map(_type_of, names))


def report_removed(removed: Iterable[bytes]) -> list[str]:
    """Log the keys that `remove_wrong_types` deleted; return them."""
    keys = [key.decode() for key in removed]
    for key in keys:
        why = f"{key} was no {_type_of(key)} that can be used, and is deleted"
        report_invalid(_prefix(key), why=why)
    return keys


def _type_of(key: str) -> str:
    return TYPES[_prefix(key)]


def _prefix(key: str) -> str:
    return next(prefix for prefix in TYPES if key.startswith(prefix))
