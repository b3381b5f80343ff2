"""The keys as a server knows them, at most a second old."""

from __future__ import annotations

import asyncio
import time

from common.errors import Busy, TimbreError
from service.auth.key_store import KeyStore
from service.auth.keys import PATTERN, Key
from service.log import log

REFRESH_S = 1.0
"""How old a server's knowledge of its keys may be."""


class KeyCache:
    """The keys as a server knows them: at most a second old; if they cannot be read, as they last were."""

    def __init__(self, store: KeyStore) -> None:
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
