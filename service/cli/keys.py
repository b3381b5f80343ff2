"""`timbre keys`: creates, lists and revokes API keys."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from common.errors import Busy, NotFound, TimbreError, Unprocessable
from common.terminal import say

if TYPE_CHECKING:
    from service.auth.key_store import KeyStore

DEFAULT_FILE = "timbre-keys.json"
OK, UNKNOWN, USAGE, UNREACHABLE = 0, 1, 2, 3


def main(argv: list[str]) -> int:
    """Run `timbre keys`; return 0, 1 for an unknown key, 2 for invalid arguments, 3 for Redis."""
    asked = _parser().parse_args(argv)
    from service.auth.key_store import open_key_store
    from service.settings import redis_address

    try:
        in_redis = asked.redis or asked.keys == "redis"
        store = (
            open_key_store("redis", redis=redis_address(asked.redis))
            if in_redis
            else open_key_store(asked.keys, redis="")
        )
        asyncio.run(_run(asked, store))
    except TimbreError as error:
        say(f"timbre keys: {error}", error=True)
        return {NotFound: UNKNOWN, Busy: UNREACHABLE}.get(type(error), USAGE)
    return OK


async def _run(asked: argparse.Namespace, store: KeyStore) -> None:
    try:
        await {"create": _create, "list": _list, "revoke": _revoke}[asked.what](asked, store)
    finally:
        await store.close()


async def _create(asked: argparse.Namespace, store: KeyStore) -> None:
    """Add a key. Only its text goes to stdout, for scripts."""
    from service.auth.keys import create_key

    scopes = tuple(dict.fromkeys(asked.scope or ("classify", "stream")))
    key, text = create_key(asked.name, scopes=scopes, rate=asked.rate, streams=asked.streams)
    await store.put(key)
    say(
        f"key {key.id} for {key.name}: {', '.join(scopes)}. This is the only time it is shown:",
        error=True,
    )
    print(text)


async def _list(_: argparse.Namespace, store: KeyStore) -> None:
    for key in (await store.all()).values():
        state = (
            f"revoked {key.revoked}"
            if key.revoked
            else f"{key.rate:g} requests/s, {key.streams} streams"
        )
        say(f"{key.id}  {key.created}  {','.join(key.scopes):22}  {key.name}: {state}")


async def _revoke(asked: argparse.Namespace, store: KeyStore) -> None:
    from service.auth.keys import now

    known = await store.all()
    if asked.id not in known:
        raise NotFound(f"no key {asked.id!r}; see `timbre keys list`")
    if known[asked.id].revoked:
        raise Unprocessable(f"{asked.id} was revoked {known[asked.id].revoked}")
    await store.put(replace(known[asked.id], revoked=now()))
    say(f"{asked.id} is revoked; servers apply it within a second", error=True)


def _parser() -> argparse.ArgumentParser:
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument(
        "--keys",
        default=DEFAULT_FILE,
        metavar="FILE",
        help="key file (%(default)s), or `redis`",
    )
    place.add_argument(
        "--redis",
        metavar="URL",
        help="keep them in this Redis; without it, `redis` is TIMBRE_REDIS",
    )
    parser = argparse.ArgumentParser(prog="timbre keys", description=__doc__)
    what = parser.add_subparsers(dest="what", required=True)
    create = what.add_parser("create", parents=[place], help="create a key, and show it once")
    create.add_argument("name", metavar="NAME", help="name of its owner")
    create.add_argument(
        "--scope",
        action="append",
        help="classify, stream or admin; repeatable (classify and stream)",
    )
    create.add_argument(
        "--rate", type=float, default=100.0, metavar="N", help="requests per second (%(default)g)"
    )
    create.add_argument(
        "--streams", type=int, default=100, metavar="N", help="streams at one time (%(default)s)"
    )
    what.add_parser("list", parents=[place], help="show all keys, without their secrets")
    what.add_parser("revoke", parents=[place], help="revoke a key").add_argument("id", metavar="ID")
    return parser
