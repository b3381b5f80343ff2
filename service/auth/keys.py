"""API keys: what one may do, how it is kept (hashed, in a file or in Redis), and how a server looks it up."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, get_args

from features.errors import Busy, TimbreError, TooMany, Unprocessable
from service.log import log

Scope: TypeAlias = Literal["classify", "stream", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
PATTERN = re.compile(r"timbre_([0-9a-f]{12})_([\w-]{43})", re.ASCII)
REFRESH_S = 1.0
"""How old a server's knowledge of its keys may be."""
IN_REDIS = "{timbre}:keys"
TYPES: dict[str, tuple[type, ...]] = {
    "float": (int, float),
    "int": (int,),
    "str": (str,),
    "tuple[str, ...]": (list,),
}


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key, without its secret."""

    id: str
    name: str
    """For people: whose it is."""
    scopes: tuple[str, ...]
    digest: str
    """SHA-256 of the whole key, hex. The secret is random and long, so that nothing slower is
    needed."""
    rate: float
    """Requests per second, and as many at once."""
    streams: int
    """Streams open at one time."""
    created: str
    """ISO 8601, UTC."""
    revoked: str = ""
    """When it ended; empty while it is good."""

    def __post_init__(self) -> None:
        """Raises Unprocessable on what makes no sense."""
        unknown = [scope for scope in self.scopes if scope not in SCOPES]
        if unknown or not self.scopes:
            raise Unprocessable(
                f"scopes of key {self.id!r} are {unknown or 'none'}; known: {', '.join(SCOPES)}"
            )
        # Written so that NaN fails it too.
        if not 0 < self.rate < float("inf") or self.streams < 1:
            raise Unprocessable(
                f"rate={self.rate} and streams={self.streams} of key {self.id!r} must be more than 0"
            )

    def opens_with(self, text: str) -> bool:
        """Return whether a text is this key, and it is still good."""
        return hmac.compare_digest(_digest(text), self.digest) and not self.revoked


def too_often(key: Key, wait_s: int) -> TooMany:
    """Return the error that tells of a key's rate, and in how many seconds there will be room."""
    return TooMany(f"more than {key.rate:g} requests per second with this key", retry_after=wait_s)


def too_many(streams: int) -> TooMany:
    """Return the error that tells how many streams are open with a key."""
    return TooMany(f"{streams} streams are open with this key, as many as it may have")


class Store(Protocol):
    """A place where keys are kept."""

    async def all(self) -> dict[str, Key]:
        """Return every key by its id. Raises TimbreError when they cannot be read."""

    async def put(self, key: Key) -> None:
        """Add a key, or put it in the place of the one with its id. Raises TimbreError."""

    async def close(self) -> None:
        """Let go of connections."""


def mint(name: str, *, scopes: tuple[str, ...], rate: float, streams: int) -> tuple[Key, str]:
    """Return a new key, and the text that is it: told once, kept nowhere. Raises Unprocessable."""
    if not name.strip() or not name.isprintable():
        raise Unprocessable(f"{name!r} is no name for a key")
    ident = secrets.token_hex(6)
    text = f"timbre_{ident}_{secrets.token_urlsafe(32)}"
    key = Key(
        id=ident,
        name=name,
        scopes=scopes,
        digest=_digest(text),
        rate=rate,
        streams=streams,
        created=now(),
    )
    return key, text


def now() -> str:
    """Return this second, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def open_store(keys: str, *, redis: str) -> Store:
    """Return the place that the setting `keys` names. Raises Unprocessable; nothing is read yet."""
    if keys != "redis":
        return FileStore(Path(keys))
    if not redis:
        raise Unprocessable("keys=redis needs the address of Redis")
    return RedisStore(redis)


class FileStore:
    """Keys in a JSON file that only its owner may read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] = ()
        self._keys: dict[str, Key] = {}

    async def all(self) -> dict[str, Key]:
        """Return every key. The file is read again only when it has changed."""
        try:
            state = self._path.stat()
            seen = (state.st_ino, state.st_size, state.st_mtime_ns)
            if seen != self._seen:
                self._keys = _read(self._path.read_bytes())
                self._seen = seen
        except (OSError, ValueError, Unprocessable) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise Unprocessable(
                f"{self._path}: {reason}; `timbre keys create` makes such a file"
            ) from None
        return self._keys

    async def put(self, key: Key) -> None:
        """Replace the file whole, so that no reader ever sees half of it."""
        try:
            with _locked(self._path.parent):
                kept = await self.all() if self._path.exists() else {}
                _replace(self._path, _written(kept | {key.id: key}))
        except OSError as error:
            raise Unprocessable(f"{self._path}: {error.strerror}") from error

    async def close(self) -> None:
        """Nothing is held."""


class RedisStore:
    """Keys in the Redis that gateways share, so that all of them know at once."""

    def __init__(self, url: str) -> None:
        # Imported here so that keys in a file do without it.
        from service.queue import redis_connection

        self._redis = redis_connection.connect(url)
        self._trouble = redis_connection.TROUBLE
        self._where = redis_connection.shown(url)
        self._part = redis_connection.part

    async def all(self) -> dict[str, Key]:
        """Return every key."""
        try:
            found = await self._redis.hgetall(IN_REDIS)
            return {ident.decode(): _key(json.loads(text)) for ident, text in found.items()}
        except self._trouble as error:
            raise Busy(f"{self._where}: {error}") from error
        except ValueError as error:
            raise Unprocessable(
                f"{self._where}: {IN_REDIS} holds what is no key: {error}"
            ) from error

    async def put(self, key: Key) -> None:
        """Write one key."""
        try:
            await self._redis.hset(IN_REDIS, key.id, json.dumps(asdict(key)))
        except self._trouble as error:
            raise Busy(f"{self._where}: {error}") from error

    async def close(self) -> None:
        """Part from Redis."""
        await self._part(self._redis)


class Ring:
    """The keys as a server knows them: at most a second old; if they cannot be read, as they last were."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys: dict[str, Key] | None = None
        self._due = 0.0
        self._lock = asyncio.Lock()

    async def good(self, key: Key) -> bool:
        """Return whether a key that was found before has not been revoked since."""
        await self._renew()
        kept = (self._keys or {}).get(key.id)
        return kept is not None and not kept.revoked and kept.digest == key.digest

    async def find(self, text: str) -> Key | None:
        """Return the key that a text is, if it is good. Raises Busy while the keys were never read."""
        await self._renew()
        if self._keys is None:
            raise Busy("the keys cannot be read now")
        form = PATTERN.fullmatch(text)
        key = self._keys.get(form[1]) if form else None
        return key if key and key.opens_with(text) else None

    async def _renew(self) -> None:
        # While one request reads them anew, the others go by what is known.
        if self._keys is None or not self._lock.locked():
            async with self._lock:
                await self._refresh()

    async def _refresh(self) -> None:
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + REFRESH_S
        try:
            async with asyncio.timeout(REFRESH_S):
                self._keys = await self._store.all()
        except (TimbreError, TimeoutError) as error:
            log("keys cannot be read", why=error or "timeout")

    async def close(self) -> None:
        """Let go of the store."""
        await self._store.close()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(data: bytes) -> dict[str, Key]:
    """Return the keys of a file. Raises ValueError or Unprocessable."""
    document = json.loads(data)
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise Unprocessable("no file of keys")
    return {key.id: key for key in map(_key, document["keys"])}


def _key(values: Any) -> Key:
    """Return a key as read from JSON. Raises Unprocessable naming what is wrong."""
    known = {field.name: str(field.type) for field in fields(Key)}
    wrong = values.keys() ^ known.keys() if isinstance(values, dict) else known
    if wrong:
        raise Unprocessable(
            f"a key has exactly the fields {', '.join(known)}: look at {', '.join(wrong)}"
        )
    for name, value in values.items():
        if not isinstance(value, TYPES[known[name]]) or isinstance(value, bool):
            raise Unprocessable(f"{name} of a key is not of type {known[name]}")
    return Key(**{**values, "scopes": tuple(values["scopes"])})


def _written(keys: dict[str, Key]) -> bytes:
    return json.dumps({"keys": [asdict(key) for key in keys.values()]}, indent=1).encode() + b"\n"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other writers out: two who add a key at one time would lose one of them."""
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


def _replace(path: Path, data: bytes) -> None:
    """Put a file in the place of another in one step, readable for its owner only."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
