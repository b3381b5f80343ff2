"""Keys in a file and in Redis: written, replaced, and rejected by name when they are invalid."""

import asyncio
import json
import stat
from dataclasses import replace

import pytest

from common.errors import Busy, Unprocessable
from service.auth.key_store import FileKeyStore, RedisKeyStore, open_key_store
from service.auth.keys import now
from tests.service.helpers.keys import new_key


@pytest.fixture(params=["file", "redis"])
async def store(request, tmp_path):
    """Both stores, which have the same contract."""
    if request.param == "file":
        found = FileKeyStore(tmp_path / "keys.json")
    else:
        found = RedisKeyStore(request.getfixturevalue("redis_url"))
    yield found
    await found.close()


async def test_a_stored_key_is_found_and_replaced(store):
    first, _ = new_key("alice")
    second, _ = new_key("bob", scopes=("stream", "admin"), rate=0.5)
    await store.put(first)
    await store.put(second)
    assert await store.all() == {first.id: first, second.id: second}
    ended = replace(first, revoked=now())
    await store.put(ended)
    assert await store.all() == {first.id: ended, second.id: second}


async def test_keys_added_at_the_same_time_are_all_kept(tmp_path):
    keys = [new_key(f"user {n}")[0] for n in range(16)]

    def add(key):
        asyncio.run(FileKeyStore(tmp_path / "keys.json").put(key))

    await asyncio.gather(*(asyncio.to_thread(add, key) for key in keys))
    assert set(await FileKeyStore(tmp_path / "keys.json").all()) == {key.id for key in keys}
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


async def test_the_file_is_for_its_owner_only(tmp_path):
    store = FileKeyStore(tmp_path / "keys.json")
    await store.put(new_key()[0])
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600


def document(**changes):
    key = {**vars(new_key()[0]), **changes}
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
async def test_an_invalid_file_is_rejected_by_name(tmp_path, text, named):
    path = tmp_path / "keys.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(Unprocessable, match=named) as caught:
        await FileKeyStore(path).all()
    assert str(path) in str(caught.value)


async def test_an_unreachable_redis_is_busy_and_shows_no_password(tmp_path):
    store = RedisKeyStore(f"unix://user:hidden@{tmp_path}/none.sock")
    for attempt in (store.all(), store.put(new_key()[0])):
        with pytest.raises(Busy) as caught:
            await attempt
        assert "hidden" not in str(caught.value)
    await store.close()


def test_keys_in_redis_need_a_redis(tmp_path):
    with pytest.raises(Unprocessable, match="Redis"):
        open_key_store("redis", redis="")
    assert isinstance(open_key_store(str(tmp_path / "redis"), redis=""), FileKeyStore)
