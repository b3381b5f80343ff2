"""API keys as a server knows them: cached, refreshed every second."""

from __future__ import annotations

import asyncio
import time

from common.errors import Busy, TimbreError
from service.auth.key_store import KeyStore
from service.auth.keys import PATTERN, Key
from service.log import FailureLog

REFRESH_S = 1.0
"""Age at which the cache is refreshed."""


class KeyCache:
    """Keys at most a second old; while the store cannot be read, those that were read last."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._keys: dict[str, Key] | None = None
        self._due = 0.0
        self._failure = FailureLog("keys cannot be read", "keys can be read again")
        self._lock = asyncio.Lock()

    async def is_valid(self, key: Key) -> bool:
        """Return whether a key that was found before has not been revoked or replaced since."""
        await self._refresh()
        cached = (self._keys or {}).get(key.id)
        return cached is not None and not cached.revoked and cached.digest == key.digest

    async def find(self, text: str) -> Key | None:
        """Return the valid key of a text. Raises Busy while the keys have never been read."""
        await self._refresh()
        if self._keys is None:
            raise Busy("the keys cannot be read now")
        form = PATTERN.fullmatch(text)
        key = self._keys.get(form[1]) if form else None
        return key if key and key.matches(text) else None

    async def _refresh(self) -> None:
        # While one request reads the store, the others use the cached keys.
        if self._keys is None or not self._lock.locked():
            async with self._lock:
                await self._read()

    async def _read(self) -> None:
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + REFRESH_S
        try:
            async with asyncio.timeout(REFRESH_S):
                self._keys = await self._store.all()
        except (TimbreError, TimeoutError) as error:
            self._failure.failed(str(error) or "timeout")
        else:
            self._failure.worked()

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()
