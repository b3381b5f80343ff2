"""Redis is used as Timbre uses it: a real server, with eviction, without rights, and away."""

import pytest

from service.doctor import redis_server as checks
from tests.service.helpers.redis_server import start_redis


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = start_redis(tmp_path_factory)
    yield server
    server.end()


@pytest.fixture
async def state_of(server):
    """The findings of a server, by what was checked."""

    async def ask(url=server.url):
        return {finding.check: finding for finding in await checks.check_redis(url)}

    yield ask
    server.client.config_set("maxmemory-policy", "noeviction")
    server.client.config_set("maxmemory", 0)


async def test_a_plain_redis_is_good_and_nothing_is_left_in_it(server, state_of):
    found = await state_of()
    # The round trips of a machine with other work may be slow.
    assert {finding.state for name, finding in found.items() if "round trip" not in name} == {
        "good"
    }
    assert list(found) == [
        "Redis round trip", "clock of Redis", "Redis rights",
        "Redis version", "Redis eviction", "Redis persistence",
    ]  # fmt: skip
    assert server.client.keys() == []


@pytest.mark.parametrize(
    ("limit", "policy", "state"),
    [
        (2**30, "allkeys-lru", "bad"),
        (0, "allkeys-lru", "attention"),
        (2**30, "volatile-ttl", "attention"),
        (2**30, "noeviction", "good"),
    ],
)
async def test_a_redis_that_may_evict_jobs_is_found(server, state_of, limit, policy, state):
    server.client.config_set("maxmemory", limit)
    server.client.config_set("maxmemory-policy", policy)
    finding = (await state_of())["Redis eviction"]
    assert finding.state == state
    assert policy in finding.found


async def test_a_user_without_rights_sees_the_commands_that_are_missing(server, state_of):
    server.client.acl_setuser(
        "poor", enabled=True, passwords=["+x"], keys=["{timbre}:*"],
        categories=["+@all"], commands=["-xadd", "-eval", "-info"],
    )  # fmt: skip
    found = await state_of(server.url.replace("unix://", "unix://poor:x@"))
    rights = found["Redis rights"]
    assert rights.state == "bad"
    assert "XADD (" in rights.found
    assert "EVAL (" in rights.found
    assert "HSET (" not in rights.found
    assert found["Redis settings"].state == "attention"


async def test_a_user_with_the_keys_of_timbre_and_no_dangerous_command_has_all_rights(
    server, state_of
):
    server.client.acl_setuser(
        "timbre", enabled=True, passwords=["+x"], keys=["{timbre}:*"],
        categories=["+@all", "-@dangerous"],
    )  # fmt: skip
    found = await state_of(server.url.replace("unix://", "unix://timbre:x@"))
    assert found["Redis rights"].state == "good"


@pytest.mark.parametrize(
    "url", ["http://x", "unix:///no/such/redis.sock", "redis://u:secret@127.0.0.1:1"]
)
async def test_a_redis_that_cannot_be_reached_is_bad_and_no_password_is_shown(state_of, url):
    [finding] = (await state_of(url)).values()
    assert finding.state == "bad"
    assert "secret" not in finding.found


@pytest.mark.parametrize(
    ("version", "state"), [("6.1.9", "bad"), ("6.2.0", "good"), ("10.0.1", "good")]
)
def test_redis_must_be_6_2_or_later(version, state):
    assert checks.check_version({"redis_version": version}).state == state


@pytest.mark.parametrize(
    ("ms", "state"), [(4.9, "good"), (5, "attention"), (99, "attention"), (100, "bad")]
)
def test_the_median_round_trip_is_judged(ms, state):
    assert checks.check_round_trip([ms, ms, 1_000]).state == state


def test_a_redis_that_cannot_write_to_its_disk_is_bad():
    finding = checks.check_persistence({"rdb_last_bgsave_status": "err", "aof_enabled": 1})
    assert finding.state == "bad"
    assert "rdb_last_bgsave_status" in finding.found
