"""`make cluster`: three gateways, three workers, Redis with a replica, and what breaks in a row.

    unshare --net .venv/bin/python -m benchmarks.cluster [--streams 20] [--seconds 15] [--keep DIR]
        [--json benchmarks/results/cluster.json]

Prints a table; exits with 1 when a window is not accounted for.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.cluster.deployment import REDIS, Cluster
from benchmarks.cluster.load import Load, Totals
from benchmarks.cluster.network import check_namespace, open_lan
from benchmarks.reporting import results, tables
from service.auth.key_store import RedisKeyStore
from service.auth.keys import create_key
from service.queue.redis_connection import close, connect

NEW_VERSION = "1000"
COUNTED = (
    *("total_commands_processed", "total_net_input_bytes", "total_net_output_bytes"),
    *("used_cpu_user", "used_cpu_sys"),
)
MEMORY = "used_memory"
HEADS = {
    "seconds": "s",
    "longest_wait_s": "longest wait for a result, s",
    "commands_s": "commands a second",
    "in_mb_s": "MB a second in",
    "out_mb_s": "MB a second out",
    "core_percent": "% of a core",
}
Step = Callable[[], None]
Row = dict[str, Any]


@dataclass
class Phase:
    """Something that happens, and what undoes it."""

    name: str
    begin: Step = lambda: None
    end: Step = lambda: None


def phases(cluster: Cluster) -> list[Phase]:
    """Return what happens, in order."""
    gateways, workers, stores = cluster.gateways, cluster.workers, cluster.stores

    def put_everywhere() -> None:
        for machine in (*workers, *gateways):
            cluster.put_version(machine, NEW_VERSION)

    slow = gateways[1]
    return [
        Phase("nothing"),
        Phase("a gateway's machine is cut off", gateways[0].cut, gateways[0].mend),
        Phase("a worker's machine is cut off", workers[0].cut, workers[0].mend),
        Phase(
            "a gateway's packets take 40 ms each way, 2 % are lost",
            lambda: slow.impair(delay_ms=40, loss=0.02),
            lambda: slow.impair(delay_ms=0, loss=0),
        ),
        Phase(
            "the first Redis is killed, and comes back",
            lambda: cluster.kill_redis(stores[0]),
            lambda: cluster.start_redis(stores[0]),
        ),
        Phase("a new version is put on every machine", put_everywhere),
        Phase(
            "a gateway is drained, and started anew",
            lambda: cluster.drain(gateways[2]),
            lambda: cluster.start_gateway(gateways[2]),
        ),
        Phase("nothing, again"),
    ]


async def create_token() -> str:
    """Return the text of an API key that is in Redis, once Redis is there."""
    key, token = create_key("load", scopes=("classify", "stream"), rate=1e4, streams=10_000)
    store = RedisKeyStore(REDIS)
    try:
        await store.put(key)
    finally:
        await store.close()
    return token


async def redis_rates(seconds: float) -> dict[str, float]:
    """Return what the master does a second, and its memory, by the names of INFO."""
    redis = connect(REDIS)
    try:
        before: dict[str, Any] = await redis.info()
        await asyncio.sleep(seconds)
        after: dict[str, Any] = await redis.info()
    finally:
        await close(redis)
    rates = {name: (float(after[name]) - float(before[name])) / seconds for name in COUNTED}
    return rates | {MEMORY: float(after[MEMORY])}


def sizing(idle: dict[str, float], busy: dict[str, float], *, streams: int) -> list[Row]:
    """Return what Redis does for none and for 1,000 streams, if each takes as much as the next."""
    rates = dict.fromkeys(idle, 0.0)
    for name, before in idle.items():
        rates[name] = before + 1_000 * (busy[name] - before) / streams
    return [
        _of_redis("Redis, no stream", idle),
        _of_redis(f"Redis, 1,000 streams, by none and {streams}", rates),
    ]


def _of_redis(what: str, rates: dict[str, float]) -> Row:
    return {
        "what": what,
        "commands_s": rates["total_commands_processed"],
        "in_mb_s": rates["total_net_input_bytes"] / 1e6,
        "out_mb_s": rates["total_net_output_bytes"] / 1e6,
        "core_percent": 100 * (rates["used_cpu_user"] + rates["used_cpu_sys"]),
        "mib": rates[MEMORY] / 2**20,
    }


def row(name: str, seconds: float, totals: Totals, wait_s: float) -> Row:
    """Return a line of the table."""
    dropped = ", ".join(f"{count} {why}" for why, count in sorted(totals.dropped.items())) or "0"
    return {
        "what": name,
        "seconds": round(seconds),
        "answered": totals.answered,
        "dropped": dropped,
        "reconnects": totals.reconnects,
        "longest_wait_s": wait_s,
    }


async def in_thread(step: Step) -> None:
    """Run a step that waits, beside the streams."""
    await asyncio.to_thread(step)


async def run(cluster: Cluster, *, streams: int, seconds: float) -> tuple[list[Row], str, bool]:
    """Return the rows, what became of all windows, and whether every one is accounted for."""
    loop = asyncio.get_running_loop()
    await in_thread(cluster.start)
    idle = await redis_rates(seconds)
    load = Load(streams, token=await create_token())
    await load.start()
    load.longest_wait_s()
    rows, of_redis = [], []
    for at, phase in enumerate(phases(cluster)):
        before, since = load.totals(), loop.time()
        await in_thread(phase.begin)
        if at == 0:
            of_redis = sizing(idle, await redis_rates(seconds), streams=streams)
        else:
            await asyncio.sleep(seconds)
        await in_thread(phase.end)
        load.check()
        lasted = loop.time() - since
        rows.append(row(phase.name, lasted, load.totals().since(before), load.longest_wait_s()))
        print(phase.name, file=sys.stderr, flush=True)
    await load.finish()
    return [*rows, *of_redis], *account_of(load)


def account_of(load: Load) -> tuple[str, bool]:
    """Return what became of all windows, and whether each is accounted for."""
    accounts = load.accounts
    lost = sum(each.unaccounted(sent) for each, sent in zip(accounts, load.samples, strict=True))
    expected = sum(
        len(each.expected(sent)) for each, sent in zip(accounts, load.samples, strict=True)
    )
    twice = sum(account.answered_twice for account in accounts)
    old = sum(list(account.versions)[-1:] != [NEW_VERSION] for account in accounts)
    told = (
        f"{len(load.ends)} streams ended, {expected:,} windows of their sound: {lost} unaccounted "
        f"for, {twice} answered twice; {old} streams are not on the new version."
    )
    return told, not (lost or twice or old) and len(load.ends) == len(accounts)


def main(arguments: list[str]) -> int:
    """Return 0, or 1 when something is missing."""
    parser = argparse.ArgumentParser(prog="benchmarks.cluster", description=__doc__)
    parser.add_argument("--streams", type=int, default=20, help="live streams, a 1-s hop (20)")
    parser.add_argument("--seconds", type=float, default=15, help="of each phase (15)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="logs and data (a temporary one)")
    results.add_option(parser)
    given = parser.parse_args(arguments)
    results.check_option(parser, given.json)
    check_namespace()
    open_lan(1)
    before = measure.machine()
    with tempfile.TemporaryDirectory(prefix="timbre-cluster-") as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        with closing(Cluster(folder)) as cluster:
            settings = {"streams": given.streams, "seconds": given.seconds}
            rows, note, whole = asyncio.run(run(cluster, **settings))
    report = results.document(
        "cluster",
        command="unshare --net .venv/bin/python -m benchmarks.cluster"
        f" --streams {given.streams} --seconds {given.seconds:g}",
        settings=settings,
        rows=rows,
        missed=[] if whole else [note],
        machine=before,
        heads=HEADS,
        note=note,
    )
    tables.publish(given.json, report)
    return 0 if whole else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
