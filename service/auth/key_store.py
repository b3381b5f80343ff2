"""API keys in a JSON file or in Redis."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from common.atomic import file_signature, write_atomic
from common.errors import Busy, Unprocessable
from common.mapping import parse_json, read_json
from common.strict_json import to_json
from service.auth.keys import Key
from service.queue.redis_keys import API_KEYS
from service.queue.redis_values import read_items, text_of


class KeyStore(Protocol):
    """Reads and writes keys."""

    async def all(self) -> dict[str, Key]:
        """Return every key by its id. Raises TimbreError when they cannot be read."""

    async def put(self, key: Key) -> None:
        """Add a key, or replace the one with its id. Raises TimbreError."""

    async def close(self) -> None:
        """Close connections."""


def open_key_store(keys: str, *, redis: str) -> KeyStore:
    """Return the store of the setting `keys`; nothing is read yet. Raises Unprocessable."""
    if keys != "redis":
        return FileKeyStore(Path(keys))
    if not redis:
        raise Unprocessable("keys=redis needs a Redis address")
    return RedisKeyStore(redis)


class FileKeyStore:
    """Keys in a JSON file that only its owner may read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._signature: tuple[int, ...] = ()
        self._keys: dict[str, Key] = {}

    async def all(self) -> dict[str, Key]:
        """Return every key. The file is read again only when it has changed."""
        try:
            signature = file_signature(self._path.stat())
            if signature != self._signature:
                self._keys = _read(self._path.read_bytes())
                self._signature = signature
        except (OSError, Unprocessable) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise Unprocessable(
                f"{self._path}: {reason}; `timbre keys create` makes such a file"
            ) from None
        return self._keys

    async def put(self, key: Key) -> None:
        """Add or replace a key; a reader sees the old file or the new one."""
        try:
            with _locked(self._path.parent):
                kept = await self.all() if self._path.exists() else {}
                write_atomic(self._path, _written(kept | {key.id: key}), mode=0o600, durable=True)
        except OSError as error:
            raise Unprocessable(f"{self._path}: {error.strerror}") from error

    async def close(self) -> None:
        """Nothing is open."""


class RedisKeyStore:
    """Keys in the Redis that gateways share, so that a change reaches all of them."""

    def __init__(self, url: str) -> None:
        # Imported here so that redis-py is not loaded for keys in a file.
        from service.queue import redis_connection

        self._redis = redis_connection.connect(url)
        self._errors = redis_connection.REDIS_ERRORS
        self._where = redis_connection.redacted(url)
        self._close = redis_connection.close

    async def all(self) -> dict[str, Key]:
        """Return every key; invalid ones are logged and count as none."""
        try:
            entries = await self._redis.hgetall(API_KEYS)
        except self._errors as error:
            raise Busy(f"{self._where}: {error}") from error
        return {key.id: key for key in read_items(API_KEYS, entries.items(), _entry)}

    async def put(self, key: Key) -> None:
        """Write one key."""
        try:
            await self._redis.hset(API_KEYS, key.id, to_json(asdict(key)))
        except self._errors as error:
            raise Busy(f"{self._where}: {error}") from error

    async def close(self) -> None:
        """Close the connection to Redis."""
        await self._close(self._redis)


def _entry(item: tuple[bytes, bytes]) -> Key:
    """Return the key of a field and its value in Redis. Raises ValueError, Unprocessable."""
    key = _key(parse_json(item[1], error=Unprocessable))
    if key.id != text_of(item[0]):
        raise Unprocessable(f"the key of field {item[0]!r} has the id {key.id!r}")
    return key


def _read(data: bytes) -> dict[str, Key]:
    """Return the keys of a file. Raises Unprocessable naming what is wrong."""
    document = parse_json(data, error=Unprocessable)
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise Unprocessable("not a key file")
    return {key.id: key for key in map(_key, document["keys"])}


def _key(values: Any) -> Key:
    return read_json(Key, values, where="key", error=Unprocessable)


def _written(keys: dict[str, Key]) -> bytes:
    return to_json({"keys": [asdict(key) for key in keys.values()]}, indent=1).encode() + b"\n"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Exclude other writers: of two keys added at the same time one would be lost."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
