"""Lets a worker's claims expire without waiting for it."""

from service.queue.redis_keys import GROUP, JOB_STREAMS


def expire_claims(client, worker):
    """Make the claims of a worker as old as if it had sent no heartbeat for long."""
    for key in JOB_STREAMS:
        pending = client.xpending_range(key, GROUP, "-", "+", 100, consumername=worker)
        if entries := [each["message_id"] for each in pending]:
            client.xclaim(key, GROUP, worker, 0, entries, idle=3_600_000, justid=True)
