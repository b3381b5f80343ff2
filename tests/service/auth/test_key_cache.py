"""The cache of keys: lookup, revocation, one read for many requests, a lost key store."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from common.errors import Busy
from service.auth import key_cache
from service.auth.key_cache import KeyCache
from service.auth.key_store import FileKeyStore
from service.auth.keys import now
from tests.service.helpers.keys import new_key


@pytest.fixture
def store(tmp_path):
    return FileKeyStore(tmp_path / "keys.json")


@pytest.fixture
def age(monkeypatch):
    """Make what is cached so old that it is read again; the time limit of reading is as long."""
    passed = [0.0]
    clock = SimpleNamespace(monotonic=lambda: 1_000.0 + passed[0])
    monkeypatch.setattr(key_cache, "REFRESH_S", 60.0)
    monkeypatch.setattr(key_cache, "time", clock)
    return lambda: passed.append(passed.pop() + 60.0)


async def test_it_finds_valid_keys_and_notices_revocation(store, age):
    key, text = new_key()
    await store.put(key)
    cache = KeyCache(store)
    assert await cache.find(text) == key
    assert await cache.is_valid(key)
    assert await cache.find(text[:-1]) is None
    assert await cache.find("Bearer") is None
    await store.put(replace(key, revoked=now()))
    assert await cache.is_valid(key)
    age()
    assert await cache.find(text) is None
    assert not await cache.is_valid(key)


async def test_a_hundred_requests_at_once_read_the_keys_once(tmp_path):
    key, text = new_key()
    store = FileKeyStore(tmp_path / "keys.json")
    await store.put(key)
    read, reads = store.all, []

    async def slowly():
        reads.append(1)
        await asyncio.sleep(0.01)
        return await read()

    store.all = slowly
    cache = KeyCache(store)
    assert await asyncio.gather(*(cache.find(text) for _ in range(100))) == [key] * 100
    assert len(reads) == 1


async def test_keys_that_can_no_longer_be_read_stay_valid_and_never_read_is_busy(
    tmp_path, age, capsys
):
    path = tmp_path / "keys.json"
    cache = KeyCache(FileKeyStore(path))
    with pytest.raises(Busy):
        await cache.find("x")
    key, text = new_key()
    await FileKeyStore(path).put(key)
    age()
    assert await cache.find(text) == key
    path.write_text("{")
    age()
    assert await cache.find(text) == key
    age()
    assert await cache.find(text) == key
    path.unlink()
    await FileKeyStore(path).put(key)
    age()
    assert await cache.find(text) == key
    log = capsys.readouterr().err
    assert (log.count("keys cannot be read"), log.count("keys can be read again")) == (2, 2)
