"""Spans of a job's way through Redis, named as OpenTelemetry's conventions for messaging say."""

from __future__ import annotations

import time

from service.tracing.spans import CLIENT, PRODUCER, Attribute, Span

REPLIES = "answers:{gateway}"
"""A template: each gateway has a stream of replies of its own."""


def short_name(key: str) -> str:
    """Return what names of spans have of a key in Redis: `jobs:live` of `{timbre}:jobs:live`."""
    return key.partition(":")[2]


def messaging(operation: str, **others: Attribute) -> dict[str, Attribute]:
    """Return the attributes of an operation: send, receive or process.

    others: of `messaging.`, `__` in the place of dots.
    """
    named = {f"messaging.{name.replace('__', '.')}": value for name, value in others.items()}
    return {
        "messaging.system": "redis",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        **named,
    }


def begin_sending(job: Span, key: str, *, job_id: str) -> Span:
    """Return the span of sending a job, whose context goes with it. key: of the stream of jobs."""
    return job.child(
        f"send {short_name(key)}",
        begin=time.monotonic(),
        kind=PRODUCER,
        attributes=messaging("send", destination__name=key, message__conversation_id=job_id),
    )


def record_reply(job: Span, sending: Span, *, job_id: str) -> None:
    """Add the wait for the reply, which is here."""
    now = time.monotonic()
    sending.end = sending.end or now
    job.child(
        f"receive {REPLIES}",
        begin=sending.end,
        end=now,
        kind=CLIENT,
        attributes=messaging(
            "receive", destination__template=REPLIES, message__conversation_id=job_id
        ),
    )
