"""Every key that Timbre has in Redis.

All of them share the hash tag `{timbre}`, so that one node of a cluster has them all. "Seconds" are
of Redis' clock.
"""

from __future__ import annotations

LIVE_JOBS = "{timbre}:jobs:live"
"""Stream: jobs of live windows; field `job`, as the codec encodes them, and if they are traced
`trace`, a W3C traceparent, which workers that know none ignore."""
CLIP_JOBS = "{timbre}:jobs:clips"
"""Stream: jobs of clips and pictures."""
JOB_STREAMS = (LIVE_JOBS, CLIP_JOBS)
"""In the order in which workers claim from them."""
GROUP = "workers"
"""Consumer group of the workers, on both streams of jobs."""
REPLIES = "{timbre}:answers:"
"""Stream of each gateway, by its name: replies to its jobs; field `answers`."""
GATEWAYS = "{timbre}:gateway:"
"""String of each gateway, by its name, set by each health check.

The command fails while Redis is full or a replica; an absent key means that Redis lost its data.
"""
WORKERS = "{timbre}:workers"
"""Sorted set: each worker and the seconds of its last heartbeat."""
LOADED = "{timbre}:held"
"""Hash: each worker and the versions it has loaded, NAME:VERSION, separated by spaces."""
REQUESTED = "{timbre}:wanted"
"""Sorted set: each version requested by gateways, NAME:VERSION, and the seconds of that."""
DEAD_LETTERS = "{timbre}:dead"
"""Stream: jobs that were given up; fields `job`, `stream`, `entry`, `worker`, `why`."""
EVENTS = "{timbre}:events"
"""Stream: the events that streams publish, the last ten thousand; field `event`, JSON."""
API_KEYS = "{timbre}:keys"
"""Hash: each API key by its id, JSON."""
RATES = "{timbre}:rate:"
"""Hash of each API key, by its id: its token bucket; fields `tokens`, `at` (seconds)."""
OPEN_STREAMS = "{timbre}:streams:"
"""Sorted set of each API key, by its id: leases of its open streams and the seconds they end."""
TYPES = {
    LIVE_JOBS: "stream",
    CLIP_JOBS: "stream",
    REPLIES: "stream",
    GATEWAYS: "string",
    WORKERS: "zset",
    LOADED: "hash",
    REQUESTED: "zset",
}
"""Type of the keys, by prefix, that hold nothing to keep: one of another type may be deleted."""
