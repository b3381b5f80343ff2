"""Spans of a worker: one for each batch, linked with its jobs, and a model call for each job."""

from __future__ import annotations

from collections.abc import Sequence

from common.errors import TimbreError
from service.queue.base import ClaimedJob, Reply
from service.queue.redis_keys import CLIP_JOBS, GROUP, LIVE_JOBS
from service.tracing.messaging import messaging, short_name
from service.tracing.spans import (
    CONSUMER,
    Tracer,
    model_attributes,
    read_traceparent,
    record_batch,
)

LATE = "Late"
"""What a job without a reply was."""


def record(
    tracer: Tracer,
    batch: Sequence[ClaimedJob],
    replies: Sequence[Reply],
    *,
    begin: float,
    replied: float,
) -> None:
    """Record a batch that is done. begin, replied: time.monotonic(), of its start and its replies.

    Of jobs that are not sampled, only those that were late or failed are recorded.
    """
    outcomes = {reply.job_id: reply for reply in replies}
    jobs = []
    for claim in batch:
        if context := read_traceparent(claim.traceparent):
            reply = outcomes.get(claim.job.id)
            result = reply.result if reply else None
            error = LATE if reply is None else ""
            jobs.append(
                (
                    tracer.remote(context),
                    type(result).__name__ if isinstance(result, TimbreError) else error,
                )
            )
    if not jobs:
        return
    job = batch[0].job
    key = LIVE_JOBS if job.live else CLIP_JOBS
    span = tracer.begin(f"process {short_name(key)}", begin=begin, sampled=False, kind=CONSUMER)
    span.attributes = {
        **messaging(
            "process",
            destination__name=key,
            consumer__group__name=GROUP,
            batch__message_count=len(batch),
        ),
        **model_attributes(job.model, job.version),
    }
    model_s = max((reply.model_ms for reply in replies), default=0.0) / 1e3
    record_batch(span, jobs, job.model, begin=replied - model_s, end=replied)
    for remote, error in jobs:
        remote.trace.failed = bool(error)
        remote.trace.finish()
