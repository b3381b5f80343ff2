"""Keys: told once, kept hashed, found again; files that are wrong, and what a server knows when they are."""

import asyncio
import json
import stat
from dataclasses import replace

import pytest

from common.errors import Busy, Unprocessable
from service.auth.key_cache import KeyCache
from service.auth.key_store import FileKeyStore, RedisKeyStore, open_key_store
from service.auth.keys import PATTERN, Key, create_key, now


def minted(name="alice", **changes):
    return create_key(name, **{"scopes": ("classify",), "rate": 10.0, "streams": 2, **changes})


@pytest.fixture(params=["file", "redis"])
async def store(request, tmp_path):
    """Both places, which keep the same promises."""
    if request.param == "file":
        found = FileKeyStore(tmp_path / "keys.json")
    else:
        found = RedisKeyStore(request.getfixturevalue("redis_url"))
    yield found
    await found.close()


def test_a_key_is_long_random_and_not_in_what_is_kept():
    key, text = minted()
    form = PATTERN.fullmatch(text)
    assert form[1] == key.id
    assert len(form[2]) == 43  # 32 bytes
    assert form[2] not in json.dumps(vars(key))
    assert minted()[1] != text


def test_a_key_opens_with_its_own_text_only_and_not_once_revoked():
    key, text = minted()
    assert key.opens_with(text)
    assert not key.opens_with(text[:-1] + ("a" if text[-1] != "a" else "b"))
    assert not key.opens_with("")
    assert not key.opens_with("timbre_ü")
    assert not replace(key, revoked=now()).opens_with(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"scopes": ()},
        {"scopes": ("root",)},
        {"rate": 0.0},
        {"rate": float("nan")},
        {"streams": 0},
        {"name": " "},
    ],
    ids=str,
)
def test_keys_that_make_no_sense_are_not_made(changes):
    with pytest.raises(Unprocessable):
        minted(**changes)


async def test_what_is_put_is_found_and_replaced(store):
    first, _ = minted("alice")
    second, _ = minted("bob", scopes=("stream", "admin"), rate=0.5)
    await store.put(first)
    await store.put(second)
    assert await store.all() == {first.id: first, second.id: second}
    ended = replace(first, revoked=now())
    await store.put(ended)
    assert await store.all() == {first.id: ended, second.id: second}


async def test_a_ring_finds_good_keys_and_hears_of_revocation(store, monkeypatch):
    monkeypatch.setattr("service.auth.key_cache.REFRESH_S", 0.05)
    key, text = minted()
    await store.put(key)
    ring = KeyCache(store)
    assert await ring.find(text) == key
    assert await ring.good(key)
    assert await ring.find(text[:-1]) is None
    assert await ring.find("Bearer") is None
    await store.put(replace(key, revoked=now()))
    await asyncio.sleep(0.06)
    assert await ring.find(text) is None
    assert not await ring.good(key)


async def test_a_hundred_requests_at_once_read_the_keys_once(tmp_path):
    key, text = minted()
    store = FileKeyStore(tmp_path / "keys.json")
    await store.put(key)
    read, reads = store.all, []

    async def slowly():
        reads.append(1)
        await asyncio.sleep(0.01)
        return await read()

    store.all = slowly
    ring = KeyCache(store)
    assert await asyncio.gather(*(ring.find(text) for _ in range(100))) == [key] * 100
    assert len(reads) == 1


async def test_two_who_add_keys_at_one_time_lose_none(tmp_path):
    keys = [minted(f"user {n}")[0] for n in range(16)]

    def add(key):
        asyncio.run(FileKeyStore(tmp_path / "keys.json").put(key))

    await asyncio.gather(*(asyncio.to_thread(add, key) for key in keys))
    assert set(await FileKeyStore(tmp_path / "keys.json").all()) == {key.id for key in keys}
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


async def test_the_file_is_for_its_owner_only(tmp_path):
    store = FileKeyStore(tmp_path / "keys.json")
    await store.put(minted()[0])
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600


def document(**changes):
    key = {**vars(minted()[0]), **changes}
    return json.dumps({"keys": [{name: value for name, value in key.items() if value is not ...}]})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "keys.json"),
        ("[]", "not a key file"),
        ('{"keys": [1]}', "must be an object"),
        (document(colour="red"), "colour"),
        (document(digest=...), "digest"),
        (document(rate="10"), "rate"),
        (document(rate=True), "rate"),
        (document(streams=1.5), "streams"),
        (document(scopes="classify"), "scopes"),
        (document(scopes=[["classify"]]), "scopes"),
        (None, "No such file"),
    ],
)
async def test_a_file_that_is_wrong_is_refused_by_name(tmp_path, text, named):
    path = tmp_path / "keys.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(Unprocessable, match=named) as caught:
        await FileKeyStore(path).all()
    assert str(path) in str(caught.value)


async def test_keys_that_can_no_longer_be_read_go_on_and_never_read_are_busy(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("service.auth.key_cache.REFRESH_S", 0.02)
    path = tmp_path / "keys.json"
    ring = KeyCache(FileKeyStore(path))
    with pytest.raises(Busy):
        await ring.find("x")
    key, text = minted()
    await FileKeyStore(path).put(key)
    await asyncio.sleep(0.03)
    assert await ring.find(text) == key
    path.write_text("{")
    await asyncio.sleep(0.03)
    assert await ring.find(text) == key
    assert "keys cannot be read" in capsys.readouterr().err


async def test_redis_that_is_not_there_is_busy_without_its_password(tmp_path):
    store = RedisKeyStore(f"unix://user:hidden@{tmp_path}/none.sock")
    for attempt in (store.all(), store.put(minted()[0])):
        with pytest.raises(Busy) as caught:
            await attempt
        assert "hidden" not in str(caught.value)
    await store.close()


def test_keys_in_redis_need_a_redis(tmp_path):
    with pytest.raises(Unprocessable, match="Redis"):
        open_key_store("redis", redis="")
    assert isinstance(open_key_store(str(tmp_path / "redis"), redis=""), FileKeyStore)


def test_a_key_read_back_is_the_key_that_was_written():
    key, _ = minted(scopes=("stream", "admin"), rate=3)
    assert Key(**vars(key)) == key
